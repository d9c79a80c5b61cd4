"""The engine for each table format, all on one Spark session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lake_platform.adapters.hudi.engine import HudiEngine
from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.domain.dataset import Format
from lake_platform.domain.ports import TableEngine
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def spark_engines(
    session: Callable[[], SparkSession], store: ObjectStore
) -> Callable[[Format], TableEngine]:
    """`session` is called when an engine first needs Spark, so nothing new costs no JVM."""
    engines: dict[Format, TableEngine] = {
        "hudi": HudiEngine(session, store),
        "parquet": ParquetEngine(session, store),
    }
    return engines.__getitem__
