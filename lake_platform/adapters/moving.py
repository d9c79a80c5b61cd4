"""Many objects of a table moved, emptied or removed, several at a time where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lake_platform.domain.ports import Still
from lake_platform.domain.storage import ObjectStore

_AT_ONCE = 16
_BETWEEN = 64  # objects from one asking to the next
_FEW = 8
T = TypeVar("T")


def keys(store: ObjectStore, prefix: str) -> list[str]:
    """Of the objects there, without the folders that Hadoop marks by empty ones, which go by a name
    that no client but its own can say."""
    listed = list(store.list(prefix))
    return [i.key for i in listed if i.size or store.head(i.key) is not None]


def remove(store: ObjectStore, keys: Sequence[str], still: Still) -> None:
    """In this order, more or less. Raises: what `still` raises."""
    _each(lambda key: store.delete([key]), keys, still)


def empty(store: ObjectStore, keys: Sequence[str], still: Still) -> None:
    """Their names stay taken. Raises: what `still` raises."""
    _each(lambda key: store.put(key, b""), keys, still)


def move(store: ObjectStore, pairs: Sequence[tuple[str, str]], still: Still) -> None:
    """Sources that are gone were moved before. Raises: what `still` raises."""

    def moved(pair: tuple[str, str]) -> None:
        try:
            store.move(*pair)
        except KeyError:
            if store.head(pair[1]) is None:
                raise

    _each(moved, pairs, still)


def _each(act: Callable[[T], None], items: Sequence[T], still: Still) -> None:
    if len(items) <= _FEW:
        still()
        _run(map(act, items))
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(items), _BETWEEN):
            still()
            _run(pool.map(act, items[first : first + _BETWEEN]))


def _run(results: Iterable[None]) -> None:
    for _ in results:
        pass
