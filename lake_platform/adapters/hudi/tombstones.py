"""Tombstones as rows of a batch: with the values of their key as the table has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.rows import DELETED
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.layout import staging_prefix
from lake_platform.domain.own_columns import ORDER
from lake_platform.domain.storage import ObjectStore
from lake_platform.records.forms import Binary, Days, Micros, Text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType


def delete_rows(
    spark: SparkSession, job: BatchJob, store: ObjectStore, like: DataFrame
) -> DataFrame:
    """Rows with key, coordinates and the delete mark, all else null, shaped as `like`."""
    from pyspark.sql import functions as F

    primary_key = job.dataset.primary_key
    types = {f.name: f.dataType for f in like.schema.fields}
    frame = _staged(spark, job, store, types)
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


def _staged(
    spark: SparkSession, job: BatchJob, store: ObjectStore, types: Mapping[str, DataType]
) -> DataFrame:
    """Through a file beside the decoded records: rows that are handed over from here would pass
    through Spark's Python workers."""
    import pyarrow as pa

    from lake_platform.records.columns import parquet_bytes

    deletes = job.deletes
    places = {
        "partition": pa.array([d.partition for d in deletes], pa.int64()),
        "offset": pa.array([d.offset for d in deletes], pa.int64()),
        "order": pa.array([d.order for d in deletes], pa.int64()),
    }
    keys = {
        f"k{i}": pa.array([_text(d.key[c], types[c]) for d in deletes], pa.string())
        for i, c in enumerate(job.dataset.primary_key)
    }
    place = f"{staging_prefix(job.dataset.table, job.batch.id, job.claim.nonce)}deletes.parquet"
    store.put(place, parquet_bytes(pa.table(places | keys)))
    schema = ", ".join([*(f"`{n}` long" for n in places), *(f"{n} string" for n in keys)])
    return spark.read.schema(schema).parquet(store.url(place))


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
