"""Rows of an append table whose records a replay puts aside, because rules or options are others
now: they leave the table before the replay writes the rest.

Those records are in quarantine by then, so whoever dies in between leaves each in one place. The
commit says nothing of batches: where the table stands is told by those that do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lake_platform.adapters.hudi.options import key_options
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.own_columns import PLACE, append_key

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def take_out(table: DataFrame, job: BatchJob, path: str, options: Mapping[str, str]) -> None:
    """`options`: those that fence. What is not in the table costs a look."""
    from pyspark.sql import functions as F

    dataset = job.dataset
    places = [(e.partition, e.offset) for e in job.removed]
    gone = table.sparkSession.createDataFrame(places, f"{PLACE[0]} long, {PLACE[1]} long")
    doomed = table.join(F.broadcast(gone), [*PLACE], "left_semi")
    if doomed.isEmpty():
        return
    keys = [*append_key(dataset), *dataset.partition_by]
    doomed.select(*keys).write.format("hudi").options(
        **options,
        **key_options(dataset, append_key(dataset)),
        **{"hoodie.datasource.write.operation": "delete", "hoodie.index.type": "SIMPLE"},
    ).mode("append").save(path)
