"""Schema versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from lake_platform.domain.described import Line, in_force
from lake_platform.domain.mapping import Mapped, mapped_from_json, mapped_to_json
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json, to_json
from lake_platform.errors import ConflictError
from lake_platform.metastore.definitions import Definitions
from lake_platform.metastore.tables import SchemaVersionRow


class Schemas(Definitions):
    def active_schema(self, table: str) -> SchemaVersion | None:
        with self._read() as session:
            return active_in(session, table)

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
            new = SchemaVersion(
                after + 1, source, derived, changes=tuple(changes), mapped=tuple(mapped)
            )
            return self._add_version(session, table, new, actor)

    def _add_version(
        self, session: Session, table: str, new: SchemaVersion, actor: str | None
    ) -> SchemaVersion:
        """Raises: ConflictError when `new` is not the one behind the active version."""
        active = _active(session, table)
        found = active.version if active else 0
        if found != new.version - 1:
            raise ConflictError(table, new.version - 1, found)
        if active is not None:
            active.status = "SUPERSEDED"
        row = self._version_row(table, new, actor or self._actor)
        session.add(row)
        after = {"version": row.version, "changes": row.changes}
        self._audit(session, "schema_version", table, {"version": found}, after, actor)
        return _version(row)

    def _version_row(self, table: str, version: SchemaVersion, actor: str) -> SchemaVersionRow:
        return SchemaVersionRow(
            table_name=table,
            version=version.version,
            source=to_json(version.source),
            derived=None if version.table is None else to_json(version.table),
            status="ACTIVE",
            changes=list(version.changes),
            created_at=self._clock(),
            actor=actor,
            mapped=mapped_to_json(version.mapped) or None,
        )

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


def active_in(session: Session, table: str) -> SchemaVersion | None:
    row = _active(session, table)
    return None if row is None else _version(row)


def _active(session: Session, table: str) -> SchemaVersionRow | None:
    return session.scalar(
        select(SchemaVersionRow).where(
            SchemaVersionRow.table_name == table, SchemaVersionRow.status == "ACTIVE"
        )
    )


def _lines_in_force(rows: Iterable[tuple[int, Any]]) -> list[Line]:
    lines = ((v, m) for v, plain in rows for m in mapped_from_json(plain or ()))
    return list(in_force(lines).values())


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
