"""From raw objects to the rows of a table: read, exclude, transform, project. DataFrame API and
SQL only, so the same code runs on a classic session and through Spark Connect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.errors import first_record, short
from lake_platform.adapters.spark.transforms import keep_coordinates
from lake_platform.domain.batches import BatchJob, TableProfile
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct, struct_from_json, to_json
from lake_platform.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from lake_platform.domain.ports import ObjectStore

COORDINATES = ("_kafka_partition", "_kafka_offset", "_kafka_timestamp", "_kafka_key")
ORDER = "_kafka_order"
DELETED = "_hoodie_is_deleted"


def spark_type(struct: Struct) -> StructType:
    from pyspark.sql.types import StructType

    return StructType.fromJson(to_json(struct))


def rows(spark: SparkSession, job: BatchJob, store: ObjectStore) -> DataFrame:
    """The batch's rows with the columns of `job.table_schema` and the technical ones.

    Raises:
        TransformError: a step failed; names it.
    """
    dataset = job.dataset
    frame = _read(spark, job, store)
    frame = _transform(spark, dataset, frame, job)
    columns = _projection(frame, job.table_schema)
    if dataset.transformed and dataset.mode == "upsert":
        columns = _keyed(columns, job)
    return frame.select(*columns, *_technical(dataset))


def derive(spark: SparkSession, dataset: Dataset, source: Struct) -> Struct:
    """The columns the transforms make of `source`, without touching data."""
    schema = spark_type(source)
    frame = spark.createDataFrame([], _input_schema(schema))
    out = _transform(spark, dataset, frame, None)
    return table_columns(out.schema)


def table_columns(schema: StructType) -> Struct:
    """A table's own columns: without `_kafka_*` and `_hoodie_*`, all nullable."""
    plain = json.loads(schema.json())
    for field in plain["fields"]:
        field["nullable"] = True
    struct = struct_from_json(plain)
    kept = [f for f in struct.fields if not f.name.startswith(("_kafka_", "_hoodie_"))]
    return Struct(tuple(kept))


def profile(table: DataFrame, key: Sequence[str]) -> TableProfile:
    from pyspark.sql import functions as F

    columns = [F.col(f"`{c}`") for c in key]
    missing = F.lit(False)
    for column in columns:
        missing = missing | column.isNull()
    counted = table.agg(
        F.count(F.lit(1)).alias("rows"),
        F.countDistinct(F.struct(*columns)).alias("keys"),
        F.coalesce(F.sum(missing.cast("long")), F.lit(0)).alias("null_keys"),
    ).first()
    return TableProfile(*map(int, counted)) if counted else TableProfile(0, 0, 0)


def newest_rows(
    table: DataFrame, columns: Sequence[str], limit: int
) -> Sequence[Mapping[str, Any]]:
    from pyspark.sql import functions as F

    times = {name for name, kind in table.dtypes if kind.startswith("timestamp")}
    # Python has no place for times at the edge of year 1: they come as text.
    named = [F.col(f"`{c}`").cast("string") if c in times else F.col(f"`{c}`") for c in columns]
    chosen = table.select(*[c.alias(n) for c, n in zip(named, columns, strict=True)]).limit(limit)
    return [row.asDict() for row in chosen.collect()]


def _read(spark: SparkSession, job: BatchJob, store: ObjectStore) -> DataFrame:
    """The decoded records, typed as they were decoded: nothing is guessed from the files."""
    schema = _input_schema(spark_type(job.source))
    if not job.staged:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*[store.url(f.key) for f in job.staged])


def _input_schema(source: StructType) -> StructType:
    from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

    technical = [
        StructField("_kafka_partition", LongType()),
        StructField("_kafka_offset", LongType()),
        StructField("_kafka_timestamp", TimestampType()),
        StructField("_kafka_key", StringType()),
        StructField(ORDER, StringType()),
    ]
    return StructType([*source.fields, *technical])


def _order_text(order: Column, offset: Column) -> Column:
    """Kafka's order as one sortable column: Hudi takes a single ordering column only."""
    from pyspark.sql import functions as F

    return F.concat_ws(
        "-", F.lpad(order.cast("string"), 15, "0"), F.lpad(offset.cast("string"), 19, "0")
    )


def _transform(
    spark: SparkSession, dataset: Dataset, frame: DataFrame, job: BatchJob | None
) -> DataFrame:
    from pyspark.errors import PySparkException

    for number, step in enumerate(dataset.transforms, 1):
        name = f"{number} ({step.name})" if step.name else str(number)
        frame.createOrReplaceTempView("input")
        try:
            frame = spark.sql(keep_coordinates(step.sql, (*COORDINATES, ORDER)))
            frame.schema  # noqa: B018 - Spark Connect analyses only when asked
        except PySparkException as error:
            batch = job.batch.id if job else "(none, checking columns)"
            first = first_record(job) if job else "-"
            raise TransformError(dataset.table, name, batch, first, short(error)) from error
    return frame


def _projection(frame: DataFrame, target: Struct) -> list[Column]:
    """Each target column by name, cast where the type grew, NULL where the batch lacks it."""
    from pyspark.sql import functions as F

    wanted, present = spark_type(target), {f.name: f.dataType for f in frame.schema.fields}
    out = []
    for field in wanted.fields:
        if field.name not in present:
            column = F.lit(None).cast(field.dataType)
        else:
            column = F.col(f"`{field.name.replace('`', '``')}`")
            if present[field.name] != field.dataType:
                column = column.cast(field.dataType)
        out.append(column.alias(field.name))
    return out


def _keyed(columns: list[Column], job: BatchJob) -> list[Column]:
    """Fails the batch when a transform leaves a key column empty; the scan cannot see that."""
    from pyspark.sql import functions as F

    names = [f.name for f in job.table_schema.fields]
    for name in job.dataset.primary_key:
        if name not in names:
            why = f"its output has no column {name!r}, which is in primary_key"
            raise TransformError(job.dataset.table, "sql", job.batch.id, first_record(job), why)
        place = names.index(name)
        failure = F.raise_error(F.lit(f"lake_transform: primary key column {name} is null"))
        columns[place] = F.coalesce(columns[place], failure).alias(name)
    return columns


def _technical(dataset: Dataset) -> list[Column]:
    from pyspark.sql import functions as F

    columns = [F.col(c) for c in COORDINATES]
    if dataset.mode == "upsert":
        deleted = F.lit(False)
        if dataset.delete_when:
            deleted = F.coalesce(F.expr(dataset.delete_when), F.lit(False))
        columns += [F.col(ORDER), deleted.alias(DELETED)]
    return columns
