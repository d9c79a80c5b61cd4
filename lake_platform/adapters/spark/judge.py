"""What steps made of a batch, looked at before anything is written: the scan could not see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark.carry import lost_columns
from lake_platform.adapters.spark.identity import check_identity
from lake_platform.adapters.spark.rows import deletable, made_rows, target_columns
from lake_platform.adapters.spark.rules import conditions_of, held_against_rules
from lake_platform.domain.batches import BatchJob, Exclusion, Judgement, UnfitRow
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import (
    HARMLESS_PARTITION_CHARS,
    MAX_KEY_BYTES,
    Reason,
    bad_partition,
)
from lake_platform.records.unique import Place

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

    from lake_platform.domain.storage import ObjectStore

_SHOWN = 1_000  # characters of a partition value: enough to know that it is too long


def needs_judging(dataset: Dataset) -> bool:
    """Where a step can make a row unfit, its count of rows tells what became of the records, a
    rule is about its rows, a cast of it may lose values, or it is code."""
    if any(step.makes_frame for step in dataset.transforms):
        return True
    shaped = dataset.mode == "upsert" or dataset.partition_by or dataset.explode
    if dataset.transformed and (shaped or lost_columns(dataset).flags):
        return True
    return bool(conditions_of(dataset))


def judge(spark: SparkSession, job: BatchJob, store: ObjectStore) -> Judgement:
    """Raises: TransformError; what Spark throws when a step fails."""
    check_identity(spark, job, store)
    ruled = held_against_rules(spark, job, store)
    return replace(_judged(spark, job, store, ruled.unfit), broken=ruled.broken)


def _judged(
    spark: SparkSession, job: BatchJob, store: ObjectStore, ruled: Mapping[Place, UnfitRow]
) -> Judgement:
    """One pass over the batch; `ruled` are unfit for a rule."""
    if not job.dataset.transformed:
        return Judgement(tuple(ruled.values()))
    own, found = _look(spark, job, store)
    unfit = {**ruled, **{(u.partition, u.offset): u for u in own}}
    if unfit and job.dataset.explode:
        # The other rows of these records must not be counted either.
        gone = tuple(Exclusion(*place) for place in unfit)
        rest = replace(job, refused=gone, quarantined=job.quarantined + len(gone))
        found_again = _judged(spark, rest, store, {})
        return replace(found_again, unfit=tuple(unfit.values()), lost=found.lost)
    alive = job.records - job.quarantined - job.dropped - job.deleting
    sound = found.given - len(unfit)
    return Judgement(
        tuple(unfit.values()),
        dropped=alive - len(unfit) - sound,
        exploded=found.rows - found.given,
        lost=found.lost,
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    """Rows the batch would write or delete, and the records that give one. `lost` is of the rows
    that would be written, before any is put aside."""

    rows: int
    given: int
    lost: Mapping[str, Lost] = field(default_factory=dict)


def _look(spark: SparkSession, job: BatchJob, store: ObjectStore) -> tuple[list[UnfitRow], _Counts]:
    from pyspark.sql import functions as F

    dataset = job.dataset
    made = made_rows(spark, job, store)
    passed = made.passed
    given = passed | deletable(made.frame, dataset) if dataset.filtered == "delete" else passed
    frame = made.frame.select(
        F.col("_kafka_partition").alias("_p"),
        F.col("_kafka_offset").alias("_o"),
        passed.alias("_passed"),
        given.alias("_given"),
        (passed & ~made.deleted).alias("_kept"),
        *_looked_at(made.frame, job),
        *(F.col(f"`{name}`") for name in made.casts.values()),
    ).where(F.col("_given"))
    unfit = F.col("_reason").isNotNull() | F.exists("_texts", lambda t: t.isNotNull())
    records = F.countDistinct("_p", "_o") if dataset.explode else F.count(F.lit(1))
    found = frame.agg(
        F.count(F.lit(1)).alias("rows"),
        records.alias("given"),
        F.collect_list(
            F.when(F.col("_passed") & unfit, F.struct("_p", "_o", "_reason", "_texts"))
        ).alias("unfit"),
        F.count(F.when(F.col("_kept"), True)).alias("kept"),
        *(c for name in made.casts.values() for c in _lost(name)),
    ).first()
    if found is None:
        return [], _Counts(0, 0)
    verdicts = {(v.partition, v.offset): v for s in found["unfit"] if (v := _verdict(s))}
    lost = {c: _lost_of(found, name) for c, name in made.casts.items()}
    return list(verdicts.values()), _Counts(int(found["rows"]), int(found["given"]), lost)


def _lost(name: str) -> Iterator[Column]:
    """How many rows have such a text, and the first by its place."""
    from pyspark.sql import functions as F

    said = F.when(F.col("_kept"), F.col(f"`{name}`"))
    yield F.count(said).alias(f"n{name}")
    first = F.struct(F.col("_o"), F.col("_p"), said.alias("_v"))
    yield F.min(F.when(said.isNotNull(), first)).alias(f"f{name}")


def _lost_of(found: Row, name: str) -> Lost:
    first = found[f"f{name}"]
    shown = first and {"partition": first["_p"], "offset": first["_o"], "value": first["_v"]}
    return Lost(int(found["kept"]), int(found[f"n{name}"]), shown)


def _looked_at(frame: DataFrame, job: BatchJob) -> Iterator[Column]:
    from pyspark.sql import functions as F

    dataset, columns = job.dataset, target_columns(frame, job.table_schema)
    null_key, size = F.lit(False), F.lit(0)
    key = dataset.primary_key if dataset.mode == "upsert" else ()
    if len(key) == 1 and str(_type_of(job, key[0])) == "string":
        # A lone empty key is none, as without a step.
        null_key = F.coalesce(columns.get(key[0], F.lit(None)) == "", F.lit(False))
    for name in key:
        column = columns.get(name, F.lit(None))
        null_key = null_key | column.isNull()
        text = str(_type_of(job, name)) == "string"
        size = size + (F.coalesce(F.octet_length(column), F.lit(0)) if text else F.lit(8))
    ordering = dataset.ordering_field
    null_order = columns.get(ordering, F.lit(None)).isNull() if ordering else F.lit(False)
    reason = F.when(null_key, Reason.NULL_KEY.name)
    reason = reason.when(size > MAX_KEY_BYTES, Reason.KEY_TOO_LARGE.name)
    yield reason.when(null_order, Reason.NULL_ORDERING.name).alias("_reason")
    texts = [
        columns[n] for n in dataset.partition_by
        if n in columns and str(_type_of(job, n)) == "string"
    ]  # fmt: skip
    suspects = [F.when(_suspect(c), F.substring(c, 1, _SHOWN)) for c in texts]
    yield F.array(*suspects).cast("array<string>").alias("_texts")


def _suspect(column: Column) -> Column:
    from pyspark.sql import functions as F

    return (F.length(column) > HARMLESS_PARTITION_CHARS) | (F.instr(column, "\x00") > 0)


def _type_of(job: BatchJob, name: str) -> Any:
    field = job.table_schema.get(name)
    return field.type if field else None


def _verdict(suspect: Any) -> UnfitRow | None:
    reason = Reason[suspect["_reason"]] if suspect["_reason"] else None
    for text in suspect["_texts"] or ():
        reason = reason or (bad_partition(text) if text is not None else None)
    return None if reason is None else UnfitRow(suspect["_p"], suspect["_o"], reason)
