"""Looks at a Parquet table without Spark: counts from footers and the coordinate columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.domain.batches import TableProfile
from lake_platform.domain.own_columns import PLACE
from lake_platform.domain.schema import EXACT_IN_DOUBLE
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


def exact_as_double(store: ObjectStore, keys: Iterable[str], paths: Collection[str]) -> bool:
    """By the statistics in the footers; False where one says nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {_in_parquet(path) for path in paths}
    for key in keys:
        found = pq.read_metadata(pa.BufferReader(store.get(key)))
        groups = (found.row_group(n) for n in range(found.num_row_groups))
        columns = (group.column(n) for group in groups for n in range(group.num_columns))
        if not all(_is_exact(c) for c in columns if c.path_in_schema in wanted):
            return False
    return True


def _is_exact(column: Any) -> bool:
    known = column.statistics
    if known is None or not known.has_null_count:
        return False
    if known.null_count == column.num_values:
        return True
    exact = known.has_min_max and isinstance(known.min, int)
    return exact and known.min >= -EXACT_IN_DOUBLE and known.max <= EXACT_IN_DOUBLE


def _in_parquet(path: str) -> str:
    """`o.items[].n` as Parquet calls the leaf: `o.items.list.element.n`."""
    return path.replace("[]", ".list.element").replace("{}", ".key_value.value")


def _read(store: ObjectStore, keys: Iterable[str], columns: list[str]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for key in keys:
        data = pa.BufferReader(store.get(key))
        known = [c for c in columns if c in pq.read_schema(data).names]
        yield pq.read_table(data, columns=known, partitioning=None)
