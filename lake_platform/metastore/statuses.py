"""The status of a dataset: what ingest finds, and what an operator does to it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.part import part_of
from lake_platform.domain.progress import DatasetRecord
from lake_platform.domain.raw_span import RawSpan
from lake_platform.domain.rebuild import Shadow, shadow_of
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import parse_dataset
from lake_platform.metastore.sharing import check_no_readers, check_owner
from lake_platform.metastore.tables import DatasetRow, IncidentRow, ProgressRow
from lake_platform.metastore.unit import Unit


class Statuses(Unit):
    def set_status(self, table: str, status: Status, actor: str | None = None) -> None:
        """What ingest found. It never undoes an operator: RETIRED stays, a paused dataset stays
        PAUSED and takes `status` on when it is resumed, and BLOCKED stays while an incident is
        open."""
        with self._write() as session:
            row = self._row(session, table, lock=True)
            if status is Status.RETIRED:
                self._retire(session, row, actor)
            elif status is Status.PAUSED:
                self._move(session, row, status, actor)
            elif status is not Status.BLOCKED and self._incident_open(session, table):
                return
            elif row.status == Status.PAUSED:
                row.paused_from = status
            elif row.status != Status.RETIRED:
                self._move(session, row, status, actor)

    def pause(self, table: str, actor: str) -> DatasetRecord:
        return self._change_status(table, Status.PAUSED, actor)

    def retire(self, table: str, actor: str) -> DatasetRecord:
        """The name stays taken: the table's files and raw objects are still there. Open incidents
        are closed."""
        with self._write() as session:
            row = self._row(session, table, lock=True)
            self._retire(session, row, actor)
            return record_of(row)

    def unretire(self, table: str, actor: str) -> DatasetRecord:
        """Back to the status it was retired in, as if it had been paused since; what it was BLOCKED
        by is found again. Raises: InvalidFieldError when it is not retired."""
        with self._write() as session:
            row = self._row(session, table, lock=True)
            if row.status != Status.RETIRED:
                raise InvalidFieldError(
                    "table", table, f"is {row.status}, not retired", "there is nothing to take back"
                )
            if row.raw_from is not None:
                check_owner(session, parse_dataset(row.definition))
            paused_from = row.paused_from
            status = self._before_retired(session, row)
            self._move(session, row, status, actor)
            if status is Status.PAUSED:
                row.paused_from = paused_from
            return record_of(row)

    def _retire(self, session: Session, row: DatasetRow, actor: str | None) -> None:
        if row.status == Status.RETIRED:
            return
        check_no_readers(session, row.table_name)
        for incident in self._open_incidents(session, row.table_name):
            self._close(session, incident, "retired", actor or self._actor)
        before, paused_from = row.status, row.paused_from
        self._move(session, row, Status.RETIRED, actor)
        row.retired_from = before
        # Its incidents are closed.
        row.paused_from = Status.LIVE if paused_from == Status.BLOCKED else paused_from

    @staticmethod
    def _before_retired(session: Session, row: DatasetRow) -> Status:
        if row.retired_from is not None:
            before = Status(row.retired_from)
            return Status.LIVE if before is Status.BLOCKED else before
        # Retired by a release that did not note it. Complete, it becomes LIVE by itself.
        begun = session.get_one(ProgressRow, row.table_name).head_seq
        return Status.BOOTSTRAPPING if begun else Status.REGISTERED

    def resume(self, table: str, actor: str) -> DatasetRecord:
        """Back to the status the dataset was paused in. One that is BLOCKED because its loads
        failed again and again, or for a rule, is tried again; a breaking schema change stays."""
        return self._change_status(table, None, actor)

    def _change_status(self, table: str, status: Status | None, actor: str) -> DatasetRecord:
        with self._write() as session:
            row = self._row(session, table, lock=True)
            self._check_alive(row)
            if status is not None:
                self._move(session, row, status, actor)
            elif row.status == Status.PAUSED:
                self._move(session, row, Status(row.paused_from or Status.REGISTERED), actor)
            elif row.status == Status.BLOCKED:
                self._try_again(session, row, actor)
            return record_of(row)

    def _try_again(self, session: Session, row: DatasetRow, actor: str) -> None:
        for incident in self._open_incidents(session, row.table_name):
            if incident.kind in ("engine", "rule"):
                self._close(session, incident, "try again", actor)
        self._unblock(session, row, actor)

    @staticmethod
    def _open_incidents(session: Session, table: str) -> list[IncidentRow]:
        query = select(IncidentRow).where(
            IncidentRow.table_name == table, IncidentRow.status == "OPEN"
        )
        return list(session.scalars(query))

    def _close(self, session: Session, row: IncidentRow, resolution: str, actor: str) -> None:
        if row.status != "OPEN":
            return
        row.status, row.resolution, row.resolved_by = "RESOLVED", resolution, actor
        row.resolved_at = self._clock()
        # Loads have all their tries again.
        session.get_one(ProgressRow, row.table_name).load_failures = 0
        after = {"incident": row.id, "resolution": resolution}
        self._audit(session, "resolve", row.table_name, None, after, actor)
        session.flush()

    def _unblock(self, session: Session, row: DatasetRow, actor: str) -> None:
        """Once no incident is open."""
        if self._incident_open(session, row.table_name):
            return
        if row.status == Status.BLOCKED:
            self._move(session, row, Status.LIVE, actor)
        elif row.paused_from == Status.BLOCKED:
            row.paused_from = Status.LIVE

    def _move(
        self, session: Session, row: DatasetRow, status: Status, actor: str | None = None
    ) -> None:
        if row.status == status:
            return
        before, row.status = row.status, status
        row.paused_from = before if status is Status.PAUSED else None
        row.retired_from = None
        self._audit(
            session, "status", row.table_name, {"status": before}, {"status": status.value}, actor
        )

    @staticmethod
    def _incident_open(session: Session, table: str) -> bool:
        query = select(IncidentRow.id).where(
            IncidentRow.table_name == table, IncidentRow.status == "OPEN"
        )
        return session.scalar(query.limit(1)) is not None

    @staticmethod
    def _check_alive(row: DatasetRow) -> None:
        if row.status == Status.RETIRED:
            raise InvalidFieldError(
                "table",
                row.table_name,
                "is retired",
                f"take it back first: lake datasets unretire {row.table_name}",
            )


def record_of(row: DatasetRow) -> DatasetRecord:
    dataset = live_in(row) if row.rebuild is None else shadow_in(row)
    return DatasetRecord(dataset, row.version, Status(row.status), row.registered_at)


def live_in(row: DatasetRow) -> Dataset:
    return part_of(parse_dataset(row.definition), RawSpan(row.raw_after, row.raw_until))


def shadow_in(row: DatasetRow) -> Shadow:
    """Of the row of a rebuild."""
    info = row.rebuild or {}
    wanted = live_in(row)
    begins_after, keeps_columns = info["begins_after"], info["keeps_columns"]
    return shadow_of(wanted, row.table_name, begins_after, keeps_columns=keeps_columns)
