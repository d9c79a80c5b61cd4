"""Write options of Hudi tables. Why each is there: docs/delivery.md (fence), docs/architecture.md
(index)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lake_platform.adapters.hudi.upsert import moves
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import ORDER

_SMALL_BYTES = 16 << 20
_TASK_BYTES = 64 << 20
COMMON: Mapping[str, str] = {
    # 0.8 s instead of 1.5 s for a small batch; every index we use by default works without it.
    "hoodie.metadata.enable": "false",
    "hoodie.embed.timeline.server": "false",
    "hoodie.write.markers.type": "direct",
    "hoodie.compact.inline": "false",
    "hoodie.datasource.write.hive_style_partitioning": "true",
    "hoodie.datasource.write.partitionpath.urlencode": "true",
    "hoodie.datasource.write.drop.partition.columns": "false",
    "hoodie.parquet.compression.codec": "zstd",
    # None of our indexes reads them, and making them takes a fifth of a write.
    "hoodie.parquet.bloom.filter.enabled": "false",
    # Else upserts name the folders of timestamps otherwise than bulk_insert: Spark reads NULL.
    "hoodie.datasource.write.keygenerator.consistent.logical.timestamp.enabled": "true",
}
# Of a table without rows: there is nothing to merge with, and one row a key.
FIRST_BATCH: Mapping[str, str] = {"hoodie.datasource.write.operation": "bulk_insert"}


def fence_options(lock_url: str) -> dict[str, str]:
    """Optimistic concurrency with a lock of this epoch alone, which a later claim can poison."""
    return {
        "hoodie.write.concurrency.mode": "optimistic_concurrency_control",
        "hoodie.clean.failed.writes.policy": "LAZY",
        "hoodie.write.lock.provider": (
            "org.apache.hudi.client.transaction.lock.FileSystemBasedLockProvider"
        ),
        "hoodie.write.lock.filesystem.path": lock_url,
        "hoodie.write.lock.filesystem.expire": "0",
        "hoodie.write.lock.client.num_retries": "3",
        "hoodie.write.lock.client.wait_time_ms_between_retry": "200",
        # The lock is never contended within an epoch: the poison stands long before the zombie
        # looks, so object stores without atomic create will do.
        "hoodie.fs.atomic_creation.support": "s3a,gs,abfs",
    }


def fenced_options(lock_url: str) -> dict[str, str]:
    """What everything that writes the table has in common, under the lock of a claim."""
    return {**COMMON, **fence_options(lock_url), **_clock_options(lock_url)}


def _clock_options(url: str) -> dict[str, str]:
    """Hudi sleeps as long as clocks may differ, twice a commit (0.4 s), so that a later instant is
    a greater one. The writers of a table on this machine's disk have one clock."""
    if not url.startswith("file:"):
        return {}
    return {"hoodie.time.generator.max_expected_clock_skew_ms": "1"}


def table_type(dataset: Dataset) -> str:
    """MOR takes a small upsert in 0.8 s where COW rewrites every touched file (2.8 s and growing
    with the table); appends gain nothing from it."""
    return dataset.table_type or ("mor" if dataset.mode == "upsert" else "cow")


def key_options(dataset: Dataset, key: Sequence[str]) -> dict[str, str]:
    kind = "MERGE_ON_READ" if table_type(dataset) == "mor" else "COPY_ON_WRITE"
    options = {
        "hoodie.table.name": dataset.live_table.replace(".", "_").replace("-", "_"),
        "hoodie.datasource.write.table.type": kind,
        "hoodie.datasource.write.recordkey.field": ",".join(key),
    }
    if dataset.partition_by:
        options["hoodie.datasource.write.partitionpath.field"] = ",".join(dataset.partition_by)
    return options


def mode_options(job: BatchJob, ordering: str = "") -> dict[str, str]:
    """`ordering`: the column by which Hudi chooses between two versions of a row."""
    dataset = job.dataset
    if dataset.mode == "append":
        if job.replay:
            # Replaces the rows of the same coordinates; bulk_insert would add them again.
            index = "GLOBAL_SIMPLE" if dataset.transformed else "SIMPLE"
            return {"hoodie.datasource.write.operation": "upsert", "hoodie.index.type": index}
        sort = "PARTITION_PATH_REPARTITION" if dataset.partition_by else "NONE"
        return {
            "hoodie.datasource.write.operation": "bulk_insert",
            "hoodie.bulkinsert.sort.mode": sort,
        }
    options = {
        "hoodie.datasource.write.operation": "upsert",
        "hoodie.table.ordering.fields": ordering or dataset.ordering_field or ORDER,
        "hoodie.combine.before.upsert": "false",  # there is one row a key
    }
    if not moves(dataset):
        return options | {
            "hoodie.index.type": "BUCKET",
            "hoodie.bucket.index.num.buckets": str(dataset.buckets),
        }
    # The bucket index looks into one partition only; rows that move get a delete in the old one.
    return options | {"hoodie.index.type": "SIMPLE"}


def tasks(raw_bytes: int) -> int:
    return 2 if raw_bytes < _SMALL_BYTES else max(2, raw_bytes // _TASK_BYTES + 1)
