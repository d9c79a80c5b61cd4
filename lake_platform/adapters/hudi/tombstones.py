"""Tombstones as rows of a batch: with the values of their key as the table has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.rows import DELETED, ORDER
from lake_platform.domain.batches import Delete
from lake_platform.records.forms import Binary, Days, Micros, Text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType


def delete_rows(
    spark: SparkSession, deletes: Sequence[Delete], like: DataFrame, primary_key: Sequence[str]
) -> DataFrame:
    """Rows with key, coordinates and the delete mark, all else null, shaped as `like`."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import LongType, StringType, StructField, StructType

    types = {f.name: f.dataType for f in like.schema.fields}
    named = [StructField(f"k{i}", StringType()) for i in range(len(primary_key))]
    fixed = [StructField(n, LongType()) for n in ("partition", "offset", "order")]
    data = [
        (d.partition, d.offset, d.order, *(_text(d.key[c], types[c]) for c in primary_key))
        for d in deletes
    ]
    frame = spark.createDataFrame(data, StructType([*fixed, *named]))
    values: dict[str, Column] = {
        "_kafka_partition": F.col("partition"),
        "_kafka_offset": F.col("offset"),
        "_kafka_timestamp": F.timestamp_millis(F.col("order")),
        ORDER: _order_text(F.col("order"), F.col("offset")),
        DELETED: F.lit(True),
    }
    values |= {c: _typed(F.col(f"k{i}"), types[c]) for i, c in enumerate(primary_key)}
    return frame.select(
        *[
            values.get(f.name, F.lit(None)).cast(f.dataType).alias(f.name)
            for f in like.schema.fields
        ]
    )


def _order_text(order: Column, offset: Column) -> Column:
    """Kafka's order as one sortable column, as the batch's rows have it."""
    from pyspark.sql import functions as F

    return F.concat_ws(
        "-", F.lpad(order.cast("string"), 15, "0"), F.lpad(offset.cast("string"), 19, "0")
    )


def _text(value: Any, kind: DataType) -> str:
    """As `_typed` reads it."""
    from pyspark.sql import types as T

    if isinstance(kind, T.DateType):
        return str(int(Days.read(value)))
    if isinstance(kind, T.TimestampType):
        return str(int(Micros.read(value)))
    if isinstance(kind, T.BinaryType):
        return Binary.read(value).hex()
    if isinstance(value, Text):
        return value.text
    return value if isinstance(value, str) else json.dumps(value)


def _typed(text: Column, kind: DataType) -> Column:
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    if isinstance(kind, T.DateType):
        return F.date_add(F.lit("1970-01-01").cast("date"), text.cast("int"))
    if isinstance(kind, T.TimestampType):
        return F.timestamp_micros(text.cast("long"))
    return F.unhex(text) if isinstance(kind, T.BinaryType) else text
