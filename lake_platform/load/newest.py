"""The newest record of each key, while the records go by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from operator import attrgetter, itemgetter
from typing import Any

from lake_platform.domain.batches import Delete
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct
from lake_platform.records.build import build
from lake_platform.records.verbatim import Record

_NOWHERE = Record(b"null")
Order = tuple[Any, int, int]
"""Ordering value (the same for all without an ordering field), Kafka order (ms) and offset."""

Pick = Callable[[Sequence[int]], Callable[[Any], Any]]
"""Makes a getter of the values at some places of a row: the value of one, a tuple of several."""


def of_struct(places: Sequence[int]) -> Callable[[Any], Any]:
    """Of what `Conformer.decode` gives; `of_tuple` of what `build` gives."""
    return attrgetter(*[f"f{i}" for i in places])


def of_tuple(places: Sequence[int]) -> Callable[[Any], Any]:
    return itemgetter(*places)


class Newest:
    """Rows are known by their number. A tombstone counts as a record of its key, where there is no
    ordering field: it has no value of one."""

    def __init__(self, dataset: Dataset, source: Struct) -> None:
        places = {f.name: i for i, f in enumerate(source.fields)}
        self._types = [source.fields[places[c]].type for c in dataset.primary_key]
        self._key = [places[c] for c in dataset.primary_key]
        self._names = dataset.primary_key
        self._ordering = [places[dataset.ordering_field]] if dataset.ordering_field else []
        self._held: dict[Any, tuple[Order, int | None]] = {}

    @property
    def rows(self) -> int:
        return sum(1 for _ in self.places())

    def places(self) -> Iterable[int]:
        """The numbers of the rows that are the newest of their key."""
        return (number for _, number in self._held.values() if number is not None)

    def add(self, pick: Pick, values: Sequence[Any], heads: Sequence[Any], first: int) -> None:
        """Rows numbered from `first`."""
        keys = map(pick(self._key), values)
        ordered = map(pick(self._ordering), values) if self._ordering else repeat(None)
        rows = zip(count(first), keys, ordered, heads)
        for number, key, ordering, head in rows:
            order = head.timestamp if head.order is None else head.order
            self._take(key, (ordering, order, head.offset), number)

    def add_deletes(self, deletes: Sequence[Delete]) -> list[Delete]:
        """Takes tombstones; gives back those that are the newest of their key."""
        if self._ordering:
            return list(deletes)
        keyed = [(self._key_of(d), (None, d.order, d.offset), d) for d in deletes]
        for key, place, _ in keyed:
            self._take(key, place, None)
        return [d for key, place, d in keyed if self._held[key] == (place, None)]

    def _key_of(self, delete: Delete) -> Any:
        """As `Pick` gives that of decoded values."""
        named = zip(self._names, self._types, strict=True)
        parts = tuple(build(delete.key[name], kind, _NOWHERE) for name, kind in named)
        return parts if len(parts) > 1 else parts[0]

    def _take(self, key: Any, place: Order, number: int | None) -> None:
        held = self._held.get(key)
        if held is None or _before(held[0], place):
            self._held[key] = place, number


def _before(first: Order, second: Order) -> bool:
    """Whether `first` is older. Ordering values are never None, or all are."""
    if first[0] is None:
        return first[1:] < second[1:]
    return first < second
