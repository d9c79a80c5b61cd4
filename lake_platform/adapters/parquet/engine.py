"""Parquet tables (append only): the batch log is the commit, publishing follows it.

1. Spark writes the batch to a staging directory of its own claim.
2. One record, put-if-absent, in `checkpoints/<table>/phase2/batches/` names batch, checkpoint and
   files: this is the commit, one writer wins it.
3. The files move from staging into the table; whoever finds a record unpublished finishes that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.parquet.log import BatchLog, BatchRecord
from lake_platform.adapters.spark.errors import look_errors, write_errors
from lake_platform.adapters.spark.rows import (
    derive,
    newest_rows,
    profile,
    rows,
    table_columns,
)
from lake_platform.domain.batches import (
    AppliedBatch,
    BatchJob,
    BatchRange,
    Claim,
    TableProfile,
    TableState,
    WriteResult,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import seq_name, staging_prefix, table_prefix
from lake_platform.domain.ports import ObjectStore
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Struct

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILE_BYTES = 128 << 20  # of raw JSON; a fifth of that as Parquet


class ParquetEngine:
    """`session` opens the Spark session on first use; `state` never needs it."""

    def __init__(self, session: Callable[[], SparkSession], store: ObjectStore) -> None:
        self._session, self._store = session, store
        self._log = BatchLog(store)

    def state(self, dataset: Dataset) -> TableState:
        last = self._log.published(dataset.table)
        return TableState(True, last.batch.applied, last.batch) if last else TableState(False, 0)

    def derive(self, dataset: Dataset, source: Struct) -> Struct:
        with look_errors(dataset.table):
            return derive(self._session(), dataset, source)

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:
        return self._log.aligned(dataset.table, batch)

    def fence(self, dataset: Dataset, epoch: int) -> None:
        self._log.fence(dataset.table, epoch)

    def profile(self, dataset: Dataset) -> TableProfile:
        with look_errors(dataset.table):
            return profile(self._table(dataset), ("_kafka_partition", "_kafka_offset"))

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        last = self._log.last(dataset.table)
        if last is None or not last.files:
            return []
        root = self._store.url(table_prefix(dataset.table).rstrip("/"))
        urls = [self._store.url(key) for key in last.files.values()]
        with look_errors(dataset.table):
            frame = self._session().read.option("basePath", root).parquet(*urls)
            return newest_rows(frame, columns, limit)

    def _table(self, dataset: Dataset) -> DataFrame:
        root = self._store.url(table_prefix(dataset.table).rstrip("/"))
        return self._session().read.option("mergeSchema", "true").parquet(root)

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        raise NotImplementedError("a Parquet batch cannot be committed twice")

    def write(self, job: BatchJob) -> WriteResult:
        spark = self._session()
        table = job.dataset.table
        # Only the newest record is ever looked at, so it is published before it gets a successor.
        last = self._log.published(table)
        self._log.check_next(job, last)
        staging = staging_prefix(table, job.batch.id, job.claim.nonce)
        with write_errors(job):
            frame = _laid_out(rows(spark, job, self._store), job)
            writer = frame.write.mode("overwrite")
            if job.dataset.partition_by:
                writer = writer.partitionBy(*job.dataset.partition_by)
            writer.parquet(self._store.url(staging.rstrip("/")))
            staged = [i for i in self._store.list(staging) if i.key.endswith(".parquet")]
            written = self._count(spark, [i.key for i in staged])
            schema = table_columns(frame.schema)
        number = last.number + 1 if last else 1
        record = BatchRecord(
            number=number,
            nonce=job.claim.nonce,
            batch=_applied(job, number, written),
            files={i.key: _final(job, number, i.key, staging) for i in staged},
            replaces=tuple(self._log.replaced(job)) if job.replay else (),
            size_bytes=sum(i.size for i in staged),
        )
        self._log.commit(job, record)
        self._log.publish(table, record)
        return WriteResult(record.batch, schema, len(staged), record.size_bytes)

    def _count(self, spark: SparkSession, keys: list[str]) -> int:
        """Rows in the staged files, from their footers."""
        # int(): Spark Connect counts in numpy integers, which JSON does not know.
        return int(spark.read.parquet(*[self._store.url(k) for k in keys]).count()) if keys else 0


def _laid_out(frame: DataFrame, job: BatchJob) -> DataFrame:
    """Few files: one per 128 MB of raw JSON and partition value."""
    from pyspark.sql import functions as F

    files = max(1, sum(o.raw_bytes for o in job.objects) // _FILE_BYTES)
    if job.dataset.partition_by:
        columns = [F.col(f"`{c}`") for c in job.dataset.partition_by]
        return frame.repartition(max(2, files), *columns)
    return frame.coalesce(max(2, files))


def _final(job: BatchJob, number: int, staged: str, staging: str) -> str:
    *folders, name = staged[len(staging) :].split("/")
    part = name.split("-")[1]  # part-00003-<uuid>...: the task is unique within the batch
    target = f"{job.batch.id}-{number:08d}-{part}-{name.split('.')[-3][-4:]}.zstd.parquet"
    return table_prefix(job.dataset.table) + "/".join([*folders, target])


def _applied(job: BatchJob, number: int, written: int) -> AppliedBatch:
    dropped = job.dropped
    if job.dataset.transformed:
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
            records=job.records, written=written, dropped=dropped, quarantined=job.quarantined
        ),
        quarantine_keys=job.quarantine_keys,
    )
