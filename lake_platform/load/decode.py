"""The rows of raw objects as one Arrow table: the columns of the schema, and the technical ones.
Rows that a rule puts aside are not among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import COORDINATES, ORDER
from lake_platform.domain.schema import Struct
from lake_platform.load import newest
from lake_platform.load.newest import Newest
from lake_platform.load.scan import Rows
from lake_platform.records.conform import Line

if TYPE_CHECKING:
    import pyarrow as pa

    from lake_platform.load.rules import RowRules
    from lake_platform.records.columns import Unpack

_STORABLE_MS = (-62_135_596_800_000, 253_402_300_799_999)  # years 1 to 9999, as Parquet's readers


class Decoder:
    """Takes rows as they come, chunk by chunk. `newest` has one row for each key where it is asked
    for: an upsert table without transforms. `rules` judge the rows, where there are any."""

    def __init__(self, dataset: Dataset, source: Struct, rules: RowRules | None = None) -> None:
        self._rules = rules
        self._ordered = dataset.mode == "upsert"
        self._schema = staged_schema(source, ordered=self._ordered)
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self.newest = Newest(dataset, source) if _one_a_key(dataset, source) else None

    def add(self, rows: Rows) -> None:
        from lake_platform.records.columns import of_struct

        fast = [r.value for r in rows.fast]
        self._add(rows.schema, fast, rows.fast, of_struct, newest.of_struct)
        slow = [head for head, _ in rows.slow]
        self._add(rows.schema, [v for _, v in rows.slow], slow, tuple, newest.of_tuple)

    def table(self) -> pa.Table:
        """All rows so far, or the newest of each key."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._batches, schema=self._schema)
        if self.newest is None or self.newest.rows == self._rows:
            return table
        return table.take(pa.array(sorted(self.newest.places()), pa.int64()))

    def _add(
        self, schema: Struct, values: Sequence[Any], heads: Sequence[Any],
        unpack: Unpack, pick: newest.Pick,
    ) -> None:  # fmt: skip
        import pyarrow as pa

        from lake_platform.records.columns import arrays

        if not values:
            return
        parts = [*arrays(values, schema, unpack), *_technical(heads, ordered=self._ordered)]
        batch = pa.RecordBatch.from_arrays(parts, schema=self._schema)
        if self._rules is not None and (kept := self._rules.kept(batch)) is not None:
            batch = batch.take(pa.array(kept, pa.int64()))
            values, heads = [values[n] for n in kept], [heads[n] for n in kept]
        self._batches.append(batch)
        if self.newest is not None:
            self.newest.add(pick, values, heads, self._rows)
        self._rows += len(values)


def staged_schema(source: Struct, *, ordered: bool) -> pa.Schema:
    """`ordered`: with Kafka's order, which only upserts need."""
    import pyarrow as pa

    from lake_platform.records.columns import arrow_fields

    technical = [pa.int64(), pa.int64(), pa.timestamp("us", tz="UTC"), pa.string()]
    fixed = [pa.field(n, t) for n, t in zip(COORDINATES, technical, strict=True)]
    order = [pa.field(ORDER, pa.string())] if ordered else []
    return pa.schema([*arrow_fields(source), *fixed, *order])


def _technical(heads: Sequence[Line], *, ordered: bool) -> Iterator[pa.Array]:
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets = pa.array([h.offset for h in heads], pa.int64())
    at = pa.array([h.timestamp for h in heads], pa.int64())
    yield pa.array([h.partition for h in heads], pa.int64())
    yield offsets
    # A producer may set any 64-bit number.
    low, high = _STORABLE_MS
    storable = pc.and_(pc.greater_equal(at, low), pc.less_equal(at, high))
    storable_at = pc.if_else(storable, at, None)
    yield pc.multiply(storable_at, 1000).view(pa.timestamp("us", tz="UTC"))
    yield pa.array([h.key for h in heads], pa.string())
    if not ordered:
        return
    order = pa.array([h.timestamp if h.order is None else h.order for h in heads], pa.int64())
    # Kafka's order as one sortable column: Hudi takes a single ordering column only.
    yield pc.binary_join_element_wise(_digits(order, 15), _digits(offsets, 19), "-")


def _digits(numbers: pa.Array, width: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    padded = pc.utf8_lpad(numbers.cast(pa.string()), width, "0")
    return pc.utf8_slice_codeunits(padded, 0, width)


def _one_a_key(dataset: Dataset, source: Struct) -> bool:
    named = [*dataset.primary_key, *([dataset.ordering_field] if dataset.ordering_field else [])]
    known = all(source.get(c) is not None for c in named)
    return dataset.mode == "upsert" and not (dataset.transformed or judged_later(dataset)) and known


def judged_later(dataset: Dataset) -> bool:
    """Whether the engine may put records aside that stand here for others of their key."""
    return any(c.kind == "sql" and c.policy == "quarantine" for c in dataset.conditions)
