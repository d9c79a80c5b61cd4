"""Tables through engines that did not write them: Arrow's own reader for Parquet, hudi-rs for Hudi.

Rows come as Arrow batches, a few thousand at a time, whether the files are on a local disk or S3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from lake_platform.audit.files import ArrowFiles
from lake_platform.audit.sources import TableLook, TableReader
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.layout import batch_log_prefix, table_prefix
from lake_platform.errors import LakeError, TableUnreadableError

_ROWS = 50_000
_DELETED = "_hoodie_is_deleted"
_BATCH = "lake.batch"


def open_reader(format_: Format, files: ArrowFiles) -> TableReader:
    return HudiReader(files) if format_ == "hudi" else ParquetReader(files)


class ParquetReader:
    """Every `*.parquet` a blind listing finds under the table; its log says what is applied."""

    def __init__(self, files: ArrowFiles) -> None:
        self._files = files

    def look(self, dataset: Dataset) -> TableLook:
        found = list(self._files.list(batch_log_prefix(dataset.table)))
        keys = {f.key for f in found}
        # Empty ones are numbers of a table that a rebuilt one took the place of.
        records = sorted(f.key for f in found if f.size and f.key.endswith(".json"))
        if not records:
            return TableLook(0, "")
        newest = records[-1]
        batch = json.loads(self._files.read(newest))["batch"]
        why = ""
        if newest.removesuffix(".json") + ".published" not in keys:
            why = "files of its newest batch are still being moved into it"
        elif batch.get("reapply"):
            why = "its newest batch is applied once more under a new schema"
        return TableLook(batch["applied"], newest, why)

    def schema(self, dataset: Dataset) -> pa.Schema:
        schemas = [self.file_schema(dataset, key) for key in self.keys(dataset)]
        return pa.unify_schemas(schemas, promote_options="permissive") if schemas else pa.schema([])

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for key in self.keys(dataset):
            with self._opened(dataset, key) as file:
                if absent := sorted(set(columns) - set(file.schema_arrow.names)):
                    raise _unreadable(dataset, key, f"it has no column {', '.join(absent)}")
                # One row group at a time: together they would be held until the file is closed.
                for group in range(file.num_row_groups):
                    yield from file.iter_batches(_ROWS, row_groups=[group], columns=list(columns))

    def keys(self, dataset: Dataset) -> list[str]:
        listed = (file.key for file in self._files.list(table_prefix(dataset.table)))
        return [key for key in listed if key.endswith(".parquet") and not _hidden(key)]

    def file_schema(self, dataset: Dataset, key: str) -> pa.Schema:
        with self._opened(dataset, key) as file:
            return file.schema_arrow

    @contextmanager
    def _opened(self, dataset: Dataset, key: str) -> Iterator[Any]:
        import pyarrow.parquet as pq

        try:
            with (
                self._files.open(key) as data,
                self._files.reading(key, content=True),
                # The columns of a row group in few requests instead of one a page.
                pq.ParquetFile(data, pre_buffer=True) as file,
            ):
                yield file
        except KeyError:
            raise _unreadable(dataset, key, "it is gone") from None
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(dataset, key, str(error).splitlines()[0]) from None


def _unreadable(dataset: Dataset, key: str, why: str) -> TableUnreadableError:
    return TableUnreadableError(dataset.table, "Arrow", f"{key}: {why}")


def _hidden(key: str) -> bool:
    """As Spark's own readers skip them."""
    return any(part.startswith(("_", ".")) for part in key.split("/")[2:])


class HudiReader:
    """The newest snapshot; log files are merged and rows marked as deleted left out."""

    def __init__(self, files: ArrowFiles) -> None:
        self._files = files

    def look(self, dataset: Dataset) -> TableLook:
        with self._reading(dataset):
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
        with self._reading(dataset):
            table = self._table(dataset)
            return pa.schema([]) if table is None else table.get_schema()

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from hudi import HudiReadOptions

        with self._reading(dataset):
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

        if self._files.size(_properties(dataset)) is None:
            return None
        uri, options = self._files.hudi_address(table_prefix(dataset.table))
        table = HudiTableBuilder.from_base_uri(uri).with_storage_options(dict(options)).build()
        return table if _completed(table.get_timeline()) else None

    @contextmanager
    def _reading(self, dataset: Dataset) -> Iterator[None]:
        try:
            yield
        except LakeError:
            raise
        except Exception as error:  # hudi-rs raises types of its own, and the file system's
            # It does not tell a storage that does not answer from a bad table: that is asked here.
            self._files.size(_properties(dataset))
            why = str(error).splitlines()[0]
            raise TableUnreadableError(dataset.table, "hudi-rs", why) from None


def _properties(dataset: Dataset) -> str:
    return f"{table_prefix(dataset.table)}.hoodie/hoodie.properties"


def _completed(timeline: Any) -> list[Any]:
    return [*timeline.get_completed_commits(), *timeline.get_completed_deltacommits()]


def _live(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow.compute as pc

    if _DELETED not in batch.schema.names:
        return batch
    deleted = pc.fill_null(batch.column(_DELETED), False)
    return batch.filter(pc.invert(deleted)).drop_columns([_DELETED])
