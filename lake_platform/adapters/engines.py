"""The engine for each table format, all on one Spark session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lake_platform.adapters.hudi.engine import HudiEngine
from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.code.pins import NO_CODE, CodeBase
from lake_platform.domain.dataset import Format
from lake_platform.domain.ports import TableEngine
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def spark_engines(
    session: Callable[[], SparkSession], store: ObjectStore, code: CodeBase = NO_CODE
) -> Callable[[Format], TableEngine]:
    """`session` is called when an engine first needs Spark, so nothing new costs no JVM. `code`:
    where code of steps may come from."""
    engines: dict[Format, TableEngine] = {
        "hudi": HudiEngine(session, store, code),
        "parquet": ParquetEngine(session, store, code),
    }
    return engines.__getitem__
