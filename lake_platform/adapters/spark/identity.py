"""Whether code of steps left each record at most one row, looked at before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_platform.adapters.spark import steps
from lake_platform.adapters.spark.frames import doubled
from lake_platform.adapters.spark.rows import made_rows, records
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.own_columns import append_key
from lake_platform.errors import TransformError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.domain.storage import ObjectStore


def check_identity(spark: SparkSession, job: BatchJob, store: ObjectStore) -> None:
    """Raises: TransformError, which names step and record."""
    dataset, key = job.dataset, append_key(job.dataset)
    numbers = [n for n, s in enumerate(dataset.transforms, 1) if s.makes_frame]
    if not numbers:
        return
    place = doubled(made_rows(spark, job, store).frame, key)
    if place is None:
        return
    source = records(spark, job, store)
    for number in numbers:
        made = steps.run(steps.first_steps(dataset, number), source, job.source)
        found = doubled(made.frame, key)
        if found is not None:
            break
    partition, offset = found or place
    what = "a row of no record" if partition < 0 else "more than one row of it"
    raise TransformError(
        dataset.table, steps.step_name(dataset, number), job.batch.id,
        f"partition {partition} offset {offset}",
        f"gives {what}; a step gives at most one row of a record",
    )  # fmt: skip
