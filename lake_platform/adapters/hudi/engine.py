"""Hudi tables: data and checkpoint in one Hudi commit, fenced by the claim's epoch.

Why each option is there is written in docs/delivery.md (fence) and docs/architecture.md (index).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.hudi import timeline
from lake_platform.adapters.hudi.compaction import compact, uncompacted
from lake_platform.adapters.hudi.keys import (
    KEY,
    check_old_folders,
    check_old_keys,
    record_key,
)
from lake_platform.adapters.hudi.options import (
    FIRST_BATCH,
    fenced_options,
    key_options,
    mode_options,
    table_type,
    tasks,
)
from lake_platform.adapters.hudi.ordering import ordered, ordering_column
from lake_platform.adapters.hudi.removed import take_out
from lake_platform.adapters.hudi.tombstones import delete_rows
from lake_platform.adapters.hudi.upsert import Upsert, keyed, prepared
from lake_platform.adapters.moving import keys, move, remove
from lake_platform.adapters.spark.culprit import check_steps
from lake_platform.adapters.spark.errors import engine_errors, look_errors, write_errors
from lake_platform.adapters.spark.looking import StepsBySpark
from lake_platform.adapters.spark.rows import (
    DELETED,
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
    Layout,
    TableProfile,
    TableState,
    WriteResult,
    overtaken,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import lock_prefix, staging_prefix, table_prefix
from lake_platform.domain.own_columns import append_key
from lake_platform.domain.ports import Still
from lake_platform.domain.quality import Balance
from lake_platform.errors import EngineError, StorageUnavailableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Delta commits after which a load does what maintenance should have done long ago.
_COMPACT_OVERDUE = 100
# What Hudi says of a table with a broken hoodie.properties, and of one with the folders alone.
_HALF_MADE = ("hoodie.properties", "TableNotFoundException")


class HudiEngine(StepsBySpark):
    """`session` opens the Spark session on first use; `state` and `fence` never need it."""

    def state(self, dataset: Dataset) -> TableState:
        return timeline.state(self._store, dataset)

    def heavy(self, dataset: Dataset) -> bool:  # noqa: ARG002 - port
        return True

    def warm(self, dataset: Dataset) -> None:
        with look_errors(dataset.table):
            self._session()

    def layout(self, dataset: Dataset) -> Layout | None:  # noqa: ARG002 - port
        return None

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:  # noqa: ARG002
        return False  # older files stay as they are, and not every reader casts them

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:  # noqa: ARG002
        return batch  # rows are replaced one by one, by key

    def fence(self, dataset: Dataset, epoch: int) -> None:
        """A directory where that epoch's lock file would be: Hudi deletes a foreign lock *file*
        when its write fails, after which a retry would get through."""
        key = f"{lock_prefix(dataset.table, epoch)}lock/fenced"
        try:
            self._store.put(key, b"")
        except StorageUnavailableError:
            # The lock file is there: its writer died, or stands still, inside its commit. Its lock
            # never expires, so it can start no other write; `state` finds the commit if it comes.
            if self._store.head(f"{lock_prefix(dataset.table, epoch)}lock") is None:
                raise

    def write(self, job: BatchJob) -> WriteResult:
        spark, dataset = self._ready(job.dataset), job.dataset
        with write_errors(job, lambda: check_steps(spark, job, self._store)):
            frame = rows(spark, job, self._store)
            schema = table_columns(frame.schema)
            if dataset.mode == "upsert":
                commit = self._upserted(frame, job)
            else:
                if job.removed and timeline.completed(self._store, dataset.table):
                    path = self._store.url(table_prefix(dataset.table))
                    fenced = self._fenced_options(dataset.table, job.claim)
                    take_out(self._table(dataset), job, path, fenced)
                commit = self._saved(frame, job, self._options(job, append_key(dataset)))
        if commit is None:
            raise EngineError(
                f"Hudi reported batch {job.batch} of {job.dataset.table!r} as written, but no "
                f"commit of it is on the timeline; load again"
            )
        if self.uncompacted(dataset) >= _COMPACT_OVERDUE:
            self.compact(dataset, job.claim)
        return WriteResult(commit.batch, schema, commit.files, commit.bytes)

    def uncompacted(self, dataset: Dataset) -> int:
        return uncompacted(self._store, dataset.table) if table_type(dataset) == "mor" else 0

    def compact(self, dataset: Dataset, claim: Claim) -> bool:
        options = self._fenced_options(dataset.table, claim)
        return compact(self._session(), self._store, dataset.table, options)

    def profile(self, dataset: Dataset) -> TableProfile:
        key = dataset.primary_key if dataset.mode == "upsert" else append_key(dataset)
        with look_errors(dataset.table):
            return profile(self._table(dataset), key)

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        last = self.state(dataset).last
        if last is None:
            return []
        with look_errors(dataset.table):
            table = self._table(dataset)
            newest = table.where(table["_hoodie_commit_time"] == last.instant)
            return newest_rows(newest, columns, limit)

    def _table(self, dataset: Dataset) -> DataFrame:
        path = self._store.url(table_prefix(dataset.table))
        return self._session().read.format("hudi").load(path)

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        """Takes a doubled batch out of the table whole; it is applied once more after that."""
        path = self._store.url(table_prefix(dataset.table))
        double = state.doubled[0]
        last = state.last or double
        mark = AppliedBatch(
            double.batch, last.applied, claim.epoch, "", last.schema_version,
            replay=True, reapply=True,
        )  # fmt: skip
        options = {
            **self._fenced_options(dataset.table, claim),
            **key_options(dataset, append_key(dataset)),
            "hoodie.datasource.write.operation": "delete",
            "hoodie.index.type": "SIMPLE",
            **timeline.metadata_options(mark, claim.nonce, (double.instant,)),
        }  # fmt: skip
        keys = [*append_key(dataset), *dataset.partition_by]
        with engine_errors(
            f"taking late batch {double.batch} out of {dataset.table!r}",
            "it is still in there twice, the next load tries it again",
        ):
            table = self._table(dataset)
            doomed = table.where(table["_hoodie_commit_time"] == double.instant).select(*keys)
            _save(doomed, path, options)

    def clear(self, dataset: Dataset, still: Still) -> None:
        remove(
            self._store, sorted(self._keys(dataset), key=timeline.entry_last, reverse=True), still
        )

    def move_in(self, shadow: Dataset, dataset: Dataset, still: Still) -> None:
        source, target = table_prefix(shadow.table), table_prefix(dataset.table)
        held = sorted(self._keys(shadow), key=timeline.entry_last)
        move(self._store, [(key, target + key.removeprefix(source)) for key in held], still)

    def _keys(self, dataset: Dataset) -> list[str]:
        return keys(self._store, table_prefix(dataset.table))

    def _upserted(self, frame: DataFrame, job: BatchJob) -> timeline.LakeCommit | None:
        key = record_key(self._store, job.dataset, job.table_schema)
        if KEY not in key:
            check_old_keys(frame, job.dataset)
        check_old_folders(self._store, job.dataset, job.table_schema)
        by = ordering_column(self._store, job.dataset, job.table_schema)
        # Its creation may have been cut off: what has no commit has no rows.
        first = not timeline.completed(self._store, job.dataset.table)
        with self._prepared(frame, job, first=first) as upsert:
            options = self._options(job, key, upsert.deleted, by)
            rows = ordered(keyed(upsert.rows, key), job.dataset, by)
            if first:
                rows, options = rows.where(~rows[DELETED]), {**options, **FIRST_BATCH}
            return self._saved(rows, job, options)

    def _prepared(
        self, frame: DataFrame, job: BatchJob, *, first: bool
    ) -> AbstractContextManager[Upsert]:
        dataset, tombstones = job.dataset, None
        if job.deletes:
            tombstones = delete_rows(self._session(), job, self._store, frame)
        table = None if first else self._table(dataset)
        # Two keys that differ may be one behind a step.
        unique = job.unique and not dataset.transformed
        return prepared(frame, tombstones, table, dataset, unique=unique)

    def _options(
        self, job: BatchJob, key: Sequence[str], deleted: int = 0, ordering: str = ""
    ) -> dict[str, str]:
        dataset, claim = job.dataset, job.claim
        parallelism = str(tasks(sum(o.raw_bytes for o in job.objects)))
        planned = AppliedBatch(
            job.batch, job.applied, claim.epoch, "", job.schema_version, job.replay, job.reapply,
            Balance(
                records=job.records, deleted=deleted, dropped=job.dropped,
                quarantined=job.quarantined, exploded=job.exploded,
                quarantined_deletes=job.quarantined_deletes,
            ),
            job.quarantine_keys,
        )  # fmt: skip
        return {
            **self._fenced_options(dataset.table, claim),
            **key_options(dataset, key),
            **mode_options(job, ordering),
            "hoodie.upsert.shuffle.parallelism": parallelism,
            "hoodie.bulkinsert.shuffle.parallelism": parallelism,
            "hoodie.delete.shuffle.parallelism": parallelism,
            **timeline.metadata_options(planned, claim.nonce, job.undone),
        }

    def _fenced_options(self, table: str, claim: Claim) -> dict[str, str]:
        lock = self._store.url(lock_prefix(table, claim.epoch).rstrip("/"))
        return fenced_options(lock)

    def _saved(
        self, frame: DataFrame, job: BatchJob, options: Mapping[str, str]
    ) -> timeline.LakeCommit | None:
        path = self._store.url(table_prefix(job.dataset.table))
        try:
            _save(frame, path, options)
        except Exception as error:
            # Whatever failed may have failed after the commit: the timeline tells.
            commit = timeline.committed(self._store, job)
            if commit is not None:
                return commit
            if "HoodieLockException" in str(error):
                raise overtaken(job) from error
            if not any(w in str(error) for w in _HALF_MADE) or self._whole(job.dataset.table):
                raise
            self._create(frame, job, options)
            _save(frame, path, options)
        return timeline.committed(self._store, job)

    def _whole(self, table: str) -> bool:
        """Whether Hudi came to the end of making this table."""
        try:
            return b"hoodie.table.name" in self._store.get(timeline.properties_key(table))
        except KeyError:
            return False

    def _create(self, frame: DataFrame, job: BatchJob, options: Mapping[str, str]) -> None:
        """Ends what a writer that died left half made: Hudi writes hoodie.properties in place after
        it made the folders, and never looks at such a table again. The same table is made empty in
        the claim's staging, and its properties are put here whole; nothing is removed, so it does
        not matter who else does it."""
        key = timeline.properties_key(job.dataset.table)
        # Apart from the decoded records, which are still to be read.
        staging = f"{staging_prefix(job.dataset.table, job.batch.id, job.claim.nonce)}created/"
        _save(frame.limit(0), self._store.url(staging.rstrip("/")), options)
        made = self._store.get(f"{staging}.hoodie/hoodie.properties")
        # Hadoop's checksum of the half-written one, on local disks.
        self._store.delete([f"{table_prefix(job.dataset.table)}.hoodie/.hoodie.properties.crc"])
        self._store.put(key, made)
        self._store.delete([i.key for i in self._store.list(staging)])


def _save(frame: DataFrame, path: str, options: Mapping[str, str]) -> None:
    frame.write.format("hudi").options(**options).mode("append").save(path)
