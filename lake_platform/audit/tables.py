"""Tables through engines that did not write them: DuckDB reads Parquet, hudi-rs reads Hudi.

Both read the local disk. Rows come as Arrow batches, a few thousand at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from lake_platform.audit.sources import TableLook, TableReader
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.layout import batch_log_prefix, table_prefix
from lake_platform.domain.ports import ObjectStore
from lake_platform.errors import LakeError, TableUnreadableError, UnsupportedError

_ROWS = 50_000
_DELETED = "_hoodie_is_deleted"
_BATCH = "lake.batch"


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
                raise TableUnreadableError(dataset.table, "DuckDB", why) from None


def _hidden(key: str) -> bool:
    """As Spark's own readers skip them."""
    return any(part.startswith(("_", ".")) for part in key.split("/")[2:])


class HudiReader:
    """The newest snapshot; log files are merged and rows marked as deleted left out."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def look(self, dataset: Dataset) -> TableLook:
        with _translated(dataset):
            table = self._table(dataset)
            if table is None:
                return TableLook(0, "")
            timeline = table.get_timeline()
            instants = sorted(_completed(timeline), key=lambda i: str(i.timestamp))
            told = (json.loads(timeline.get_instant_metadata_in_json(i)) for i in instants)
            extras = [t.get("extraMetadata") or {} for t in told]
        batches = [json.loads(e[_BATCH]) for e in extras if _BATCH in e]
        again = bool(batches) and batches[-1].get("reapply")
        return TableLook(
            applied=max((b["applied"] for b in batches), default=0),
            version=",".join(str(i.timestamp) for i in instants),
            unsettled="its newest batch is applied once more" if again else "",
        )

    def schema(self, dataset: Dataset) -> pa.Schema:
        with _translated(dataset):
            table = self._table(dataset)
            return pa.schema([]) if table is None else table.get_schema()

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from hudi import HudiReadOptions

        with _translated(dataset):
            table = self._table(dataset)
            if table is None:
                return
            wanted = list(columns)
            if _DELETED in table.get_schema().names:
                wanted.append(_DELETED)
            options = HudiReadOptions(projection=wanted).with_batch_size(_ROWS)
            for found in table.read_stream(options):
                yield _live(pa.record_batch(found))

    def _table(self, dataset: Dataset) -> Any:
        """None while nothing is committed: hudi-rs cannot open such a table."""
        from hudi import HudiTableBuilder

        prefix = table_prefix(dataset.table)
        if self._store.head(f"{prefix}.hoodie/hoodie.properties") is None:
            return None
        table = HudiTableBuilder.from_base_uri(self._store.url(prefix.rstrip("/"))).build()
        return table if _completed(table.get_timeline()) else None


def _completed(timeline: Any) -> list[Any]:
    return [*timeline.get_completed_commits(), *timeline.get_completed_deltacommits()]


@contextmanager
def _translated(dataset: Dataset) -> Iterator[None]:
    try:
        yield
    except LakeError:
        raise
    except Exception as error:  # hudi-rs raises types of its own, and the file system's
        why = str(error).splitlines()[0]
        raise TableUnreadableError(dataset.table, "hudi-rs", why) from None


def _live(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow.compute as pc

    if _DELETED not in batch.schema.names:
        return batch
    deleted = pc.fill_null(batch.column(_DELETED), False)
    return batch.filter(pc.invert(deleted)).drop_columns([_DELETED])
