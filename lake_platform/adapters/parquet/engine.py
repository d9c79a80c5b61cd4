"""Parquet tables (append only): the batch log is the commit, publishing follows it.

1. The batch is decoded into a staging directory of its own claim (with transforms Spark makes files
   of those, in the same directory).
2. One record, put-if-absent, in `checkpoints/<table>/phase2/batches/` names batch, checkpoint and
   files: this is the commit, one writer wins it.
3. The files move from staging into the table; whoever finds a record unpublished finishes that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.moving import keys, move, remove
from lake_platform.adapters.parquet.log import BatchLog, BatchRecord
from lake_platform.adapters.parquet.looking import exact_as_double, footer_rows, newest, profiled
from lake_platform.adapters.parquet.widen import widened
from lake_platform.adapters.spark.culprit import check_steps
from lake_platform.adapters.spark.errors import look_errors, write_errors
from lake_platform.adapters.spark.looking import StepsBySpark
from lake_platform.adapters.spark.rows import (
    newest_rows,
    profile,
    rows,
)
from lake_platform.code.pins import NO_CODE, CodeBase
from lake_platform.domain.batches import (
    AppliedBatch,
    BatchJob,
    BatchRange,
    Claim,
    Layout,
    StagedFile,
    TableProfile,
    TableState,
    WriteResult,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import (
    seq_name,
    staging_prefix,
    table_prefix,
)
from lake_platform.domain.own_columns import append_key
from lake_platform.domain.ports import Still
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema_json import to_json
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILE_BYTES = 128 << 20  # of raw JSON; a fifth of that as Parquet


class ParquetEngine(StepsBySpark):
    """`session` opens the Spark session on first use; `state` never needs it."""

    def __init__(
        self, session: Callable[[], SparkSession], store: ObjectStore, code: CodeBase = NO_CODE
    ) -> None:
        super().__init__(session, store, code)
        self._log = BatchLog(store)

    def heavy(self, dataset: Dataset) -> bool:  # noqa: ARG002 - port
        return False

    def warm(self, dataset: Dataset) -> None:
        if dataset.transformed:
            with look_errors(dataset.table):
                self._session()

    def state(self, dataset: Dataset) -> TableState:
        last = self._log.published(dataset.table)
        return TableState(True, last.batch.applied, last.batch) if last else TableState(False, 0)

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:
        if dataset.transformed:
            return False
        return exact_as_double(self._store, self._log.live_files(dataset.table), paths)

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:
        return self._log.aligned(dataset.table, batch)

    def fence(self, dataset: Dataset, epoch: int) -> None:
        self._log.fence(dataset.table, epoch)

    def profile(self, dataset: Dataset) -> TableProfile:
        found = None
        if not dataset.explode:
            found = profiled(self._store, self._log.live_files(dataset.table))
        if found is not None:
            return found
        with look_errors(dataset.table):
            return profile(self._table(dataset), append_key(dataset))

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        last = self._log.last(dataset.table)
        if last is None or not last.files:
            return []
        if not dataset.transformed and self._folders(dataset).columns_in_files:
            return newest(self._store, last.files.values(), columns, limit)
        root = self._store.url(table_prefix(dataset.table).rstrip("/"))
        urls = [self._store.url(key) for key in last.files.values()]
        with look_errors(dataset.table):
            frame = self._session().read.option("basePath", root).parquet(*urls)
            return newest_rows(frame, columns, limit)

    def _table(self, dataset: Dataset) -> DataFrame:
        root = self._store.url(table_prefix(dataset.table).rstrip("/"))
        return self._session().read.option("mergeSchema", "true").parquet(root)

    def uncompacted(self, dataset: Dataset) -> int:  # noqa: ARG002 - port
        return 0

    def compact(self, dataset: Dataset, claim: Claim) -> bool:  # noqa: ARG002 - port
        return True

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        raise NotImplementedError("a Parquet batch cannot be committed twice")

    def layout(self, dataset: Dataset) -> Layout | None:
        return None if dataset.transformed else self._folders(dataset)

    def write(self, job: BatchJob) -> WriteResult:
        table = job.dataset.table
        # Only the newest record is ever looked at, so it is published before it gets a successor.
        last = self._log.published(table)
        # Before the look at the fence, which is there before a number of a new table is.
        number = last.number + 1 if last else self._log.free(table, job.dataset.first_epoch)
        self._log.check_next(job, last)
        staged = self._through_spark(job) if job.dataset.transformed else job.staged
        if self._widen(job, last):
            number += 1
        record = BatchRecord(
            number=number,
            nonce=job.claim.nonce,
            batch=_applied(job, number, sum(f.rows for f in staged)),
            files={f.key: _final(job, number, f.key) for f in staged},
            replaces=tuple(self._log.replaced(job)) if job.replay else (),
            size_bytes=sum(f.bytes for f in staged),
            columns=to_json(job.table_schema),
        )
        self._log.commit(job, record)
        self._log.publish(table, record)
        return WriteResult(record.batch, job.table_schema, len(staged), record.size_bytes)

    def clear(self, dataset: Dataset, still: Still) -> None:
        self._log.close(dataset.table, still)
        remove(self._store, keys(self._store, table_prefix(dataset.table)), still)

    def move_in(self, shadow: Dataset, dataset: Dataset, still: Still) -> None:
        source, target = table_prefix(shadow.table), table_prefix(dataset.table)
        held = [key.removeprefix(source) for key in keys(self._store, source)]
        move(self._store, [(source + name, target + name) for name in held], still)
        still()
        self._log.copy(shadow.table, dataset.table)

    def _widen(self, job: BatchJob, last: BatchRecord | None) -> bool:
        """Whether a record of its own was needed, of older files with the types of this batch."""
        record = widened(self._store, self._log, job, last)
        if record is None:
            return False
        self._log.commit(job, record)
        self._log.publish(job.dataset.table, record)
        return True

    def _through_spark(self, job: BatchJob) -> list[StagedFile]:
        """Files that Spark made of the staged ones."""
        spark = self._ready(job.dataset)
        prefix = f"{staging_prefix(job.dataset.table, job.batch.id, job.claim.nonce)}transformed/"
        with write_errors(job, lambda: check_steps(spark, job, self._store)):
            frame = rows(spark, job, self._store)
            url = self._store.url(prefix.rstrip("/"))
            _written(frame, job, self._folders(job.dataset), url)
        made = [i for i in self._store.list(prefix) if i.key.endswith(".parquet")]
        return [StagedFile(i.key, footer_rows(self._store.get(i.key)), i.size) for i in made]

    def _folders(self, dataset: Dataset) -> Layout:
        """A table goes on as it was begun."""
        first = self._log.any_file(dataset.table) if dataset.partition_by else None
        return Layout(columns_in_files=first is None or f"/{Layout().folder('')}" in first)


def _written(frame: DataFrame, job: BatchJob, layout: Layout, url: str) -> None:
    """Few files: one per 128 MB of raw JSON and partition value."""
    from pyspark.sql import functions as F

    files = max(1, sum(o.raw_bytes for o in job.objects) // _FILE_BYTES)
    named = job.dataset.partition_by
    if not named:
        frame.coalesce(max(2, files)).write.mode("overwrite").parquet(url)
        return
    if layout.columns_in_files:
        folders = {layout.folder(c): F.col(f"`{c}`").cast("string") for c in named}
        frame = frame.withColumns(folders)
    frame = frame.repartition(max(2, files), *[F.col(f"`{layout.folder(c)}`") for c in named])
    frame.write.mode("overwrite").partitionBy(*map(layout.folder, named)).parquet(url)


def _final(job: BatchJob, number: int, staged: str) -> str:
    """Where a staged file goes: its folder, and a name that is its own in all of the table."""
    *folders, name = staged.split("/")[4:]
    folders = [f for f in folders if "=" in f]
    part, tail = name.split(".")[0].split("-")[1], zlib.crc32(name.encode()) & 0xFFFF
    target = f"{job.batch.id}-{number:08d}-{part}-{tail:04x}.zstd.parquet"
    return table_prefix(job.dataset.table) + "/".join([*folders, target])


def _applied(job: BatchJob, number: int, written: int) -> AppliedBatch:
    dropped = job.dropped
    if job.dataset.transformed and not job.dataset.explode:
        dropped += max(0, job.records - job.quarantined - job.dropped - written)
    return AppliedBatch(
        batch=job.batch,
        applied=job.applied,
        epoch=job.claim.epoch,
        instant=seq_name(number),
        schema_version=job.schema_version,
        replay=job.replay,
        reapply=job.reapply,
        balance=Balance(
            records=job.records,
            written=written,
            dropped=dropped,
            quarantined=job.quarantined,
            exploded=job.exploded,
        ),
        quarantine_keys=job.quarantine_keys,
    )
