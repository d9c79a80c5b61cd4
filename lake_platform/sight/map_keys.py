"""Whether the keys of an object are data, as in a map, or names, as in a struct."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Self

from lake_platform.domain.data_keys import looks_like_data

_MOST = 1024
_HASHES = 2**64


class KeySample:
    """Of very many keys those with the smallest hashes, each with whether it looks like data.

    Which keys it holds does not depend on the order they come in, or on how samples are merged.
    """

    __slots__ = ("_largest", "kept")

    def __init__(self, kept: Iterable[tuple[int, bool]] = ()) -> None:
        self.kept = dict(kept)
        self._largest = max(self.kept, default=0)

    def add(self, key: str) -> None:
        text = key.encode("utf-8", "surrogatepass")
        place = int.from_bytes(blake2b(text, digest_size=8).digest())
        if place not in self.kept and (len(self.kept) < _MOST or place < self._largest):
            self._keep(place, looks_like_data(key))

    def merge(self, other: Self) -> None:
        for place, data in other.kept.items():
            if place not in self.kept:
                self._keep(place, data)

    def _keep(self, place: int, data: bool) -> None:
        self.kept[place] = data
        if len(self.kept) > _MOST:
            del self.kept[max(self.kept)]
        self._largest = max(self.kept)

    def distinct(self) -> int:
        """How many different keys there were; within a few percent when there were very many."""
        if len(self.kept) < _MOST:
            return len(self.kept)
        return round((_MOST - 1) * _HASHES / self._largest)

    def data_share(self) -> float:
        return sum(self.kept.values()) / max(1, len(self.kept))
