"""Plain Spark doing by hand what phase 2 does: the same objects, columns and table options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from bench.audit import audit_table
from bench.records import Expected
from lake_platform.adapters.hudi import options as hudi
from lake_platform.adapters.spark.types import spark_type
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.schema import Struct

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def read_raw(spark: SparkSession, urls: list[str], source: Struct, kind: str) -> DataFrame:
    from pyspark.sql import functions as F
    from pyspark.sql.types import LongType, StringType, StructField, StructType

    numbers = [StructField(n, LongType()) for n in ("partition", "offset", "timestamp")]
    value = StructField("value", spark_type(source))
    envelope = StructType([*numbers, StructField("key", StringType()), value])
    frame = spark.read.schema(envelope).json(urls)
    return frame.select(
        "value.*",
        F.col("partition").alias("_kafka_partition"),
        F.col("offset").alias("_kafka_offset"),
        F.timestamp_millis(F.col("timestamp")).alias("_kafka_timestamp"),
        F.col("key").alias("_kafka_key"),
        *order_column(kind, F.col("timestamp"), F.col("offset")),
    )


def order_column(kind: str, timestamp: Column, offset: Column) -> list[Column]:
    """Upsert needs one column to choose the newest record by."""
    from pyspark.sql import functions as F

    if kind != "upsert":
        return []
    parts = (F.lpad(timestamp.cast("string"), 15, "0"), F.lpad(offset.cast("string"), 19, "0"))
    return [F.concat_ws("-", *parts).alias("_kafka_order")]


def write(frame: DataFrame, kind: str, path: str, options: dict[str, str]) -> None:
    if kind == "parquet":
        frame.write.mode("append").parquet(path)  # zstd by the session
    else:
        frame.write.format("hudi").options(**options).mode("append").save(path)


def hudi_options(dataset: Dataset, raw_bytes: int, lock_url: str = "") -> dict[str, str]:
    """The platform's own options for this table, less what its scan makes: the checkpoint
    in the commit, one row a key, a record key of ours."""
    job = cast(BatchJob, SimpleNamespace(dataset=dataset, replay=False))
    tasks = str(hudi.tasks(raw_bytes))
    return {
        **hudi.COMMON,
        **hudi.key_options(dataset, dataset.primary_key or PLACE),
        **hudi.mode_options(job),
        # Nobody has made one row a key before.
        "hoodie.combine.before.upsert": "true",
        **(hudi.fence_options(lock_url) if lock_url else {}),
        "hoodie.upsert.shuffle.parallelism": tasks,
        "hoodie.bulkinsert.shuffle.parallelism": tasks,
    }


def audit_path(spark: SparkSession, path: str, kind: str, expected: Expected) -> None:
    reader = spark.read if kind == "parquet" else spark.read.format("hudi")
    frame = reader.parquet(path) if kind == "parquet" else reader.load(path)
    audit_table(frame, kind, expected)
