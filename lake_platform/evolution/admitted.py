"""Which keys become columns where an object brings more than it may.

The choice is made of all records of a batch, so that neither their order nor how they are dealt to
processes matters: the most frequent keys, of equal ones the smallest. Where there were too many to
be counted each, none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lake_platform.domain.data_keys import looks_like_data
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import Node
from lake_platform.domain.schema import (
    RESCUED_FIELD,
    Array,
    Field,
    Map,
    Struct,
    Type,
    leaf,
    without_unknown,
)
from lake_platform.records.newcomers import closed_record, is_told, room
from lake_platform.sight.seen import Seen, only, union


def admitted(dataset: Dataset, grown: Struct, held: Struct, now: Struct, seen: Seen) -> Struct:
    """`grown` with the keys that its newly closed objects may take still, as `now` has them; `seen`
    is of the same records. No more leaf columns than `max_columns`, but for those of `held`."""
    choice = _Choice(dataset, dataset.max_columns - leaves(held))
    newly = grown.closed and not held.closed
    found = choice.struct(grown, held, now, seen, dataset.hints, newly, dataset.max_columns)
    if choice.closes_root:
        found = closed_record(found.fields)
    elif choice.closed and not any(not f.keys for f in found.fields):
        found = Struct((*found.fields, RESCUED_FIELD))
    return found


def leaves(kind: Type) -> int:
    """How many columns a reader of plain columns would need."""
    inner = leaf(kind)
    return sum(leaves(f.type) for f in inner.fields) if isinstance(inner, Struct) else 1


class _Choice:
    def __init__(self, dataset: Dataset, left: int) -> None:
        self._dataset, self._left = dataset, left
        self.closes_root = self.closed = self._over = False

    def struct(
        self, grown: Struct, held: Struct, now: Type, seen: Seen, hints: Node, newly: bool,
        most: int, *, root: bool = True,
    ) -> Struct:  # fmt: skip
        known = now if isinstance(now, Struct) else Struct()
        kept = [self._held(f, held.same(f), known, seen, hints) for f in grown.fields]
        new = [f for f in grown.fields if f.keys and held.same(f) is None]
        told = [f for f in new if is_told(f.keys, hints)]
        new = [f for f in new if f not in told]
        if newly:
            new = self._chosen(held, known, seen, hints)[: room(held, most, self._dataset)]
        fitting = self._fitting(new)
        self._over = newly or len(fitting) < len(new)
        self.closes_root |= root and self._over
        self.closed |= self._over
        return Struct((*(f for f in kept if f is not None), *told, *fitting))

    def _fitting(self, new: Sequence[Field]) -> list[Field]:
        fitting = []
        for field in new:
            size = leaves(field.type) if without_unknown(field.type) is not None else 0
            if size <= self._left:
                self._left -= size
                fitting.append(field)
        return fitting

    def _chosen(self, held: Struct, now: Struct, seen: Seen, hints: Node) -> list[Field]:
        if seen.others is not None or seen.lost:
            return []
        free = [f for f in now.fields if f.keys and _is_free(f, held, hints)]
        return sorted(free, key=lambda f: (-_count(seen, f), f.keys[0].encode("utf-8", "replace")))

    def _held(
        self, field: Field, held: Field | None, now: Struct, seen: Seen, hints: Node
    ) -> Field | None:
        """A field that is no new one: those are chosen apart."""
        if held is None:
            return None if field.keys else field
        same = now.same(field)
        if same is None or not field.keys:
            return field
        inside = union(c for k, c in seen.children.items() if k in same.keys)
        newly = field.closed and not held.closed
        self._over = False
        kind = self._inside(field.type, held.type, same.type, inside, hints.of(field.keys), newly)
        # The last object looked at is the one nearest to the field.
        return replace(field, type=kind, closed=field.closed or self._over)

    def _inside(
        self, grown: Type, held: Type, now: Type, seen: Seen, hints: Node, newly: bool
    ) -> Type:
        if isinstance(grown, Array) and isinstance(held, Array):
            single = only(seen, "object")
            each = union([seen.element, single]) if seen.element else single
            inner = now.element if isinstance(now, Array) else now
            return Array(
                self._inside(grown.element, held.element, inner, each, hints.elements, newly)
            )
        if isinstance(grown, Map) and isinstance(held, Map):
            each = union(seen.every_child())
            inner = now.value if isinstance(now, Map) else Struct()
            return Map(self._inside(grown.value, held.value, inner, each, hints.elements, newly))
        if isinstance(grown, Struct) and isinstance(held, Struct):
            most = self._dataset.max_object_keys
            return self.struct(grown, held, now, seen, hints, newly, most, root=False)
        return grown


def _is_free(field: Field, held: Struct, hints: Node) -> bool:
    if any(held.of_key(k) or held.twin_of(k) for k in field.keys):
        return False
    return not (is_told(field.keys, hints) or any(map(looks_like_data, field.keys)))


def _count(seen: Seen, field: Field) -> int:
    return sum(c.values for k in field.keys if (c := seen.children.get(k)) is not None)
