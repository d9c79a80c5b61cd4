"""Row 5: Kafka to table, the platform's two phases against Spark Structured Streaming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import bare
from bench.audit import audit_quarantine
from bench.jars import STREAMING
from bench.meter import Meter, Reading
from bench.order import Order, dataset, ports, register, spark_session
from lake_platform import compose
from lake_platform.adapters.spark.types import spark_type
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.schema import Struct
from lake_platform.ingest.ingest import ingest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def measure_path(order: Order) -> list[Reading]:
    """Two tables after each other: the first pays for the JVM's start, the second finds it warm."""
    register(order, {"cold": order.topic, "again": order.topic})
    opened, limits = ports(order), compose.build_limits(order.settings)
    readings = [_path(order, opened, limits, table) for table in ("cold", "again")]
    for table in ("cold", "again"):
        audit_quarantine(opened.store, table)
        url = opened.store.url(table_prefix(table))
        bare.audit_path(spark_session(order), url, order.kind, order.expected)
    return readings


def _path(order: Order, opened: Ports, limits: Limits, table: str) -> Reading:  # noqa: ARG001
    with Meter() as meter:
        for _ in ingest(table, opened, limits):
            pass
    return meter.reading


def measure_stream(order: Order) -> list[Reading]:
    register(order, {"t": order.topic})
    schema = compose.build_metastore(order.settings).active_schema("t")
    if schema is None:
        raise RuntimeError("no schema was inferred at registration")
    readings = []
    for name in ("cold", "again"):
        with Meter() as meter:
            _stream(order, schema.source, name)
        readings.append(meter.reading)
    spark = spark_session(order)
    for name in ("cold", "again"):
        bare.audit_path(spark, f"file://{order.home}/out/{name}", order.kind, order.expected)
    return readings


def _stream(order: Order, source: Struct, name: str) -> None:
    """One micro-batch over all that is there: the best case of a stream."""
    spark = spark_session(order, f"{order.jars}/{STREAMING}")
    frame = _parsed(
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", order.bootstrap)
        .option("subscribe", order.topic)
        .option("startingOffsets", "earliest")
        .load(),
        source,
        order.kind,
    )
    path = f"file://{order.home}/out/{name}"
    writer = frame.writeStream.option("checkpointLocation", f"{order.home}/checkpoint-{name}")
    writer = writer.trigger(availableNow=True)
    if order.kind == "parquet":
        query = writer.format("parquet").option("path", path).start()
    else:
        table = dataset(order.kind, order.topic, name)
        # Our table options, which are faster than Hudi's own here: the difference is the path's.
        options = bare.hudi_options(table, order.expected.value_bytes)

        def save(batch: DataFrame, _number: int) -> None:
            bare.write(batch, order.kind, path, options)

        query = writer.foreachBatch(save).start()
    query.awaitTermination()


def _parsed(messages: DataFrame, source: Struct, kind: str) -> DataFrame:
    from pyspark.sql import functions as F

    return messages.select(
        F.from_json(F.col("value").cast("string"), spark_type(source)).alias("value"),
        "partition", "offset", "timestamp", "key",
    ).select(
        "value.*",
        F.col("partition").cast("long").alias("_kafka_partition"),
        F.col("offset").alias("_kafka_offset"),
        F.col("timestamp").alias("_kafka_timestamp"),
        F.col("key").cast("string").alias("_kafka_key"),
        *bare.order_column(kind, F.unix_millis(F.col("timestamp")), F.col("offset")),
    )  # fmt: skip
