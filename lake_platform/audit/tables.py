"""Tables through engines that did not write them: DuckDB reads Parquet, hudi-rs reads Hudi.

Both read the local disk. Rows come as Arrow batches, a few thousand at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from lake_platform.audit.sources import TableLook, TableReader
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.layout import batch_log_prefix, table_prefix
from lake_platform.domain.ports import ObjectStore
from lake_platform.errors import TableDamagedError, UnsupportedError

_ROWS = 50_000
_DELETED = "_hoodie_is_deleted"


def open_reader(format_: Format, store: ObjectStore) -> TableReader:
    """Raises: UnsupportedError when the storage is not this machine's disk."""
    _local(store.url(""))
    return HudiReader(store) if format_ == "hudi" else ParquetReader(store)


def _local(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise UnsupportedError(
            f"storage {parts.scheme}: tables are audited on a local disk only so far (file:); "
            f"copy or mount the storage root and audit there with LAKE_STORAGE_URL=file:///..."
        )
    return Path(unquote(parts.path))


class ParquetReader:
    """Every `*.parquet` a blind listing finds under the table; its log says what is applied."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def look(self, dataset: Dataset) -> TableLook:
        keys = {i.key for i in self._store.list(batch_log_prefix(dataset.table))}
        records = sorted(k for k in keys if k.endswith(".json"))
        if not records:
            return TableLook(0, "")
        newest = records[-1]
        batch = json.loads(self._store.get(newest))["batch"]
        why = ""
        if newest.removesuffix(".json") + ".published" not in keys:
            why = "files of its newest batch are still being moved into it"
        elif batch.get("reapply"):
            why = "its newest batch is applied once more under a new schema"
        return TableLook(batch["applied"], newest, why)

    def schema(self, dataset: Dataset) -> pa.Schema:
        for batch in self.batches(dataset, ["*"]):
            return batch.schema
        return pa.schema([])

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import duckdb

        files = [
            str(_local(self._store.url(i.key)))
            for i in self._store.list(table_prefix(dataset.table))
            if i.key.endswith(".parquet") and not _hidden(i.key)
        ]
        if not files:
            return
        listed = ", ".join(columns)
        with duckdb.connect() as database:
            try:
                found = database.sql(
                    f"SELECT {listed} FROM read_parquet($1, union_by_name = true, "  # noqa: S608
                    f"hive_partitioning = false)",
                    params=[files],
                )
                yield from found.to_arrow_reader(_ROWS)
            except duckdb.Error as error:
                why = str(error).splitlines()[0]
                raise TableDamagedError(dataset.table, why, "DuckDB cannot read it") from None


def _hidden(key: str) -> bool:
    """As Spark's own readers skip them."""
    return any(part.startswith(("_", ".")) for part in key.split("/")[2:])


class HudiReader:
    """The newest snapshot; log files are merged and rows marked as deleted left out."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def look(self, dataset: Dataset) -> TableLook:
        if not self._exists(dataset):
            return TableLook(0, "")
        timeline = self._open(dataset).get_timeline()
        instants = [*timeline.get_completed_commits(), *timeline.get_completed_deltacommits()]
        applied, newest = 0, {}
        for instant in sorted(instants, key=lambda i: str(i.timestamp)):
            extra = json.loads(timeline.get_instant_metadata_in_json(instant)).get("extraMetadata")
            if "lake.batch" in (extra or {}):
                newest = json.loads(extra["lake.batch"])
                applied = max(applied, newest["applied"])
        why = ""
        if newest.get("reapply"):
            why = "its newest batch is applied once more"
        version = ",".join(str(i.timestamp) for i in instants)
        return TableLook(applied, version, why)

    def schema(self, dataset: Dataset) -> pa.Schema:
        return self._open(dataset).get_schema() if self._exists(dataset) else pa.schema([])

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from hudi import HudiReadOptions

        if not self._exists(dataset):
            return
        wanted = list(columns)
        if _DELETED in self.schema(dataset).names:
            wanted.append(_DELETED)
        options = HudiReadOptions(projection=wanted).with_batch_size(_ROWS)
        try:
            for found in self._open(dataset).read_stream(options):
                yield _live(pa.record_batch(found))
        except Exception as error:  # hudi-rs raises its own type, and the file system's
            why = str(error).splitlines()[0]
            raise TableDamagedError(dataset.table, why, "hudi-rs cannot read it") from None

    def _exists(self, dataset: Dataset) -> bool:
        key = f"{table_prefix(dataset.table)}.hoodie/hoodie.properties"
        return self._store.head(key) is not None

    def _open(self, dataset: Dataset) -> Any:
        from hudi import HudiTableBuilder

        url = self._store.url(table_prefix(dataset.table).rstrip("/"))
        return HudiTableBuilder.from_base_uri(url).build()


def _live(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow.compute as pc

    if _DELETED not in batch.schema.names:
        return batch
    deleted = pc.fill_null(batch.column(_DELETED), False)
    return batch.filter(pc.invert(deleted)).drop_columns([_DELETED])
