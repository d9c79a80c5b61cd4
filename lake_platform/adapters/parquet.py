"""Parquet tables (append only): the batch log is the commit, publishing follows it.

1. Spark writes the batch to a staging directory of its own claim.
2. One record, put-if-absent, in `checkpoints/<table>/phase2/batches/` names batch, checkpoint and
   files: this is the commit, one writer wins it.
3. The files move from staging into the table; whoever finds a record unpublished finishes that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark_rows import (
    derive,
    engine_errors,
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
from lake_platform.domain.layout import (
    batch_log_prefix,
    lock_prefix,
    seq_name,
    staging_prefix,
    table_prefix,
)
from lake_platform.domain.ports import ObjectStore
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Struct
from lake_platform.errors import CommitRaceError, StorageUnavailableError, TableDamagedError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILE_BYTES = 128 << 20  # of raw JSON; a fifth of that as Parquet


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One line of the batch log. `files` maps staged to final key, `replaces` lists final keys
    of earlier records that this one takes the place of."""

    number: int
    nonce: str
    batch: AppliedBatch
    files: dict[str, str]
    replaces: tuple[str, ...]
    size_bytes: int

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> BatchRecord:
        plain: dict[str, Any] = json.loads(data)
        plain["batch"] = AppliedBatch.from_dict(plain["batch"])
        plain["replaces"] = tuple(plain["replaces"])
        return cls(**plain)


class ParquetEngine:
    """`session` opens the Spark session on first use; `state` never needs it."""

    def __init__(self, session: Callable[[], SparkSession], store: ObjectStore) -> None:
        self._session, self._store = session, store
        self._known: dict[str, int] = {}  # table -> a record number that exists

    def state(self, dataset: Dataset) -> TableState:
        last = self._published(dataset.table)
        return TableState(True, last.batch.applied, last.batch) if last else TableState(False, 0)

    def derive(self, dataset: Dataset, source: Struct) -> Struct:
        return derive(self._session(), dataset, source)

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:
        """Files belong to whole batches, so a replay replaces whole batches."""
        first, last = batch.first_seq, batch.last_seq
        for record in self._records(dataset.table):
            held = record.batch.batch
            if held.first_seq <= last and first <= held.last_seq:
                first, last = min(first, held.first_seq), max(last, held.last_seq)
        return BatchRange(first, last)

    def fence(self, dataset: Dataset, epoch: int) -> None:
        """A mark that a sleeping writer finds before its commit. Safety does not hang on it: the
        batch log takes one record a number, and none of a batch that is applied already."""
        self._store.put(_fence_key(dataset.table, epoch), b"")

    def profile(self, dataset: Dataset) -> TableProfile:
        return profile(self._table(dataset), ("_kafka_partition", "_kafka_offset"))

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        last = self._last(dataset.table)
        if last is None or not last.files:
            return []
        root = self._store.url(table_prefix(dataset.table).rstrip("/"))
        urls = [self._store.url(key) for key in last.files.values()]
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
        last = self._published(table)
        self._check_next(job, last)
        staging = staging_prefix(table, job.batch.id, job.claim.nonce)
        with engine_errors(job):
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
            replaces=tuple(self._replaced(job)) if job.replay else (),
            size_bytes=sum(i.size for i in staged),
        )
        self._commit(job, record)
        self._publish(table, record)
        return WriteResult(record.batch, schema, len(staged), record.size_bytes)

    def _check_next(self, job: BatchJob, last: BatchRecord | None) -> None:
        """Raises: CommitRaceError when a later claim was made, or this batch is in the table."""
        held = last.batch if last else None
        behind = held is not None and (
            held.epoch >= job.claim.epoch
            or held.applied > job.applied  # what is behind the checkpoint would be applied twice
            # Written without its new columns a batch is in the table, though not applied.
            or (not job.replay and (held.reapply or held.applied >= job.batch.first_seq))
        )
        if behind or self._store.head(_fence_key(job.dataset.table, job.claim.epoch)) is not None:
            raise CommitRaceError(
                f"table {job.dataset.table!r}: another writer took over batch {job.batch}; "
                f"nothing of this attempt is in the table, load again"
            )

    def _commit(self, job: BatchJob, record: BatchRecord) -> None:
        self._check_next(job, None)
        key = _record_key(job.dataset.table, record.number)
        try:
            won = self._store.put_new(key, record.to_bytes())
        except StorageUnavailableError:
            won = False
            if self._store.head(key) is None:
                raise
        if not won and BatchRecord.from_bytes(self._store.get(key)).nonce != record.nonce:
            raise CommitRaceError(
                f"table {job.dataset.table!r}: another writer committed batch record "
                f"{record.number} first; nothing of this attempt is in the table, load again"
            )

    def _published(self, table: str) -> BatchRecord | None:
        """The newest record, after its files were moved into the table."""
        last = self._last(table)
        if last and self._store.head(_published_key(table, last.number)) is None:
            self._publish(table, last)
        return last

    def _publish(self, table: str, record: BatchRecord) -> None:
        self._store.delete(record.replaces)
        for staged, final in record.files.items():
            try:
                self._store.move(staged, final)
            except KeyError:
                if self._store.head(final) is None and not self._published_by_another(
                    table, record
                ):
                    raise TableDamagedError(
                        table, final, f"batch record {record.number} names it, and it is not at "
                        f"{staged!r} either",
                    ) from None  # fmt: skip
        self._store.put(_published_key(table, record.number), b"")

    def _published_by_another(self, table: str, record: BatchRecord) -> bool:
        """Whether somebody finished this while we stood still; a later record may have replaced
        the file since."""
        return self._store.head(_published_key(table, record.number)) is not None

    def _count(self, spark: SparkSession, keys: list[str]) -> int:
        """Rows in the staged files, from their footers."""
        # int(): Spark Connect counts in numpy integers, which JSON does not know.
        return int(spark.read.parquet(*[self._store.url(k) for k in keys]).count()) if keys else 0

    def _replaced(self, job: BatchJob) -> Iterator[str]:
        dead: set[str] = set()
        for record in self._records(job.dataset.table):
            held = record.batch.batch
            dead.update(record.replaces)
            inside = job.batch.first_seq <= held.first_seq and held.last_seq <= job.batch.last_seq
            yield from (f for f in record.files.values() if inside and f not in dead)

    def _records(self, table: str) -> Iterator[BatchRecord]:
        for info in self._store.list(batch_log_prefix(table)):
            if info.key.endswith(".json"):
                yield BatchRecord.from_bytes(self._store.get(info.key))

    def _last(self, table: str) -> BatchRecord | None:
        """Records are numbered from 1 without holes and never removed, so the newest one is found
        by a few HEADs, however long the log is."""
        low = self._known.get(table, 0)
        step = 1
        while self._has(table, low + step):
            low += step
            step *= 2
        while step > 1:
            step //= 2
            if self._has(table, low + step):
                low += step
        if not low:
            return None
        try:
            record = BatchRecord.from_bytes(self._store.get(_record_key(table, low)))
        except KeyError:  # the table was removed whole, to be built again
            if self._known.pop(table, None) is None:
                raise
            return self._last(table)
        self._known[table] = low
        return record

    def _has(self, table: str, number: int) -> bool:
        return self._store.head(_record_key(table, number)) is not None


def _record_key(table: str, number: int) -> str:
    return f"{batch_log_prefix(table)}{seq_name(number)}.json"


def _published_key(table: str, number: int) -> str:
    return f"{batch_log_prefix(table)}{seq_name(number)}.published"


def _fence_key(table: str, epoch: int) -> str:
    return f"{lock_prefix(table, epoch)}fenced"


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
