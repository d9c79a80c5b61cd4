"""From raw objects to the rows of a table: read, exclude, transform, project. DataFrame API and
SQL only, so the same code runs on a classic session and through Spark Connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark import steps
from lake_platform.adapters.spark.errors import first_record
from lake_platform.adapters.spark.step_run import StepError
from lake_platform.adapters.spark.types import output_struct, shaped, spark_type
from lake_platform.domain.batches import BatchJob, TableProfile
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import COORDINATES, ORDER, ORDINAL, PLACE
from lake_platform.domain.schema import Struct
from lake_platform.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from lake_platform.domain.storage import ObjectStore

DELETED = "_hoodie_is_deleted"
_SHOWN_CHARS = 10_000  # of a value that a rule looks at


def rows(spark: SparkSession, job: BatchJob, store: ObjectStore) -> DataFrame:
    """The batch's rows with the columns of `job.table_schema` and the technical ones.

    Raises:
        TransformError: a step does not fit the columns; names it.
    """
    dataset = job.dataset
    made = made_rows(spark, job, store)
    frame = made.frame
    if dataset.filtered == "delete":
        frame = frame.where(made.passed | deletable(frame, dataset))
    columns = _projection(frame, job.table_schema)
    if dataset.transformed and dataset.mode == "upsert":
        columns = _keyed(columns, job)
    return frame.select(*columns, *_technical(dataset, made.deleted))


def made_rows(spark: SparkSession, job: BatchJob, store: ObjectStore) -> steps.Rows:
    """What the steps make of the batch's records. Raises: TransformError."""
    try:
        return steps.run(job.dataset, records(spark, job, store), job.source)
    except StepError as error:
        first = f"{first_record(job)}, the first of the batch"
        raise TransformError(
            job.dataset.table, error.step, job.batch.id, first, error.why
        ) from error


def records(spark: SparkSession, job: BatchJob, store: ObjectStore) -> DataFrame:
    """The batch's records that may become rows: as they were before any step."""
    frame = _read(spark, job, store)
    return _without_refused(spark, frame, job) if job.refused else frame


def derive(
    spark: SparkSession, dataset: Dataset, source: Struct, seen: Struct | None = None
) -> Struct:
    """The columns the transforms make of `source`, without touching data (see the port).

    Raises: TransformError."""
    try:
        if seen is not None:
            steps.check_seen(dataset, source, seen)
        return derived(spark, dataset, source)
    except StepError as error:
        raise TransformError(
            dataset.table, error.step, "(none, checking columns)", "-", error.why
        ) from error


def derived(spark: SparkSession, dataset: Dataset, source: Struct) -> Struct:
    """Raises: StepError."""
    # What deletes is no part of it, but it must fit the columns all the same.
    return steps.output(dataset, steps.run(dataset, empty_input(spark, source), source).frame)


def empty_input(spark: SparkSession, source: Struct) -> DataFrame:
    """What a step reads, without a row."""
    return spark.createDataFrame([], _input_schema(spark_type(source)))


def table_columns(schema: StructType) -> Struct:
    """A table's own columns: without ours (`_kafka_*`, `_hoodie_*`, ...), all nullable."""
    return output_struct(schema)


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
    known = {f.name: f.dataType for f in table.schema.fields}
    chosen = [_showable(c, known[c]).alias(c) for c in columns if c in known]
    return [row.asDict() for row in table.select(*chosen).limit(limit).collect()]


def _showable(name: str, kind: DataType) -> Column:
    """What Python can hold whatever the value: its dates end with the year 9999."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    column = F.col(f"`{name}`")
    if isinstance(kind, T.NumericType | T.BooleanType | T.NullType):
        return column
    if isinstance(kind, T.StructType | T.ArrayType | T.MapType):
        column = F.to_json(column)
    elif isinstance(kind, T.BinaryType):
        column = F.base64(F.substring(column, 1, _SHOWN_CHARS))
    return F.substring(column.cast("string"), 1, _SHOWN_CHARS)


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


def _without_refused(spark: SparkSession, frame: DataFrame, job: BatchJob) -> DataFrame:
    from pyspark.sql import functions as F

    bad = spark.createDataFrame(
        [(e.partition, e.offset) for e in job.refused],
        "_kafka_partition long, _kafka_offset long",
    )
    return frame.join(F.broadcast(bad), [*PLACE], "left_anti")


def target_columns(frame: DataFrame, target: Struct) -> dict[str, Column]:
    """Each target column by name: cast where the type grew, NULL where the batch lacks it."""
    from pyspark.sql import functions as F

    present = {f.name: f.dataType for f in frame.schema.fields}
    out = {}
    for field in spark_type(target).fields:
        if field.name not in present:
            out[field.name] = F.lit(None).cast(field.dataType)
        else:
            column = F.col(f"`{field.name.replace('`', '``')}`")
            out[field.name] = shaped(column, present[field.name], field.dataType)
    return out


def _projection(frame: DataFrame, target: Struct) -> list[Column]:
    return [column.alias(name) for name, column in target_columns(frame, target).items()]


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


def _technical(dataset: Dataset, deleted: Column) -> list[Column]:
    from pyspark.sql import functions as F

    columns = [F.col(c) for c in (*COORDINATES, *((ORDINAL,) if dataset.explode else ()))]
    if dataset.mode == "upsert":
        columns += [F.col(ORDER), deleted.alias(DELETED)]
    return columns


def deletable(frame: DataFrame, dataset: Dataset) -> Column:
    """Whether a record that a step left out names a row: with a key, and its place in the order."""
    from pyspark.sql import functions as F

    named = [*dataset.primary_key, *([dataset.ordering_field] if dataset.ordering_field else [])]
    found = F.lit(True)
    for name in named:
        known = name in frame.columns
        found = found & (F.col(f"`{name}`").isNotNull() if known else F.lit(False))
    return found
