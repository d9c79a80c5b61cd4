"""Whether the keys of an object are data, as in a map, or names, as in a struct."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Self

_MOST = 1024
_LOOKED_AT = 200
_HASHES = 2**64
_DATA = re.compile(
    r"\d{4,}"  # a number; also a date or an hour without dashes
    r"|(?=[^\d]*\d)[0-9a-f]{8,}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID
    r"|\d{4}[-/]\d\d(?:[-/]\d\d(?:[T ].*)?)?"  # a day or month, and an instant
    r"|\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d{1,5})?"  # IPv4, with a port or the size of a network
    r"|(?=[^:]*:[^:]*:)[0-9a-f:.]{2,45}(?:/\d{1,3})?"  # IPv6
    r"|[a-z][a-z0-9+.-]*://.+"
    r"|arn:[^:]+:.+"
    r"|[^@\s]+@[^@\s]+\.[^@\s]+",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


def looks_like_data(key: str) -> bool:
    """An address of any kind, UUID, long hex or decimal number, date, URL, e-mail or ARN."""
    return _DATA.fullmatch(key[:_LOOKED_AT]) is not None


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
