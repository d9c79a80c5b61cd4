"""Keys that a table has no column for and gets none: those that look like data, and all that come
to an object which brought too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lake_platform.domain.data_keys import looks_like_data
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import Node
from lake_platform.domain.schema import (
    RESCUED_FIELD,
    UNKNOWN,
    Array,
    Field,
    Map,
    Struct,
    Type,
    leaf,
    without_unknown,
)
from lake_platform.records.observe import observe
from lake_platform.records.verbatim import Record, Verbatim


@dataclass(frozen=True, slots=True)
class Newcomers:
    """`growing`: a table is there, so that keys which look like data make no column. A key of which
    the definition says something always does. `merging`: one that differs from a column's in case
    only means that column; else it has none."""

    hints: Node
    growing: bool
    merging: bool = True

    def without(self, value: Any, schema: Struct, record: Record) -> Any:
        """A parsed record less the keys that make no column, which `record` keeps."""
        if not isinstance(value, dict):
            return value
        return self._object(value, schema, schema.closed, self.hints, record)

    def _column(self, key: str, kind: Struct) -> Field | None:
        return kind.of_key(key) or (kind.twin_of(key) if self.merging else None)

    def _stays_out(self, key: str, kind: Struct, node: Node, *, closed: bool) -> bool:
        if not self.merging and kind.twin_of(key) is not None:
            return node.owner(key) is None
        if not (closed or (self.growing and looks_like_data(key))):
            return False
        return not is_told([key], node)

    def _object(
        self, value: dict[str, Any], kind: Struct, closed: bool, node: Node, at: Verbatim
    ) -> dict[str, Any]:
        kept = {}
        for key, item in value.items():
            field = self._column(key, kind)
            if field is not None:
                kept[key] = self._inside(
                    item, field.type, field.closed, node.of(field.keys), at.child(key)
                )
            elif not self._stays_out(key, kind, node, closed=closed):
                kept[key] = item
            elif without_unknown(observe(item)) is not None:
                at.child(key).keep_out()
        return kept

    def _inside(self, item: Any, kind: Type, closed: bool, node: Node, at: Verbatim) -> Any:
        if not isinstance(leaf(kind), Struct) or not isinstance(item, dict | list):
            return item
        if isinstance(kind, Struct) and isinstance(item, dict):
            return self._object(item, kind, closed, node, at)
        if isinstance(kind, Array):
            inner, each = kind.element, node.elements
            if isinstance(item, dict):  # a single one of what others have several of
                return self._inside(item, inner, closed, each, at)
            return [
                self._inside(one, inner, closed, each, at.child(n)) for n, one in enumerate(item)
            ]
        if isinstance(kind, Map) and isinstance(item, dict):
            each, value = node.elements, kind.value
            return {
                k: self._inside(v, value, closed, each, at.child(k, each=True))
                for k, v in item.items()
            }
        return item


def closing(held: Struct, seen: Struct, dataset: Dataset) -> Struct:
    """`seen`, which has what a batch brings beyond `held`, with each object closed that brings more
    keys than it may, and less what is new in it: which of them it takes is to be chosen of all."""
    fields, over = _closing(held, seen, dataset.max_columns, dataset, dataset.hints)
    return closed_record(fields) if over else Struct(fields)


def closed_record(fields: Sequence[Field]) -> Struct:
    """A record that takes no more keys: its `_rescued`, which is the last column, says so."""
    rescued = next((f for f in fields if not f.keys), RESCUED_FIELD)
    return Struct((*(f for f in fields if f.keys), replace(rescued, closed=True)))


def room(held: Struct, most: int, dataset: Dataset) -> int:
    """How many keys an object may take in a batch; `most` in all."""
    known = sum(1 for f in held.fields if f.keys)
    return max(0, min(dataset.max_new_keys, most - known))


def is_told(keys: Sequence[str], node: Node) -> bool:
    """Whether the definition says something of them."""
    return any(node.owner(k) is not None or node.twin(k) is not None for k in keys)


def _closing(
    held: Struct, seen: Struct, most: int, dataset: Dataset, node: Node
) -> tuple[tuple[Field, ...], bool]:
    known = [(f, held.same(f)) for f in seen.fields]
    new = [f for f, h in known if h is None and f.keys and not is_told(f.keys, node)]
    over = sum(1 for f in new if f.type != UNKNOWN) > room(held, most, dataset)
    dropped = {f.keys for f in new} if over else ()
    fields = (
        f if h is None or not f.keys else _inside(f, h, dataset, node.of(f.keys))
        for f, h in known
        if h is not None or f.keys not in dropped
    )
    return tuple(fields), over


def _inside(field: Field, held: Field, dataset: Dataset, node: Node) -> Field:
    kind, over = _type(field.type, held.type, dataset, node)
    return replace(field, type=kind, closed=field.closed or over)


def _type(seen: Type, held: Type, dataset: Dataset, node: Node) -> tuple[Type, bool]:
    if isinstance(seen, Struct) and isinstance(held, Struct):
        fields, over = _closing(held, seen, dataset.max_object_keys, dataset, node)
        return Struct(fields), over
    if isinstance(seen, Array) and isinstance(held, Array):
        element, over = _type(seen.element, held.element, dataset, node.elements)
        return Array(element), over
    if isinstance(seen, Map) and isinstance(held, Map):
        value, over = _type(seen.value, held.value, dataset, node.elements)
        return Map(value), over
    return seen, False
