"""Rebuilds: what one loads is on record beside the live table's, and takes its place in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision
from lake_platform.domain.layout import quarantine_prefix
from lake_platform.domain.progress import Progress, SchemaVersion
from lake_platform.domain.rebuild import Rebuild, Shadow, shadow_of
from lake_platform.errors import ConflictError, InvalidFieldError
from lake_platform.metastore.absent import Absent
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.statistics import Statistics
from lake_platform.metastore.statuses import shadow_in
from lake_platform.metastore.tables import (
    Base,
    BatchRow,
    DatasetRow,
    DecisionRow,
    GapRow,
    IncidentRow,
    ProgressRow,
    SchemaVersionRow,
)

# What the rebuilt table says better than the live one; the rest is about phase 1.
_OF_THE_TABLE = (
    "applied_seq", "records", "quarantined", "deleted", "deduplicated", "dropped",
    "quarantined_deletes", "rescued", "loaded_at",
)  # fmt: skip
_CLEARED = ("load_error", "load_error_kind", "load_failures")
_PARTS = (SchemaVersionRow, BatchRow, ProgressRow, GapRow, IncidentRow, DecisionRow)
RowT = TypeVar("RowT", bound=Base)
REBUILT = "rebuilt"


class Rebuilds(Absent, Statistics):
    def rebuild(self, table: str) -> Rebuild | None:
        with self._read() as session:
            row = _shadow_row(session, table)
            return None if row is None else _rebuild(row)

    def begin_rebuild(
        self,
        wanted: Dataset,
        name: str,
        base_version: int,
        actor: str,
        *,
        begins_after: int = 0,
        first: SchemaVersion | None = None,
        decisions: Sequence[Decision] = (),
        resolution: str = REBUILT,
    ) -> Shadow:
        """Keeps what a rebuild is to load, as `name`; with version 1 of its schema, unless that is
        to come of the records. `decisions` hold for it besides those of the live table;
        `resolution` is what incidents are closed with that are open when it is swapped in.

        Raises:
            ConflictError: the live definition is not at `base_version`.
            InvalidFieldError: a rebuild is under way, or the table is retired.
        """
        table, keeps_columns, span = wanted.table, first is not None, wanted.raw_span
        row = DatasetRow(
            table_name=name,
            table_fold=name.casefold(),
            definition=dataset_to_dict(wanted),
            version=1,
            status=Status.BOOTSTRAPPING,
            registered_at=self._clock(),
            rebuild_of=table,
            raw_after=span.after,
            raw_until=span.until,
            rebuild={
                "begins_after": begins_after,
                "keeps_columns": keeps_columns,
                "base_version": base_version,
                "actor": actor,
                "resolution": resolution,
            },
        )
        try:
            with self._write() as session:
                live = self._row(session, table, lock=True)
                self._check_alive(live)
                self._check_still(session, table)
                if live.version != base_version:
                    raise ConflictError(table, base_version, live.version)
                session.add(row)
                session.flush()
                session.add(ProgressRow(table_name=name))
                session.add_all(self._decision_row(d, name, d.incident, actor) for d in decisions)
                if first is not None:
                    session.add(self._version_row(name, first, actor))
                before, after = _differing(live.definition, row.definition)
                self._audit(session, "begin_rebuild", table, before, after, actor)
        except IntegrityError:
            raise InvalidFieldError(
                "table", table, "is being rebuilt by another process", "try again"
            ) from None
        return shadow_of(wanted, name, begins_after, keeps_columns=keeps_columns)

    def drop_rebuild(self, table: str, name: str, actor: str) -> None:
        """Forgets the one of that `name`; the live table is as it was. None under way is fine."""
        with self._write() as session:
            row = _shadow_row(session, table)
            if row is not None and row.table_name == name:
                _forget(session, row.table_name)
                self._audit(session, "abort_rebuild", table, None, None, actor)

    def swap_in(self, table: str, name: str) -> bool:
        with self._write() as session:
            live, row = self._row(session, table, lock=True), _shadow_row(session, table)
            if row is None or row.table_name != name:
                return False
            info = _info(row)
            actor = info["actor"]
            newest = _newest_version(session, table)
            _take_over_versions(session, table, name, newest, actor)
            _take_over_numbers(session, table, name, newest)
            _take_over_decisions(session, table, name)
            before, after = _differing(live.definition, row.definition)
            live.definition, live.version = row.definition, live.version + 1
            _forget(session, name)
            self._audit(session, "rebuild", table, before, after, actor)
            self._close_all(session, live, info.get("resolution", REBUILT), actor)
            return True

    def _close_all(self, session: Session, live: DatasetRow, resolution: str, actor: str) -> None:
        """The rebuilt table has what they waited for."""
        query = select(IncidentRow).where(
            IncidentRow.table_name == live.table_name, IncidentRow.status == "OPEN"
        )
        for incident in list(session.scalars(query)):
            self._close(session, incident, resolution, actor)
        self._unblock(session, live, actor)


def _take_over_versions(session: Session, table: str, name: str, newest: int, actor: str) -> None:
    """Those of the rebuilt table follow those the live one had, which end at `newest`."""
    for old in _rows(session, SchemaVersionRow, table):
        old.status = "SUPERSEDED"
    for row in _rows(session, SchemaVersionRow, name):
        version = newest + row.version
        session.add(_copied(row, table_name=table, version=version, actor=actor, profile=None))


def _take_over_numbers(session: Session, table: str, name: str, newest: int) -> None:
    session.execute(delete(BatchRow).where(BatchRow.table_name == table))
    session.expire_all()
    for row in _rows(session, BatchRow, name):
        version = newest + row.schema_version
        keys = [
            quarantine_prefix(table) + key.removeprefix(quarantine_prefix(name))
            for key in row.quarantine_keys
        ]
        session.add(_copied(row, table_name=table, schema_version=version, quarantine_keys=keys))
    mine, its = session.get_one(ProgressRow, table), session.get_one(ProgressRow, name)
    for field in _OF_THE_TABLE:
        setattr(mine, field, getattr(its, field))
    mine.complete_through = max(mine.complete_through, its.complete_through)
    for field in _CLEARED:
        setattr(mine, field, getattr(Progress(), field))


def _take_over_decisions(session: Session, table: str, name: str) -> None:
    """What was decided for the rebuilt table alone, besides what holds for raw."""
    for row in sorted(_rows(session, DecisionRow, name), key=lambda d: d.id):
        session.add(_copied(row, id=None, table_name=table))


def _forget(session: Session, name: str) -> None:
    session.flush()
    for part in _PARTS:
        session.execute(delete(part).where(part.table_name == name))
    session.execute(delete(DatasetRow).where(DatasetRow.table_name == name))
    session.expire_all()


def _rows(session: Session, kind: type[RowT], name: str) -> list[RowT]:
    table_name = kind.__table__.c.table_name
    return list(session.scalars(select(kind).where(table_name == name)))


def _copied(row: RowT, **changes: Any) -> RowT:
    values = {c.key: getattr(row, c.key) for c in row.__table__.columns}
    return type(row)(**values | changes)


def _newest_version(session: Session, table: str) -> int:
    query = select(func.max(SchemaVersionRow.version)).where(SchemaVersionRow.table_name == table)
    return session.scalar(query) or 0


def _shadow_row(session: Session, table: str) -> DatasetRow | None:
    return session.scalar(select(DatasetRow).where(DatasetRow.rebuild_of == table))


def _info(row: DatasetRow) -> Mapping[str, Any]:
    return row.rebuild or {}


def _rebuild(row: DatasetRow) -> Rebuild:
    info = _info(row)
    return Rebuild(shadow_in(row), info["base_version"], info["actor"], row.registered_at)


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [n for n in after if after[n] != before.get(n)]
    return {n: before.get(n) for n in names}, {n: after[n] for n in names}
