"""Rules on rows that only the engine makes: behind steps, and predicates in SQL.

Spark gives the columns that rules look at, and what each predicate says of a row; they are judged
by the same code as without a step, so that a rule means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake_platform.adapters.spark import steps
from lake_platform.adapters.spark.errors import first_record, short
from lake_platform.adapters.spark.rows import made_rows, target_columns
from lake_platform.adapters.spark.step_run import StepError
from lake_platform.domain.batches import BatchJob, UnfitRow
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import staging_prefix
from lake_platform.domain.own_columns import COORDINATES
from lake_platform.domain.rules import Broken, Condition, added, reason_of, root_of
from lake_platform.errors import TransformError
from lake_platform.records.unique import Place, doubled, keys_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

    from lake_platform.domain.storage import ObjectStore


@dataclass(frozen=True)
class Ruled:
    """`unfit`: by record, those that a rule puts aside."""

    broken: Mapping[str, Broken] = field(default_factory=dict)
    unfit: Mapping[Place, UnfitRow] = field(default_factory=dict)


def conditions_of(dataset: Dataset) -> tuple[Condition, ...]:
    """Those that the engine's rows are held against; the others were when records were decoded."""
    return tuple(c for c in dataset.conditions if dataset.transformed or c.kind == "sql")


def held_against_rules(spark: SparkSession, job: BatchJob, store: ObjectStore) -> Ruled:
    """Raises: TransformError for a predicate that fails; what Spark throws when a step does."""
    from lake_platform.records.rules import held_against

    said = conditions_of(job.dataset)
    if not said:
        return Ruled()
    broken: dict[str, Broken] = {}
    aside: dict[Place, str] = {}
    keys: dict[str, list[pa.RecordBatch]] = {}
    for rows in _judged_rows(spark, job, store, said):
        verdict = held_against(said, rows)
        broken = added(broken, verdict.broken)
        places = _places(rows)
        for number, condition in verdict.aside.items():
            aside.setdefault(places[number], reason_of(condition))
        for one in (c for c in said if c.kind == "unique"):
            keys.setdefault(one.name, []).append(keys_of(job.dataset, one, rows))
    keys = {name: [_without(part, aside) for part in parts] for name, parts in keys.items()}
    twice, more = doubled(job.dataset, keys)
    only, reasons = job.only_aside, more | aside
    unfit = {
        place: UnfitRow(*place, reason)
        for place, reason in reasons.items()
        if only is None or place in only
    }
    return Ruled(broken | twice, unfit)


def _judged_rows(
    spark: SparkSession, job: BatchJob, store: ObjectStore, said: Sequence[Condition]
) -> Iterator[pa.RecordBatch]:
    """The rows that would be written, with the columns that rules look at; through files, which
    both a classic session and Spark Connect can write."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset = job.dataset
    prefix = f"{staging_prefix(dataset.table, job.batch.id, job.claim.nonce)}rules/"
    made = made_rows(spark, job, store)
    frame = made.frame.where(made.passed & ~made.deleted)
    columns = target_columns(frame, job.table_schema)
    kafka = [c for c in COORDINATES if c not in columns]
    casts = _casts(job, made.casts, said)
    whole = frame.select(*(c.alias(name) for name, c in columns.items()), *kafka, *casts)
    _written(whole, job, said, store.url(prefix.rstrip("/")))
    for info in store.list(prefix):
        if info.key.endswith(".parquet"):
            data = pa.BufferReader(store.get(info.key))
            # A date in nanoseconds would end with the year 2262.
            table = pq.read_table(data, coerce_int96_timestamp_unit="us", partitioning=None)
            yield from table.to_batches()
    store.delete([i.key for i in store.list(prefix)])


def _casts(job: BatchJob, held: Mapping[str, str], said: Sequence[Condition]) -> list[Column]:
    """Raises: TransformError where nobody can say whether a rule holds."""
    from pyspark.sql import functions as F

    from lake_platform.records.rules import cast_column

    found = {name.casefold(): flag for name, flag in held.items()}
    asked = {cast_column(c): c for c in said if c.kind == "cast"}
    for one in asked.values():
        if one.column.casefold() not in found:
            raise _failed(job, one.name, f"no cast of {one.column} can be counted any more")
    return [F.col(f"`{found[one.column.casefold()]}`").alias(name) for name, one in asked.items()]


def _written(frame: DataFrame, job: BatchJob, said: Sequence[Condition], url: str) -> None:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    predicates = {c.name: _predicate(frame, job, c) for c in said if c.kind == "sql"}
    looked_at = _looked_at(frame, job.dataset, said)
    try:
        frame.select(*looked_at, *predicates.values()).write.mode("overwrite").parquet(url)
    except (PySparkException, Py4JJavaError):
        for name, predicate in predicates.items():
            _check_predicate(frame.select(predicate), job, name)
        raise


def _predicate(frame: DataFrame, job: BatchJob, one: Condition) -> Column:
    from lake_platform.records.rules import sql_column

    try:
        said = steps.condition(frame, one.value, one.name, "rules.sql")
    except StepError as error:
        raise _failed(job, one.name, error.why) from error
    return said.cast("boolean").alias(sql_column(one))


def _check_predicate(frame: DataFrame, job: BatchJob, name: str) -> None:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        frame.write.format("noop").mode("overwrite").save()
    except (PySparkException, Py4JJavaError) as error:
        raise _failed(job, name, short(error)) from error


def _failed(job: BatchJob, name: str, why: str) -> TransformError:
    first = f"{first_record(job)}, the first of the batch"
    return TransformError(job.dataset.table, f"rule {name}", job.batch.id, first, why)


def _looked_at(frame: DataFrame, dataset: Dataset, said: Sequence[Condition]) -> list[Column]:
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    own = dataset.primary_key if any(c.kind == "unique" for c in said) else ()
    paths = [*(c.column for c in said if c.kind not in ("sql", "cast")), *own]
    roots = dict.fromkeys(root_of(frame.columns, path)[0] for path in paths)
    kinds = {f.name: f.dataType for f in frame.schema.fields}
    columns = [F.col(name) for name in ("_kafka_partition", "_kafka_offset")]
    columns += [F.col(f"`{name}`") for name in frame.columns if name.startswith("#cast ")]
    for name in roots:
        if name is None or name.startswith("_kafka_"):
            continue
        column = F.col(f"`{name.replace('`', '``')}`")
        # Of any year, as text.
        is_time = isinstance(kinds[name], T.DateType | T.TimestampType | T.TimestampNTZType)
        columns.append(column.cast("string").alias(name) if is_time else column)
    return columns


def _places(rows: pa.RecordBatch) -> list[Place]:
    names = ("_kafka_partition", "_kafka_offset")
    return list(zip(*(rows.column(n).to_pylist() for n in names), strict=True))


def _without(keys: pa.RecordBatch, aside: Mapping[Place, str]) -> pa.RecordBatch:
    """Without the rows of records that other rules put aside."""
    import pyarrow as pa

    if not aside:
        return keys
    places = zip(
        keys.column("partition").to_pylist(), keys.column("offset").to_pylist(), strict=True
    )
    return keys.filter(pa.array([place not in aside for place in places], pa.bool_()))
