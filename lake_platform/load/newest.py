"""The newest record of each key, while the records go by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lake_platform.domain.batches import Delete
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct
from lake_platform.records.build import build

Place = tuple[Any, int, int]
"""Ordering value (the same for all without an ordering field), Kafka order (ms) and offset."""


class Newest:
    """Rows are known by their number. A tombstone counts as a record of its key, where there is no
    ordering field: it has no value of one."""

    def __init__(self, dataset: Dataset, source: Struct) -> None:
        places = {f.name: i for i, f in enumerate(source.fields)}
        self._types = [source.fields[places[c]].type for c in dataset.primary_key]
        self._key = [places[c] for c in dataset.primary_key]
        self._names = dataset.primary_key
        self._ordering = places[dataset.ordering_field] if dataset.ordering_field else None
        self._held: dict[Any, tuple[Place, int | None]] = {}

    @property
    def rows(self) -> int:
        return sum(1 for _ in self.places())

    def places(self) -> Iterable[int]:
        """The numbers of the rows that are the newest of their key."""
        return (number for _, number in self._held.values() if number is not None)

    def add(
        self,
        unpack: Callable[[Any], tuple[Any, ...]],
        values: Sequence[Any],
        heads: Sequence[Any],
        first: int,
    ) -> None:
        """Rows numbered from `first`."""
        ordering, key = self._ordering, self._key
        for number, (value, head) in enumerate(zip(values, heads, strict=True), first):
            row = unpack(value)
            order = head.timestamp if head.order is None else head.order
            place = (None if ordering is None else row[ordering], order, head.offset)
            self._take(tuple(row[i] for i in key), place, number)

    def add_deletes(self, deletes: Sequence[Delete]) -> list[Delete]:
        """Takes tombstones; gives back those that are the newest of their key."""
        if self._ordering is not None:
            return list(deletes)
        keyed = [(self._key_of(d), (None, d.order, d.offset), d) for d in deletes]
        for key, place, _ in keyed:
            self._take(key, place, None)
        return [d for key, place, d in keyed if self._held[key] == (place, None)]

    def _key_of(self, delete: Delete) -> tuple[Any, ...]:
        """In the form that decoded values have."""
        named = zip(self._names, self._types, strict=True)
        return tuple(build(delete.key[name], kind) for name, kind in named)

    def _take(self, key: Any, place: Place, number: int | None) -> None:
        held = self._held.get(key)
        if held is None or _before(held[0], place):
            self._held[key] = place, number


def _before(first: Place, second: Place) -> bool:
    """Whether `first` is older. Ordering values are never None, or all are."""
    if first[0] is None:
        return first[1:] < second[1:]
    return first < second
