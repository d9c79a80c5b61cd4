"""Compaction of merge-on-read tables: log files become base files of their own commit.

A load leaves it to maintenance and does it itself only when nobody did for long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from lake_platform.adapters.hudi import timeline
from lake_platform.adapters.hudi.strays import strays
from lake_platform.adapters.spark.errors import engine_errors
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import EngineError, StorageUnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = structlog.get_logger(__name__)


def uncompacted(store: ObjectStore, table: str) -> int:
    """Delta commits since the last compaction."""
    pending = 0
    for instant in reversed(timeline.completed(store, table)):
        if instant.action == "commit":
            break
        pending += 1
    return pending


def compact(
    spark: SparkSession, store: ObjectStore, table: str, options: Mapping[str, str]
) -> bool:
    """False when it was put off: who died in a compaction is waited for as long as its heartbeat is
    young, two minutes.

    Raises: EngineError.
    """
    try:
        with engine_errors(
            f"the compaction of {table!r}", "all that was loaded is in the table, try again"
        ):
            spark.sql(_call(store.url(table_prefix(table)), options)).collect()
    except EngineError as error:
        _sweep(store, table)
        if "heartbeat" not in str(error):
            raise
        _log.warning("compaction was put off", dataset=table, error=str(error))
        return False
    return True


def _call(path: str, options: Mapping[str, str]) -> str:
    chosen = {**options, "hoodie.compact.inline.max.delta.commits": "1"}
    # The procedure splits its options at commas, so none may be in a value.
    chosen.pop("hoodie.fs.atomic_creation.support", None)
    listed = ",".join(f"{name}={value}" for name, value in chosen.items())
    return (
        f"CALL run_compaction(op => 'scheduleAndExecute', path => '{path}', options => '{listed}')"
    )


def _sweep(store: ObjectStore, table: str) -> None:
    """After a failed compaction: if we were taken for dead in it, others may have completed it,
    and files of ours came after that."""
    try:
        stray = strays(store, table)
        store.delete(stray)
    except StorageUnavailableError as error:
        _log.warning("strays were not looked for", dataset=table, error=str(error))
        return
    if stray:
        _log.warning("strays of this writer were removed", dataset=table, files=len(stray))
