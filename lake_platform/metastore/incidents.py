"""Incidents, and what operators decided of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision, settled_by
from lake_platform.domain.diff import Change
from lake_platform.domain.part import part_of
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.raw_span import RawSpan
from lake_platform.errors import IncidentNotFoundError, InvalidFieldError, NameTakenError
from lake_platform.metastore.incident import Incident, Outcome
from lake_platform.metastore.model import changed, dataset_to_dict, parse_dataset
from lake_platform.metastore.schemas import Schemas
from lake_platform.metastore.tables import DatasetRow, DecisionRow, IncidentRow, ProgressRow

_GREATEST_ID = (1 << 63) - 1


class Incidents(Schemas):
    def block(
        self,
        table: str,
        changes: Sequence[Change],
        batch: str,
        samples: Sequence[Mapping[str, object]],
        kind: str = "schema",
        reason: str = "",
        *,
        details: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> int:
        with self._write() as session:
            row = self._row(session, table, lock=True)
            decided = [_decision(r) for r in session.scalars(of_table(table))]
            if (settled := settled_by(decided, changes, batch)) is not None:
                return settled
            if row.continued_in is not None and (known := _newest(session, table)):
                return known  # who tells it slept while the table was ended
            incident = session.scalar(
                select(IncidentRow).where(
                    IncidentRow.table_name == table,
                    IncidentRow.batch == batch,
                    IncidentRow.kind == kind,
                    IncidentRow.status == "OPEN",
                )
            )
            if incident is None:
                more = details or {}
                incident = IncidentRow(
                    table_name=table,
                    status="OPEN",
                    batch=batch,
                    changes=_plain([{**asdict(c), **more.get(c.path, {})} for c in changes]),
                    samples=_plain(list(samples)),
                    opened_at=self._clock(),
                    kind=kind,
                    reason=reason,
                )
                session.add(incident)
                session.flush()
                told = {"incident": incident.id, "changes": [str(c) for c in changes]}
                told |= {"reason": reason} if reason else {}
                self._audit(session, "block", table, None, told)
            if row.status == Status.PAUSED:
                row.paused_from = Status.BLOCKED
            elif row.status != Status.RETIRED:
                self._move(session, row, Status.BLOCKED)
            else:  # while its last load ran
                self._close(session, incident, "retired", self._actor)
            return incident.id

    def incidents(
        self, table: str | None = None, status: str | None = None, limit: int = 100
    ) -> list[Incident]:
        """Newest first. Raises: DatasetNotFoundError."""
        query = select(IncidentRow).order_by(IncidentRow.id.desc()).limit(limit)
        if table is not None:
            query = query.where(IncidentRow.table_name == table)
        if status is not None:
            query = query.where(IncidentRow.status == status)
        with self._read() as session:
            if table is not None:
                self._row(session, table)
            return [_incident(row) for row in session.scalars(query)]

    def incident(self, incident_id: int) -> Incident:
        """Raises: IncidentNotFoundError."""
        with self._read() as session:
            return _incident(_incident_row(session, incident_id))

    def settle(self, incident_id: int, outcome: Outcome, actor: str) -> Incident:
        """Closes the incident with all that follows from it, or nothing; once no other is open the
        dataset goes back to LIVE. One that was closed in the same way before stays as it is.

        Raises:
            IncidentNotFoundError.
            InvalidFieldError: it was closed in another way.
            ConflictError: there is a newer schema version than `outcome` was made for.
            NameTakenError: the new table's name is in use.
        """
        try:
            return self._settled(incident_id, outcome, actor)
        except IntegrityError:
            if outcome.continued_in is None:
                raise
            raise NameTakenError(outcome.continued_in.table) from None

    def _settled(self, incident_id: int, outcome: Outcome, actor: str) -> Incident:
        with self._write() as session:
            row = _incident_row(session, incident_id)
            dataset = self._row(session, row.table_name, lock=True)
            session.refresh(row)
            if row.status != "OPEN" and row.resolution == outcome.resolution:
                return _incident(row)
            if row.status != "OPEN":
                raise InvalidFieldError(
                    "incident", incident_id,
                    f"was resolved by {row.resolved_by} with {row.resolution}",
                    f"see what holds since: lake incidents decisions {row.table_name}",
                )  # fmt: skip
            if outcome.version is not None or outcome.columns is not None:
                self._check_still(session, row.table_name)
            session.add_all(
                self._decision_row(d, row.table_name, row.id, actor) for d in outcome.decisions
            )
            if outcome.version is not None:
                self._add_version(session, row.table_name, outcome.version, actor)
            if outcome.columns is not None:
                self._change_columns(session, row.table_name, outcome.columns, actor)
            if outcome.continued_in is not None:
                self._end(session, dataset, outcome.continued_in, outcome.resolution, actor)
            self._close(session, row, outcome.resolution, actor)
            self._unblock(session, dataset, actor)
            return _incident(row)

    def _end(
        self, session: Session, row: DatasetRow, new: Dataset, resolution: str, actor: str
    ) -> None:
        """The table ends with what is in it, and `new` begins with the raw commits behind that.
        What else stopped it is over."""
        table = row.table_name
        self._check_still(session, table)
        last = session.get_one(ProgressRow, table).applied_seq
        if not last:
            raise InvalidFieldError(
                "resolution", resolution, f"there is nothing in table {table} yet",
                "resolve the incident in another way, or retire the dataset and register another",
            )  # fmt: skip
        for incident in self._open_incidents(session, table):
            self._close(session, incident, resolution, actor)
        row.raw_until, row.continued_in = last, new.table
        begun = self._add_dataset(session, part_of(new, RawSpan(after=last)))
        said = {"ends_at": last, "continued_in": new.table}
        self._audit(session, "end_table", table, None, said, actor)
        self._audit(session, "register", new.table, None, begun.definition, actor)

    def decisions(self, table: str) -> list[Decision]:
        """Oldest first."""
        with self._read() as session:
            return [_decision(row) for row in session.scalars(of_table(table))]

    def end_decision(self, table: str, decision_id: int, last_seq: int, actor: str) -> Decision:
        """It holds no longer than up to this raw commit; for those before it stays.

        Raises: DatasetNotFoundError, InvalidFieldError.
        """
        with self._write() as session:
            self._row(session, table, lock=True)
            known = 0 < decision_id <= _GREATEST_ID
            row = session.get(DecisionRow, decision_id) if known else None
            if row is None or row.table_name != table:
                raise InvalidFieldError(
                    "decision", decision_id, f"table {table} has none of this number",
                    f"see `lake incidents decisions {table}`",
                )  # fmt: skip
            if row.last_seq is None:
                row.last_seq = max(last_seq, row.first_seq)
                after = {"decision": decision_id, "last_seq": row.last_seq}
                self._audit(session, "end_decision", table, {"path": row.path}, after, actor)
            return _decision(row)

    def blocked_tables(self, kind: str = "schema") -> set[str]:
        """Tables with an open incident of this kind."""
        query = select(IncidentRow.table_name).where(
            IncidentRow.status == "OPEN", IncidentRow.kind == kind
        )
        with self._read() as session:
            return set(session.scalars(query.distinct()))

    def change_columns(
        self,
        table: str,
        new: SchemaVersion,
        columns: Mapping[str, Mapping[str, Any]],
        actor: str,
    ) -> SchemaVersion:
        """A schema version together with the hints that go with it.

        Raises: ConflictError: there is a newer version.
        """
        with self._write() as session:
            self._row(session, table, lock=True)
            self._check_still(session, table)
            self._change_columns(session, table, columns, actor)
            return self._add_version(session, table, new, actor)

    def _change_columns(
        self, session: Session, table: str, columns: Mapping[str, Mapping[str, Any]], actor: str
    ) -> None:
        row = self._row(session, table)
        before = dataset_to_dict(parse_dataset(row.definition))
        after = dataset_to_dict(changed(parse_dataset(row.definition), {"columns": columns}))
        if after == before:
            return
        row.definition, row.version = after, row.version + 1
        shown = ({"columns": before["columns"]}, {"columns": after["columns"]})
        self._audit(session, "update", table, *shown, actor)

    def _decision_row(
        self, decision: Decision, table: str, incident: int, actor: str
    ) -> DecisionRow:
        return DecisionRow(
            table_name=table,
            incident=incident,
            path=decision.path,
            action=decision.action,
            first_seq=decision.first_seq,
            last_seq=decision.last_seq,
            actor=actor,
            decided_at=self._clock(),
        )


def _newest(session: Session, table: str) -> int:
    query = select(IncidentRow.id).where(IncidentRow.table_name == table)
    return session.scalar(query.order_by(IncidentRow.id.desc()).limit(1)) or 0


def of_table(table: str) -> Select[Any]:
    return select(DecisionRow).where(DecisionRow.table_name == table).order_by(DecisionRow.id)


def _plain(found: list[Any]) -> list[Any]:
    """Samples are for people: what JSON cannot say is shown as text."""
    plain: list[Any] = json.loads(json.dumps(found, default=str))
    return plain


def _incident_row(session: Session, incident_id: int) -> IncidentRow:
    known = 0 < incident_id <= _GREATEST_ID  # no database takes a larger number
    row = session.get(IncidentRow, incident_id) if known else None
    if row is None:
        raise IncidentNotFoundError(incident_id)
    return row


def _incident(row: IncidentRow) -> Incident:
    return Incident(
        row.id,
        row.table_name,
        row.status,
        row.batch,
        tuple(row.changes),
        tuple(row.samples),
        row.opened_at,
        row.resolved_at,
        row.resolution,
        row.resolved_by,
        row.kind,
        row.reason,
    )


def _decision(row: DecisionRow) -> Decision:
    return Decision(
        row.path,
        row.action,  # type: ignore[arg-type]
        row.first_seq,
        row.last_seq,
        row.id,
        row.incident,
        row.actor,
        row.decided_at,
    )
