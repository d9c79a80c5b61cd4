"""Whether it was a step that failed, which one, and on which record: by running it again alone.

The text of an error does not tell: Spark says the same of its own troubles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_platform.adapters.spark import steps
from lake_platform.adapters.spark.errors import first_record, short, write_errors
from lake_platform.adapters.spark.judge import judge, needs_judging
from lake_platform.adapters.spark.rows import made_rows, records, target_columns
from lake_platform.domain.batches import BatchJob, Judgement
from lake_platform.domain.schema import Struct
from lake_platform.errors import TransformError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from lake_platform.domain.storage import ObjectStore


def judged(session: Callable[[], SparkSession], job: BatchJob, store: ObjectStore) -> Judgement:
    """Raises: TransformError, EngineError."""
    if not needs_judging(job.dataset):
        return Judgement()
    spark = session()
    with write_errors(job, lambda: check_steps(spark, job, store)):
        return judge(spark, job, store)


def check_steps(spark: SparkSession, job: BatchJob, store: ObjectStore) -> None:
    """After Spark failed on a batch: runs its steps alone, on all of it.

    Raises:
        TransformError: they fail; names step and first record.
    """
    dataset = job.dataset
    if not (dataset.transformed or dataset.delete_when):
        return
    source = records(spark, job, store)
    if _error_of(source) is not None:
        return  # the records cannot even be read
    made = made_rows(spark, job, store)
    error = _error_of(_everything(made, job.table_schema))
    if error is not None:
        raise _blamed(job, source, error)


@dataclass(frozen=True, slots=True)
class _Span:
    """Offsets of a partition, and how many come before it."""

    partition: int
    first: int
    last: int
    before: int

    @property
    def behind(self) -> int:
        return self.before + self.last - self.first + 1


def _blamed(job: BatchJob, source: DataFrame, error: Exception) -> TransformError:
    spans = _spans(job)

    def fails(count: int) -> Exception | None:
        part = source.where(_first(spans, count))
        return _error_of(_everything(steps.run(job.dataset, part, job.source), job.table_schema))

    low, high = 0, spans[-1].behind
    if fails(high) is None:  # it needs the rows of many records
        first = f"{first_record(job)}, the first of the batch"
        return TransformError(job.dataset.table, "sql", job.batch.id, first, short(error))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(middle) else (middle, high)
    span = next(s for s in spans if high <= s.behind)
    offset = span.first + high - 1 - span.before
    alone = source.where(f"_kafka_partition = {span.partition} AND _kafka_offset = {offset}")
    step, why = _failing_step(job, alone, fails(high) or error)
    place = f"partition {span.partition} offset {offset}"
    return TransformError(job.dataset.table, step, job.batch.id, place, short(why))


def _failing_step(job: BatchJob, record: DataFrame, error: Exception) -> tuple[str, Exception]:
    dataset = job.dataset
    for count in range(bool(not dataset.explode), len(dataset.transforms) + 1):
        made = steps.run(steps.first_steps(dataset, count), record, job.source)
        why = _error_of(made.frame)
        if why is not None:
            return (steps.step_name(dataset, count) if count else "explode"), why
    last = steps.step_name(dataset, len(dataset.transforms)) if dataset.transforms else "explode"
    return ("delete_when" if dataset.delete_when else last), error


def _spans(job: BatchJob) -> list[_Span]:
    ranges: dict[int, tuple[int, int]] = {}
    for raw in job.objects:
        first, last = ranges.get(raw.partition, (raw.first_offset, raw.last_offset))
        ranges[raw.partition] = (min(first, raw.first_offset), max(last, raw.last_offset))
    spans: list[_Span] = []
    for partition, (first, last) in sorted(ranges.items()):
        spans.append(_Span(partition, first, last, spans[-1].behind if spans else 0))
    return spans


def _first(spans: list[_Span], count: int) -> Column:
    """The first `count` offsets of all."""
    from pyspark.sql import functions as F

    found = F.lit(False)
    for span in spans:
        if count > span.before:
            end = min(span.last, span.first + count - span.before - 1)
            found = found | (
                (F.col("_kafka_partition") == span.partition) & (F.col("_kafka_offset") <= end)
            )
    return found


def _everything(made: steps.Rows, target: Struct) -> DataFrame:
    """All that the steps compute, also what the table has no column for."""
    shown = [c.alias(f"_t{n}") for n, c in enumerate(target_columns(made.frame, target).values())]
    return made.frame.select("*", *shown, made.deleted.alias("_d"), made.passed.alias("_w"))


def _error_of(frame: DataFrame) -> Exception | None:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        frame.write.format("noop").mode("overwrite").save()
    except (PySparkException, Py4JJavaError) as error:
        return error
    return None
