"""The rows that two definitions make of the same records, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Literal

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import PLACE

Row = Mapping[str, Any]
Kind = Literal["updated", "inserted", "deleted", "same"]
_DIFFERING: tuple[Kind, ...] = ("updated", "inserted", "deleted")
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """One row; `before` is None where it is only there with the change, `after` where it no longer
    is. `at`: what it is known by."""

    kind: Kind
    at: Row
    before: Row | None
    after: Row | None

    @property
    def differing(self) -> list[str]:
        """Columns with another value; NULL is as absent."""
        one, other = self.before or {}, self.after or {}
        return [n for n in dict.fromkeys((*one, *other)) if not _same(one.get(n), other.get(n))]


@dataclass(frozen=True, slots=True)
class Compared:
    """`by`: the columns that rows were matched by. `shown`: some, those that differ first."""

    by: tuple[str, ...]
    before: int
    after: int
    counts: Mapping[Kind, int]
    shown: tuple[Pair, ...]


def side_by_side(
    before: tuple[Dataset, Sequence[Row]], after: tuple[Dataset, Sequence[Row]]
) -> Compared:
    by = _matched_by(before[0], after[0])
    found: dict[Kind, list[Pair]] = {kind: [] for kind in (*_DIFFERING, "same")}
    counts: Counter[Kind] = Counter()
    for pair in _pairs(by, before[1], after[1]):
        counts[pair.kind] += 1
        if len(found[pair.kind]) < SHOWN:
            found[pair.kind].append(pair)
    # Some of each kind.
    mixed = chain.from_iterable(zip_longest(*(found[kind] for kind in _DIFFERING)))
    shown = [p for p in (*mixed, *found["same"]) if p is not None][:SHOWN]
    return Compared(by, len(before[1]), len(after[1]), counts, tuple(shown))


def _matched_by(before: Dataset, after: Dataset) -> tuple[str, ...]:
    same = before.mode == after.mode == "upsert" and before.primary_key == after.primary_key
    return before.primary_key if same else PLACE


def _pairs(by: Sequence[str], before: Sequence[Row], after: Sequence[Row]) -> Iterator[Pair]:
    old, new = _known(by, before), _known(by, after)
    for known in dict.fromkeys((*old, *new)):
        one, other = old.get(known), new.get(known)
        some = one or other or {}
        at = {name: some.get(name) for name in by}
        pair = Pair("same", at, _plain(one), _plain(other))
        if one is None or other is None:
            yield Pair("deleted" if other is None else "inserted", at, pair.before, pair.after)
        elif pair.differing:
            yield Pair("updated", at, pair.before, pair.after)
        else:
            yield pair


def _known(by: Sequence[str], rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
    """Of several rows of one record or key: the first, the second, ..."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        name = repr([row.get(column) for column in by])
        found[name, seen[name]] = row
        seen[name] += 1
    return found


def _plain(row: Row | None) -> Row | None:
    return row and {n: v for n, v in row.items() if not n.startswith(("_kafka_", "_hoodie_"))}


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
