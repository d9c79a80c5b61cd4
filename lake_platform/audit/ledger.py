"""The books of one audit: records of topic, raw, table and quarantine as rows of a DuckDB database
in a directory of its own, so that what does not fit the memory limit goes to disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

_MEMORY = "1GB"
_BUFFER = 50_000
_PLACE = [("part", pa.int64()), ("off", pa.int64())]
TABLES: Mapping[str, pa.Schema] = {
    "spans": pa.schema(
        [("part", pa.int64()), ("first", pa.int64()), ("last", pa.int64()), ("seq", pa.int64()),
         ("committed_at", pa.int64()), ("expired", pa.bool_())]
    ),
    # Where Kafka can vouch for a partition; without a row it cannot.
    "starts": pa.schema([("part", pa.int64()), ("first", pa.int64())]),
    "gaps": pa.schema([("part", pa.int64()), ("first", pa.int64()), ("last", pa.int64())]),
    "kafka": pa.schema([*_PLACE, ("ts", pa.int64()), ("tomb", pa.bool_())]),
    "raw": pa.schema(
        [*_PLACE, ("ts", pa.int64()), ("tomb", pa.bool_()), ("win", pa.string()),
         ("logged", pa.bool_())]
    ),
    "lake": pa.schema([*_PLACE, ("ts", pa.int64())]),
    # Rows of exploded records, with their place in the array.
    "lake_elements": pa.schema([*_PLACE, ("ts", pa.int64()), ("ord", pa.int32())]),
    "quarantine": pa.schema([*_PLACE, ("win", pa.string()), ("reason", pa.string())]),
    # What an upsert needs to know of a record, or of a row of the table.
    "events": pa.schema(
        [*_PLACE, ("kind", pa.string()), ("key", pa.string()), ("rank", pa.string()),
         ("hash", pa.string()), ("from_kafka", pa.bool_())]
    ),
    # Keys that rows had before a record gave them another, and records that are about no row.
    "moved": pa.schema([*_PLACE, ("key", pa.string())]),
    "rowless": pa.schema(_PLACE),
    # Columns that cannot hold what a record has for them, and where an operator let such go.
    "misfits": pa.schema([*_PLACE, ("col", pa.string())]),
    "rejects": pa.schema([("col", pa.string()), ("first", pa.int64()), ("last", pa.int64())]),
    "lake_keys": pa.schema([*_PLACE, ("key", pa.string()), ("hash", pa.string())]),
}  # fmt: skip


class Ledger:
    """Rows are buffered as tuples in the order of the table's columns."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._held: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        for name, schema in TABLES.items():
            empty = schema.empty_table()
            self._insert(f"CREATE TABLE {name} AS FROM incoming", empty)

    def add(self, table: str, *row: Any) -> None:
        held = self._held[table]
        held.append(row)
        if len(held) >= _BUFFER:
            self._flush(table)

    def add_arrow(self, table: str, data: pa.Table | pa.RecordBatch, select: str = "*") -> None:
        """`select` makes the table's columns, in their order, of those of `data`."""
        incoming = pa.table(data) if isinstance(data, pa.RecordBatch) else data
        sql = f"INSERT INTO {table} SELECT {select} FROM incoming"  # noqa: S608 - our own names
        self._insert(sql, incoming)

    def run(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        for table in TABLES:
            self._flush(table)
        return self._database.execute(sql, values or None).fetchall()

    def records(self, sql: str, **values: Any) -> Iterator[dict[str, Any]]:
        for table in TABLES:
            self._flush(table)
        cursor = self._database.execute(sql, values or None)
        names = [column[0] for column in cursor.description or []]
        while rows := cursor.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    def _flush(self, table: str) -> None:
        held = self._held[table]
        if not held:
            return
        columns = list(zip(*held, strict=True))
        data = pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, TABLES[table], strict=True)],
            schema=TABLES[table],
        )
        self._held[table] = []
        self.add_arrow(table, data)

    def _insert(self, sql: str, data: pa.Table) -> None:
        self._database.register("incoming", data)
        self._database.execute(sql)
        self._database.unregister("incoming")


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-audit-") as directory:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "temp_directory": directory,
            "threads": 2,
        }
        path = str(Path(directory) / "ledger.duckdb")
        with duckdb.connect(path, config=config) as database:
            yield Ledger(database)
