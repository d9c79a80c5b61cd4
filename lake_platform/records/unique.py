"""Values that a batch has twice although a rule says that it must not.

Which rows are in a batch depends on how raw commits were put together, so what is unique in one may
not be in another: what stands in quarantine for it is right for the batch it came in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.rules import SAMPLES, Broken, Condition, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

Place = tuple[int, int]
"""Partition and offset of a record."""
_VALUE, _OWN = "value", "own"


def keys_of(dataset: Dataset, condition: Condition, rows: pa.RecordBatch) -> pa.RecordBatch:
    """What is compared of each row: its value, and in an upsert table its primary key, as text."""
    import pyarrow as pa

    from lake_platform.records.rules import leaves_of, texts

    values, _ = leaves_of(rows, condition.column)
    named = dataset.primary_key if dataset.mode == "upsert" else ()
    parts = [texts(leaves_of(rows, name)[0]).to_pylist() for name in named]
    own = [repr(key) for key in zip(*parts, strict=True)] if parts else [""] * rows.num_rows
    return pa.RecordBatch.from_arrays(
        [
            texts(values) if pa.types.is_nested(values.type) else values,
            pa.array(own, pa.string()),
            rows.column("_kafka_partition"),
            rows.column("_kafka_offset"),
        ],
        names=[_VALUE, _OWN, "partition", "offset"],
    )


def doubled(
    dataset: Dataset, keys: Mapping[str, Sequence[pa.RecordBatch]]
) -> tuple[dict[str, Broken], dict[Place, str]]:
    """Which conditions are broken, and the reasons of the records that are put aside for it."""
    broken: dict[str, Broken] = {}
    aside: dict[Place, str] = {}
    for condition in dataset.conditions:
        found = _later(keys.get(condition.name, ()))
        if found is None or not found.num_rows:
            continue
        broken[condition.name] = Broken(condition, found.num_rows, _samples(found))
        if condition.policy == "quarantine":
            places = zip(
                *(found.column(n).to_pylist() for n in ("partition", "offset")), strict=True
            )
            aside = {place: reason_of(condition) for place in places} | aside
    return broken, aside


def _later(keys: Sequence[pa.RecordBatch]) -> pa.Table | None:
    """Rows whose value another row has before them, in the order of partition and offset."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        return None
    table = pa.Table.from_batches(keys).sort_by(
        [("partition", "ascending"), ("offset", "ascending")]
    )
    table = table.filter(table.column(_VALUE).is_valid())
    values, own = (table.column(n).combine_chunks() for n in (_VALUE, _OWN))
    row = pa.array(range(table.num_rows), pa.int64())
    firsts = (
        pa.table({_VALUE: values, "row": row})
        .group_by(_VALUE, use_threads=False)
        .aggregate([("row", "min")])
    )
    if firsts.num_rows == table.num_rows:
        return None
    known = firsts.column(_VALUE).combine_chunks()
    first = firsts.column("row_min").combine_chunks().take(pc.index_in(values, known))
    mine = pc.and_(pc.equal(own, own.take(first)), pc.not_equal(own, ""))
    return table.filter(pc.invert(pc.or_(pc.equal(row, first), mine)))


def _samples(found: pa.Table) -> tuple[Mapping[str, object], ...]:
    from lake_platform.records.rules import shown_text

    shown = found.slice(0, SAMPLES)
    values = shown.column(_VALUE).combine_chunks()
    return tuple(
        {
            "partition": shown.column("partition")[n].as_py(),
            "offset": shown.column("offset")[n].as_py(),
            "value": shown_text(values.slice(n, 1)),
        }
        for n in range(shown.num_rows)
    )
