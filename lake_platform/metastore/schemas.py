"""Schema versions, and the incidents that breaking changes open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from lake_platform.domain.dataset import Status
from lake_platform.domain.described import Line, in_force
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped, mapped_from_json, mapped_to_json
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json, to_json
from lake_platform.errors import ConflictError, IncidentNotFoundError
from lake_platform.metastore.definitions import Definitions
from lake_platform.metastore.tables import IncidentRow, SchemaVersionRow

_GREATEST_ID = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Incident:
    """A break waiting for an operator. `changes` are `domain.schema.Change` as dicts; `kind` and
    `reason` as `Metastore.block` has them."""

    id: int
    table: str
    status: str
    batch: str
    changes: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]
    opened_at: int
    resolved_at: int | None
    resolution: str
    resolved_by: str
    kind: str = "schema"
    reason: str = ""


class Schemas(Definitions):
    def active_schema(self, table: str) -> SchemaVersion | None:
        with self._read() as session:
            row = _active(session, table)
            return None if row is None else _version(row)

    def active_schemas(self) -> Callable[[str], SchemaVersion | None]:
        """`active_schema` of all tables as they are now, in one read; one that cannot be parsed
        raises when it is asked for."""
        query = select(SchemaVersionRow).where(SchemaVersionRow.status == "ACTIVE")
        with self._read() as session:
            rows = {row.table_name: row for row in session.scalars(query)}
        return lambda table: _version(rows[table]) if table in rows else None

    def schema_versions(self, table: str) -> list[SchemaVersion]:
        """Oldest first."""
        query = (
            select(SchemaVersionRow)
            .where(SchemaVersionRow.table_name == table)
            .order_by(SchemaVersionRow.version)
        )
        with self._read() as session:
            self._row(session, table)
            return [_version(row) for row in session.scalars(query)]

    def add_schema_version(
        self,
        table: str,
        after: int,
        source: Struct,
        derived: Struct | None,
        changes: Sequence[str],
        actor: str | None = None,
        *,
        mapped: Iterable[Mapped] = (),
    ) -> SchemaVersion:
        """`after` is 0 for the first version."""
        with self._write() as session:
            self._row(session, table, lock=True)
            active = _active(session, table)
            found = active.version if active else 0
            if found != after:
                raise ConflictError(table, after, found)
            if active is not None:
                active.status = "SUPERSEDED"
            row = SchemaVersionRow(
                table_name=table,
                version=after + 1,
                source=to_json(source),
                derived=None if derived is None else to_json(derived),
                status="ACTIVE",
                changes=list(changes),
                created_at=self._clock(),
                actor=actor or self._actor,
                mapped=mapped_to_json(mapped) or None,
            )
            session.add(row)
            self._audit(
                session,
                "schema_version",
                table,
                {"version": after},
                {"version": after + 1, "changes": list(changes)},
                actor,
            )
            return _version(row)

    def profile(self, table: str) -> Mapping[str, Any] | None:
        query = select(SchemaVersionRow.profile).where(
            SchemaVersionRow.table_name == table, SchemaVersionRow.version == 1
        )
        with self._read() as session:
            return session.scalar(query)

    def mapping(self, table: str, upto: int | None = None) -> list[Line]:
        """How each path comes to its column, with the version that says so; in the order of the
        paths' first coming. `upto`: as it was in this version."""
        query = (
            select(SchemaVersionRow.version, SchemaVersionRow.mapped)
            .where(SchemaVersionRow.table_name == table)
            .order_by(SchemaVersionRow.version)
        )
        with self._read() as session:
            self._row(session, table)
            rows = session.execute(query).all()
        wanted = ((v, plain) for v, plain in rows if upto is None or v <= upto)
        return _lines_in_force(wanted)

    def mappings(self) -> Callable[[str], list[Line]]:
        """`mapping` of all tables as they are now, in one read; each is parsed when asked for."""
        query = (
            select(
                SchemaVersionRow.table_name,
                SchemaVersionRow.version,
                cast(SchemaVersionRow.mapped, Text),
            )
            .where(SchemaVersionRow.mapped.is_not(None))
            .order_by(SchemaVersionRow.version)
        )
        rows: dict[str, list[tuple[int, str]]] = {}
        with self._read() as session:
            for table, version, text in session.execute(query):
                rows.setdefault(table, []).append((version, text))
        return lambda table: _lines_in_force((v, json.loads(t)) for v, t in rows.get(table, ()))

    def block(
        self,
        table: str,
        changes: Sequence[Change],
        batch: str,
        samples: Sequence[Mapping[str, object]],
        kind: str = "schema",
        reason: str = "",
    ) -> int:
        with self._write() as session:
            row = self._row(session, table, lock=True)
            incident = session.scalar(
                select(IncidentRow).where(
                    IncidentRow.table_name == table,
                    IncidentRow.batch == batch,
                    IncidentRow.kind == kind,
                    IncidentRow.status == "OPEN",
                )
            )
            if incident is None:
                incident = IncidentRow(
                    table_name=table,
                    status="OPEN",
                    batch=batch,
                    changes=[asdict(change) for change in changes],
                    # Samples are for people: what JSON cannot say is shown as text.
                    samples=json.loads(json.dumps(list(samples), default=str)),
                    opened_at=self._clock(),
                    kind=kind,
                    reason=reason,
                )
                session.add(incident)
                session.flush()
                self._audit(
                    session,
                    "block",
                    table,
                    None,
                    {"incident": incident.id, "changes": [str(c) for c in changes]}
                    | ({"reason": reason} if reason else {}),
                )
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

    def resolve(self, incident_id: int, resolution: str, actor: str) -> Incident:
        """Closes the incident; once no other is open the dataset goes back to LIVE.

        Raises: IncidentNotFoundError.
        """
        with self._write() as session:
            row = _incident_row(session, incident_id)
            dataset = self._row(session, row.table_name, lock=True)
            self._close(session, row, resolution, actor)
            self._unblock(session, dataset, actor)
            return _incident(row)

    def blocked_tables(self, kind: str = "schema") -> set[str]:
        """Tables with an open incident of this kind."""
        query = select(IncidentRow.table_name).where(
            IncidentRow.status == "OPEN", IncidentRow.kind == kind
        )
        with self._read() as session:
            return set(session.scalars(query.distinct()))


def _active(session: Session, table: str) -> SchemaVersionRow | None:
    return session.scalar(
        select(SchemaVersionRow).where(
            SchemaVersionRow.table_name == table, SchemaVersionRow.status == "ACTIVE"
        )
    )


def _lines_in_force(rows: Iterable[tuple[int, Any]]) -> list[Line]:
    lines = ((v, m) for v, plain in rows for m in mapped_from_json(plain or ()))
    return list(in_force(lines).values())


def _incident_row(session: Session, incident_id: int) -> IncidentRow:
    known = 0 < incident_id <= _GREATEST_ID  # no database takes a larger number
    row = session.get(IncidentRow, incident_id) if known else None
    if row is None:
        raise IncidentNotFoundError(incident_id)
    return row


def _version(row: SchemaVersionRow) -> SchemaVersion:
    return SchemaVersion(
        row.version,
        struct_from_json(row.source),
        None if row.derived is None else struct_from_json(row.derived),
        row.status,
        tuple(row.changes),
        row.created_at,
        row.actor,
    )


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
