"""All rows of a table as Spark reads them, for people who compare engines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.errors import look_errors
from lake_platform.domain.dataset import Format

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def all_rows(
    spark: SparkSession, table: str, format_: Format, url: str
) -> Sequence[Mapping[str, Any]]:
    """Values in Spark's JSON, decimals of root columns as text. Raises: EngineError."""
    from pyspark.sql import functions as F

    with look_errors(table):
        reader = spark.read.format(format_)
        frame = (reader.option("mergeSchema", "true") if format_ == "parquet" else reader).load(url)
        columns = [
            F.col(f"`{name}`").cast("string").alias(name)
            if kind.startswith("decimal")
            else F.col(f"`{name}`")
            for name, kind in frame.dtypes
        ]
        packed = F.to_json(F.struct(*columns), {"ignoreNullFields": "false"})
        return [json.loads(row[0]) for row in frame.select(packed).collect()]
