"""The asset check of what casts in a dataset's steps made NULL of."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets.checks import result_of
from assets.metadata import lost_rows, rows_table
from lake_platform.load.results import LoadResult
from lake_platform.metastore.batch_rows import BatchStatistics


def casts_of(
    table: str, results: Sequence[LoadResult], newest: Sequence[BatchStatistics]
) -> dg.AssetCheckResult:
    """Of the batches of a run; of the newest ones on record when it loaded none."""
    if results:
        rows = lost_rows(results)
        uncounted = 0
        batches = len(results)
    else:
        rows = [
            {"batch": b.batch, "column": name, "lost": lost}
            for b in newest
            for name, lost in (b.lost or {}).items()
            if lost
        ]
        uncounted = sum(b.lost is None for b in newest)
        batches = len(newest)
    listed = ", ".join(dict.fromkeys(str(r["column"]) for r in rows))
    said = f"casts made NULL of values of {listed}, in {batches} batches"
    return result_of(
        table,
        "casts",
        not rows,
        {"lost_by_cast": rows_table(rows), "batches": batches, "batches_not_counted": uncounted},
        said if rows else f"no value lost in {batches - uncounted} batches",
        dg.AssetCheckSeverity.WARN,
    )
