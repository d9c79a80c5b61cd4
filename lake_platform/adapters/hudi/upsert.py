"""What an upsert hands to Hudi: one row a key, and for each row of the table that it leaves behind
a delete in that row's own partition.

Hudi's global index would move rows by itself, but its deletes of the old ones carry the ordering
value 0, which hudi-rs refuses beside values of another type; and a tombstone has no partition. So
rows of the table with a key of the batch are looked up here, where it matters: in tables in which
a row may move, and for batches that delete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.hudi.keys import IDENTITY, KEY, identity
from lake_platform.adapters.spark.rows import DELETED, ORDER
from lake_platform.domain.batches import Delete
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import MAX_PARTITION_BYTES
from lake_platform.records.forms import Binary, Days, Micros, Text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

# Of frames only, and named as no column of a Hudi table can be.
_RANK, _AT, _BEST, _LATE = "#rank", "#at", "#best", "#late"
_HIGHEST, _OLD_AT = "#highest", "#old_at"


@dataclass(frozen=True, slots=True)
class Upsert:
    """`deleted`: keys that leave the table. `release` frees what was kept in memory for it."""

    rows: DataFrame
    deleted: int
    kept: tuple[DataFrame, ...] = ()

    def release(self) -> None:
        for frame in self.kept:
            frame.unpersist()


def moves(dataset: Dataset) -> bool:
    """Whether a key may go from one partition to another."""
    return not set(dataset.partition_by) <= set(dataset.primary_key)


def prepared(
    rows: DataFrame,
    tombstones: DataFrame | None,
    table: DataFrame | None,
    dataset: Dataset,
    *,
    unique: bool,
) -> Upsert:
    """`rows` as the table has columns, with `_kafka_order` and the delete mark; `table` None while
    there is none. `unique`: no key is in both more than once."""
    from pyspark.sql import functions as F

    rows = _known_by(rows, dataset)
    deletes = tombstones is not None or bool(dataset.delete_when)
    if not (deletes or moves(dataset)):
        return Upsert(rows if unique else _newest(rows, dataset), 0)
    incoming = rows if tombstones is None else rows.unionByName(_known_by(tombstones, dataset))
    wanted = incoming if moves(dataset) else incoming.where(F.col(DELETED))
    stored = _stored(table, incoming, dataset).join(wanted.select(IDENTITY), IDENTITY, "left_semi")
    stored = stored.persist()
    if tombstones is not None and dataset.ordering_field:
        marks = _dated(_known_by(tombstones, dataset), rows, stored, dataset)
        incoming = rows.unionByName(marks)
    if not unique:
        incoming = _newest(incoming, dataset)
    incoming = incoming.persist()
    judged = _judged(incoming, stored, dataset)
    gone = judged.where(F.col(DELETED) & ~F.col(_LATE) & F.col(_BEST).isNotNull())
    deleted = gone.count() if deletes else 0
    written = _moved(judged, stored, incoming, dataset) if moves(dataset) else incoming
    return Upsert(written, deleted, (incoming, stored))


def keyed(rows: DataFrame, record_key: Sequence[str]) -> DataFrame:
    """`rows` with the columns of the table's record key, and without those of frames only."""
    if KEY in record_key:
        return rows.withColumnRenamed(IDENTITY, KEY)
    return rows.drop(IDENTITY)


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


def checked(rows: DataFrame, dataset: Dataset) -> DataFrame:
    """What the scan cannot see behind a step: fails the batch before anything is written."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    texts = {f.name for f in rows.schema.fields if isinstance(f.dataType, StringType)}
    for name in dataset.partition_by:
        if name in texts:
            long = F.length(F.url_encode(F.col(f"`{name}`"))) > MAX_PARTITION_BYTES
            why = f"partition column {name} is longer than {MAX_PARTITION_BYTES} bytes"
            rows = _refused(rows, name, long, why)
    if len(dataset.primary_key) == 1 and dataset.primary_key[0] in texts:
        name = dataset.primary_key[0]
        rows = _refused(rows, name, F.col(f"`{name}`") == "", f"primary key {name} is empty")
    return rows


def _refused(rows: DataFrame, name: str, bad: Column, why: str) -> DataFrame:
    from pyspark.sql import functions as F

    where = [F.lit(" in partition "), F.col("_kafka_partition"), F.lit(" offset ")]
    message = F.concat(F.lit(f"lake_transform: {why}"), *where, F.col("_kafka_offset"))
    failure = F.raise_error(message).cast("string")
    return rows.withColumn(name, F.when(bad, failure).otherwise(F.col(f"`{name}`")))


def _known_by(rows: DataFrame, dataset: Dataset) -> DataFrame:
    return rows.withColumn(IDENTITY, identity(rows, dataset.primary_key))


def _rank(dataset: Dataset) -> list[str]:
    return [*([dataset.ordering_field] if dataset.ordering_field else []), ORDER]


def _packed(columns: Sequence[Column]) -> Column:
    """One value to compare and keep them by: a struct is compared part by part."""
    from pyspark.sql import functions as F

    named = [column.alias(f"c{i}") for i, column in enumerate(columns)]
    return F.struct(*named) if named else F.lit(0)


def _stored(table: DataFrame | None, like: DataFrame, dataset: Dataset) -> DataFrame:
    """Identity, rank and place of the table's rows."""
    from pyspark.sql import functions as F

    source = like.limit(0) if table is None else table
    present = set(source.columns)
    types = {f.name: f.dataType for f in like.schema.fields}

    def held(name: str) -> Column:
        column = F.col(f"`{name}`") if name in present else F.lit(None)
        return column.cast(types[name])

    known = F.col("_hoodie_record_key") if KEY in present else identity(source, dataset.primary_key)
    return source.select(
        known.alias(IDENTITY),
        _packed([held(c) for c in _rank(dataset)]).alias(_RANK),
        _packed([held(c) for c in dataset.partition_by]).alias(_AT),
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

    best = stored.groupBy(IDENTITY).agg(F.max(F.struct(_RANK, _AT)).alias(_BEST))
    placed = incoming.withColumns(
        {
            _RANK: _packed([F.col(f"`{c}`") for c in _rank(dataset)]),
            _AT: _packed([F.col(f"`{c}`") for c in dataset.partition_by]),
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
