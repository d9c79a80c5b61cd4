"""Looks at a Parquet table without Spark: counts from footers and the coordinate columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.domain.batches import TableProfile
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED = "_kafka_offset"
MOST_ROWS = 50_000_000  # of which eight bytes each are held


def profiled(store: ObjectStore, keys: Iterable[str]) -> TableProfile | None:
    """Rows, and distinct places in Kafka; None when there are more rows than memory should hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets: defaultdict[int, list[pa.Array]] = defaultdict(list)
    rows = nulls = 0
    for table in _read(store, keys, [*PLACE]):
        rows += table.num_rows
        if rows > MOST_ROWS:
            return None
        partition, offset = table.column(0), table.column(1)
        missing = pc.or_(partition.is_null(), offset.is_null())
        nulls += pc.sum(missing).as_py() or 0
        for value in pc.unique(partition.drop_null()).to_pylist():
            chosen = offset.filter(pc.equal(partition, value)).drop_null()
            offsets[value] += chosen.chunks
    distinct = sum(pc.count_distinct(pa.chunked_array(c)).as_py() for c in offsets.values())
    return TableProfile(rows, distinct, nulls)


def newest(
    store: ObjectStore, keys: Iterable[str], columns: Sequence[str], limit: int
) -> Sequence[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    # With a column that is there whatever the batch has: rows of none would be no rows.
    for table in _read(store, keys, [*columns, _COUNTED]):
        found += table.slice(0, limit - len(found)).to_pylist(maps_as_pydicts="lossy")
        if len(found) >= limit:
            break
    return [{name: row[name] for name in columns if name in row} for row in found]


def footer_rows(data: bytes) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return int(pq.read_metadata(pa.BufferReader(data)).num_rows)


def _read(store: ObjectStore, keys: Iterable[str], columns: list[str]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for key in keys:
        data = pa.BufferReader(store.get(key))
        known = [c for c in columns if c in pq.read_schema(data).names]
        yield pq.read_table(data, columns=known, partitioning=None)
