"""A table as DuckDB can have it: Parquet by Arrow's dataset, Hudi by what hudi-rs reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lake_platform.audit.files import ArrowFiles
from lake_platform.audit.tables import HudiReader, ParquetReader
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix

if TYPE_CHECKING:
    import duckdb


class Readable(Protocol):
    def schema(self) -> pa.Schema:
        """Without columns while nothing is loaded. Raises: StorageUnavailableError,
        TableUnreadableError."""
        ...

    def put_in(
        self, base: duckdb.DuckDBPyConnection, names: Sequence[str], columns: Sequence[str]
    ) -> None:
        """Makes the table known to DuckDB by these names, with these columns at least."""
        ...

    def notes(self) -> Sequence[str]:
        """What readers should know: rows that are on their way."""
        ...


def readable(dataset: Dataset, files: ArrowFiles) -> Readable:
    kind: Any = HudiTable if dataset.format == "hudi" else ParquetTable
    made: Readable = kind(dataset, files)
    return made


class ParquetTable:
    """Read by Arrow as DuckDB asks: only columns and row groups that the SQL needs."""

    def __init__(self, dataset: Dataset, files: ArrowFiles) -> None:
        self._dataset, self._files = dataset, files
        self._reader = ParquetReader(files)
        self._keys = self._reader.keys(dataset)

    def schema(self) -> pa.Schema:
        """Of the newest file: every file is written with all columns of its time, and older ones
        are rewritten when a type grows."""
        if not self._keys:
            return pa.schema([])
        newest = max(self._keys, key=lambda key: key.rpartition("/")[2])
        schema = self._reader.file_schema(self._dataset, newest)
        absent = [c for c in self._dataset.partition_by if c not in schema.names]
        return pa.schema([*schema, *(pa.field(c, pa.string()) for c in absent)])

    def put_in(
        self,
        base: duckdb.DuckDBPyConnection,
        names: Sequence[str],
        columns: Sequence[str],  # noqa: ARG002 - DuckDB asks for what it needs
    ) -> None:
        whole = self._files.dataset(self._keys, self.schema(), table_prefix(self._dataset.table))
        for name in names:
            base.register(name, whole)

    def notes(self) -> Sequence[str]:
        why = self._reader.look(self._dataset).unsettled
        return [f"{self._dataset.table}: {why}"] if why else []


class HudiTable:
    """Read once, before the SQL runs: hudi-rs gives a stream."""

    def __init__(self, dataset: Dataset, files: ArrowFiles) -> None:
        self._dataset, self._reader = dataset, HudiReader(files)

    def schema(self) -> pa.Schema:
        found = self._reader.schema(self._dataset)
        kept = [f for f in found if f.name != "_hoodie_is_deleted"]
        return pa.schema(kept)

    def put_in(
        self, base: duckdb.DuckDBPyConnection, names: Sequence[str], columns: Sequence[str]
    ) -> None:
        held = {f.name: f for f in self.schema()}
        schema = pa.schema([held[c] for c in columns])
        batches = (b.select(columns) for b in self._reader.batches(self._dataset, columns))
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        first, *others = (_quoted(n) for n in names)
        base.register("lake_stream", reader)
        base.execute(f"CREATE TABLE {first} AS SELECT * FROM lake_stream")  # noqa: S608 - quoted
        base.unregister("lake_stream")
        for name in others:
            base.execute(f"CREATE VIEW {name} AS SELECT * FROM {first}")  # noqa: S608 - quoted

    def notes(self) -> Sequence[str]:
        return []


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
