"""What an upsert hands to Hudi: one row a key, and for each row of the table that it leaves behind
a delete in that row's own partition.

Hudi's global index would move rows by itself, but its deletes of the old ones carry the ordering
value 0, which hudi-rs refuses beside values of another type; and a tombstone has no partition. So
rows of the table with a key of the batch are looked up here, where it matters: in tables in which
a row may move, and for batches that delete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_platform.adapters.hudi.keys import IDENTITY, KEY, identity
from lake_platform.adapters.spark.rows import DELETED
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import ORDER

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

# Of frames only, and named as no column of a Hudi table can be.
_RANK, _AT, _BEST, _LATE = "#rank", "#at", "#best", "#late"
_HIGHEST, _OLD_AT = "#highest", "#old_at"


@dataclass(frozen=True, slots=True)
class Upsert:
    """`deleted`: keys that leave the table."""

    rows: DataFrame
    deleted: int


def moves(dataset: Dataset) -> bool:
    """Whether a key may go from one partition to another."""
    return not set(dataset.partition_by) <= set(dataset.primary_key)


@contextmanager
def prepared(
    rows: DataFrame,
    tombstones: DataFrame | None,
    table: DataFrame | None,
    dataset: Dataset,
    *,
    unique: bool,
) -> Iterator[Upsert]:
    """`rows` as the table has columns, with `_kafka_order` and the delete mark; `table` None while
    there is none. `unique`: no key is in both more than once. Frames are kept in memory until the
    end of the block."""
    rows = _known_by(rows, dataset)
    marked = bool(dataset.delete_when) or dataset.filtered == "delete"
    deletes = tombstones is not None or marked
    if not (deletes or moves(dataset)):
        yield Upsert(rows if unique else _newest(rows, dataset), 0)
        return
    marks = None if tombstones is None else _known_by(tombstones, dataset)
    stored = _met(table, rows if marks is None else rows.unionByName(marks), dataset).persist()
    if marks is not None and dataset.ordering_field:
        marks = _dated(marks, rows, stored, dataset)
    incoming = rows if marks is None else rows.unionByName(marks)
    incoming = (incoming if unique else _newest(incoming, dataset)).persist()
    try:
        yield _placed(incoming, stored, dataset, deletes=deletes)
    finally:
        incoming.unpersist()
        stored.unpersist()


def _met(table: DataFrame | None, incoming: DataFrame, dataset: Dataset) -> DataFrame:
    """The table's rows with a key of the batch, as far as they matter."""
    from pyspark.sql import functions as F

    wanted = incoming if moves(dataset) else incoming.where(F.col(DELETED))
    return _stored(table, incoming, dataset).join(wanted.select(IDENTITY), IDENTITY, "left_semi")


def _placed(incoming: DataFrame, stored: DataFrame, dataset: Dataset, *, deletes: bool) -> Upsert:
    from pyspark.sql import functions as F

    judged = _judged(incoming, stored, dataset)
    gone = judged.where(F.col(DELETED) & ~F.col(_LATE) & F.col(_BEST).isNotNull())
    # int(): Spark Connect counts in numpy integers, which JSON does not know.
    deleted = int(gone.count()) if deletes else 0
    if moves(dataset):
        return Upsert(_moved(judged, stored, incoming, dataset), deleted)
    if not dataset.ordering_field:
        return Upsert(incoming, deleted)
    # A tombstone ranks by a value that is not its own: Hudi would let it win over a later row.
    sound = judged.where(~(F.col(DELETED) & F.col(_LATE)))
    return Upsert(sound.select(*[f"`{c}`" for c in incoming.columns]), deleted)


def keyed(rows: DataFrame, record_key: Sequence[str]) -> DataFrame:
    """`rows` with the columns of the table's record key, and without those of frames only."""
    if KEY in record_key:
        return rows.withColumnRenamed(IDENTITY, KEY)
    return rows.drop(IDENTITY)


def _known_by(rows: DataFrame, dataset: Dataset) -> DataFrame:
    return rows.withColumn(IDENTITY, identity(rows, dataset.primary_key))


def _rank(dataset: Dataset) -> list[str]:
    return [*([dataset.ordering_field] if dataset.ordering_field else []), ORDER]


def _packed(columns: Sequence[Column]) -> Column:
    """One value to compare and keep them by: a struct is compared part by part."""
    from pyspark.sql import functions as F

    named = [column.alias(f"c{i}") for i, column in enumerate(columns)]
    return F.struct(*named) if named else F.lit(0)


def _folder(column: Column, kind: DataType) -> Column:
    """The value as the name of its folder gives it back: Hive has one for none and for empty."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    if not isinstance(kind, StringType):
        return column
    return F.when(~column.isin("", "__HIVE_DEFAULT_PARTITION__"), column)


def _stored(table: DataFrame | None, like: DataFrame, dataset: Dataset) -> DataFrame:
    """Identity, rank and place of the table's rows."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import TimestampType

    source = like.limit(0) if table is None else table
    present = set(source.columns)
    types = {f.name: f.dataType for f in like.schema.fields}

    def held(name: str) -> Column:
        column = F.col(f"`{name}`") if name in present else F.lit(None)
        return column.cast(types[name])

    def place(name: str) -> Column:
        if isinstance(types[name], TimestampType) and "_hoodie_partition_path" in present:
            # Spark reads fractions of a second in a folder's name as NULL.
            folder = rf"(?:^|/)\Q{name}\E=([^/]*)"
            text = F.regexp_extract("_hoodie_partition_path", folder, 1)
            return F.url_decode(text).cast("timestamp")
        return _folder(held(name), types[name])

    known = F.col(KEY) if KEY in present else identity(source, dataset.primary_key)
    return source.select(
        known.alias(IDENTITY),
        _packed([held(c) for c in _rank(dataset)]).alias(_RANK),
        _packed([place(c) for c in dataset.partition_by]).alias(_AT),
    )


def _newest(rows: DataFrame, dataset: Dataset) -> DataFrame:
    """One row a key by (ordering field, Kafka order): Hudi alone would break ties at random."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = [F.col(f"`{c}`").desc_nulls_last() for c in _rank(dataset)]
    number = F.row_number().over(Window.partitionBy(IDENTITY).orderBy(*order))
    return rows.withColumn(_RANK, number).where(F.col(_RANK) == 1).drop(_RANK)


def _dated(
    tombstones: DataFrame, rows: DataFrame, stored: DataFrame, dataset: Dataset
) -> DataFrame:
    """Gives tombstones the greatest ordering value their key has so far: they carry none, and
    follow what was sent before them. Tombstones of keys never seen are left out."""
    from pyspark.sql import functions as F

    ordering = str(dataset.ordering_field)
    here = rows.select(IDENTITY, F.col(f"`{ordering}`").alias(_HIGHEST))
    there = stored.select(IDENTITY, F.col(f"{_RANK}.c0").alias(_HIGHEST))
    highest = here.unionByName(there).groupBy(IDENTITY).agg(F.max(_HIGHEST).alias(_HIGHEST))
    dated = tombstones.drop(ordering).join(highest, IDENTITY)
    return dated.withColumnRenamed(_HIGHEST, ordering).select(*[f"`{c}`" for c in rows.columns])


def _judged(incoming: DataFrame, stored: DataFrame, dataset: Dataset) -> DataFrame:
    """`incoming` with rank and place, the best row of its key in the table, and whether that one
    is newer."""
    from pyspark.sql import functions as F

    types = {f.name: f.dataType for f in incoming.schema.fields}
    best = stored.groupBy(IDENTITY).agg(F.max(F.struct(_RANK, _AT)).alias(_BEST))
    placed = incoming.withColumns(
        {
            _RANK: _packed([F.col(f"`{c}`") for c in _rank(dataset)]),
            _AT: _packed([_folder(F.col(f"`{c}`"), types[c]) for c in dataset.partition_by]),
        }
    )
    late = F.coalesce(F.col(f"{_BEST}.{_RANK}") > F.col(_RANK), F.lit(False))
    return placed.join(best, IDENTITY, "left").withColumn(_LATE, late)


def _moved(
    judged: DataFrame, stored: DataFrame, incoming: DataFrame, dataset: Dataset
) -> DataFrame:
    """Rows that are not older than the table's, and a delete for each row of the table in another
    partition than the winner's. A delete ranks as the winner, so nothing before it comes back."""
    from pyspark.sql import functions as F

    live = judged.where(~F.col(_LATE) & ~F.col(DELETED))
    both = judged.join(stored.select(IDENTITY, F.col(_AT).alias(_OLD_AT)), IDENTITY)
    late = F.col(_LATE)
    place = F.when(late, F.col(f"{_BEST}.{_AT}")).otherwise(F.col(_AT))
    rank = F.when(late, F.col(f"{_BEST}.{_RANK}")).otherwise(F.col(_RANK))
    stale = both.where((~late & F.col(DELETED)) | ~F.col(_OLD_AT).eqNullSafe(place))
    kept = {c: F.col(f"`{c}`") for c in (*dataset.primary_key, IDENTITY)}
    kept |= {c: F.col(c) for c in incoming.columns if c.startswith("_kafka_")}
    kept |= {c: rank.getField(f"c{i}") for i, c in enumerate(_rank(dataset))}
    kept |= {c: F.col(_OLD_AT).getField(f"c{i}") for i, c in enumerate(dataset.partition_by)}
    kept[DELETED] = F.lit(True)
    shaped = [
        kept.get(f.name, F.lit(None)).cast(f.dataType).alias(f.name) for f in incoming.schema.fields
    ]
    columns = [f"`{c}`" for c in incoming.columns]
    return live.select(*columns).unionByName(stale.select(*shaped))
