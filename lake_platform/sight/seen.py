"""What was seen at one path of many JSON records: kinds, ranges, children, examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

from lake_platform.domain.data_keys import looks_like_data
from lake_platform.sight.examples import brief
from lake_platform.sight.map_keys import KeySample

Kind = Literal["text", "number", "boolean", "object", "array"]
Group = Literal["scalar", "object", "array"]
MAX_KEYS = 2_000
_COUNTS = (
    "nulls", "booleans", "strings", "integers", "beyond", "wholes", "fractions", "inexact",
    "empty_objects", "objects", "empty_arrays", "arrays",
)  # fmt: skip
_GROUPS: dict[Group, tuple[str, ...]] = {
    "scalar": ("booleans", "strings", "integers", "beyond", "wholes", "fractions", "inexact"),
    "object": (
        "empty_objects", "objects", "children", "others", "sample", "folds", "twins",
    ),
    "array": ("empty_arrays", "arrays", "element"),
}  # fmt: skip
_GROUP_OF: dict[Kind, Group] = {"object": "object", "array": "array"}
_BOUNDS = (("low", "high"), ("whole_low", "whole_high"))


class Seen:
    """A node of the tree of paths. It can be merged with others in any order: all that decides on
    types comes out the same; children are in the order first seen.

    Attributes:
        beyond: of `integers`, those that 64 bits do not hold.
        wholes: numbers written with a point or exponent whose value is whole (`5.0`, `1e3`).
        fractions: the other numbers with a point or exponent.
        inexact: of `wholes` and `fractions`, those that no double stands for.
        before, after: most digits before and after the point of `fractions`.
        objects, arrays: without the empty ones, which are counted apart.
        children: what was seen for each key. At most MAX_KEYS: what comes for other keys is in
            `others`, and `sample` then knows of all keys.
        twins: of keys that differ in case only, how many objects had several of them.
        element: of arrays.
        examples: the first value of each kind as JSON text, cut, and where it was.
        lost: values below were not looked at, as there were too many paths.
    """

    __slots__ = (
        *_COUNTS, "low", "high", "whole_low", "whole_high", "before", "after", "children",
        "others", "sample", "folds", "twins", "element", "examples", "lost",
    )  # fmt: skip

    def __init__(self) -> None:
        self.nulls = self.booleans = self.strings = 0
        self.integers = self.beyond = self.low = self.high = 0
        self.wholes = self.whole_low = self.whole_high = 0
        self.fractions = self.inexact = self.before = self.after = 0
        self.empty_objects = self.objects = self.empty_arrays = self.arrays = 0
        self.children: dict[str, Seen] = {}
        self.others: Seen | None = None
        self.sample: KeySample | None = None
        self.folds: set[str] = set()
        self.twins: dict[str, int] = {}
        self.element: Seen | None = None
        self.examples: dict[Kind, tuple[str, str]] = {}
        self.lost = False

    @property
    def numbers(self) -> int:
        return self.integers + self.wholes + self.fractions

    @property
    def scalars(self) -> int:
        return self.strings + self.booleans + self.numbers

    @property
    def values(self) -> int:
        """How many there were, without nulls."""
        empty = self.empty_objects + self.empty_arrays
        return self.scalars + self.objects + self.arrays + empty

    @property
    def count(self) -> int:
        return self.values + self.nulls

    @property
    def example(self) -> str:
        if self.examples:
            return next(iter(self.examples.values()))[0]
        return "[]" if self.empty_arrays else "{}" if self.empty_objects else "null"

    def every_child(self) -> Iterator[Seen]:
        yield from self.children.values()
        if self.others is not None:
            yield self.others

    def distinct_keys(self) -> int:
        return len(self.children) if self.sample is None else self.sample.distinct()

    def data_share(self) -> float:
        """Of the keys, how many look like data."""
        if self.sample is not None:
            return self.sample.data_share()
        return sum(map(looks_like_data, self.children)) / max(1, len(self.children))

    def show(self, kind: Kind, value: object, where: str) -> None:
        self.examples[kind] = brief(value), where

    def new_child(self, key: str) -> Seen:
        """For a key that has none; a common one for all keys once there are too many."""
        if self.others is None and len(self.children) < MAX_KEYS:
            return self._own_child(key)
        others, sample = self._start_others()
        sample.add(key)
        return others

    def _own_child(self, key: str) -> Seen:
        fold = key.casefold()
        if fold in self.folds:
            self.twins.setdefault(fold, 0)
        self.folds.add(fold)
        child = self.children[key] = Seen()
        return child

    def _start_others(self) -> tuple[Seen, KeySample]:
        if self.others is None or self.sample is None:
            self.others, self.sample = Seen(), KeySample()
            for known in self.children:
                self.sample.add(known)
        return self.others, self.sample

    def fold(self) -> None:
        """Gives up the single keys: what was seen for each is in `others`."""
        others, _ = self._start_others()
        for child in self.children.values():
            others.merge(child)
        self.children, self.folds, self.twins = {}, set(), {}

    def merge(self, other: Seen) -> None:
        """Adds what `other` saw; the two share nothing afterwards."""
        self._merge_bounds(other)
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.before, self.after = max(self.before, other.before), max(self.after, other.after)
        self._merge_children(other)
        if other.element is not None:
            if self.element is None:
                self.element = Seen()
            self.element.merge(other.element)
        for kind, example in other.examples.items():
            self.examples.setdefault(kind, example)
        self.lost = self.lost or other.lost

    def _merge_bounds(self, other: Seen) -> None:
        self.low, self.high = _bounds(
            (self.integers, self.low, self.high), (other.integers, other.low, other.high)
        )
        self.whole_low, self.whole_high = _bounds(
            (self.wholes, self.whole_low, self.whole_high),
            (other.wholes, other.whole_low, other.whole_high),
        )

    def _merge_children(self, other: Seen) -> None:
        for key, theirs in other.children.items():
            mine = self.children.get(key)
            if mine is None and len(self.children) < MAX_KEYS:
                mine = self._own_child(key)
            elif mine is None:
                mine, sample = self._start_others()
                sample.add(key)
            mine.merge(theirs)
        for fold, count in other.twins.items():
            self.twins[fold] = self.twins.get(fold, 0) + count
        if other.others is not None and other.sample is not None:
            others, sample = self._start_others()
            others.merge(other.others)
            sample.merge(other.sample)
        if self.sample is not None:
            for key in other.children:
                self.sample.add(key)

    def walk(self) -> Iterator[Seen]:
        yield self
        for child in self.every_child():
            yield from child.walk()
        if self.element is not None:
            yield from self.element.walk()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; integers of any size are texts."""
        data: dict[str, Any] = {n: v for n in _COUNTS if (v := getattr(self, n))}
        for low, high in _BOUNDS:
            bounds = getattr(self, low), getattr(self, high)
            if any(bounds):
                data[low], data[high] = map(str, bounds)
        data |= {"before": self.before, "after": self.after, "lost": self.lost}
        data["children"] = [[key, child.to_json()] for key, child in self.children.items()]
        data["twins"] = [[fold, count] for fold, count in self.twins.items() if count]
        data["examples"] = [[kind, *example] for kind, example in self.examples.items()]
        if self.others is not None and self.sample is not None:
            data["others"] = self.others.to_json()
            data["sample"] = [[str(place), known] for place, known in self.sample.kept.items()]
        if self.element is not None:
            data["element"] = self.element.to_json()
        return {name: value for name, value in data.items() if value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        seen = cls()
        for name in (*_COUNTS, "before", "after", "lost"):
            setattr(seen, name, data.get(name, getattr(seen, name)))
        for name in (name for bounds in _BOUNDS for name in bounds):
            setattr(seen, name, int(data.get(name, 0)))
        for key, child in data.get("children", ()):
            seen._own_child(key)
            seen.children[key] = cls.from_json(child)
        seen.twins |= dict(data.get("twins", ()))
        seen.examples = {kind: (text, where) for kind, text, where in data.get("examples", ())}
        if "others" in data:
            seen.others = cls.from_json(data["others"])
            seen.sample = KeySample((int(p), known) for p, known in data["sample"])
        if "element" in data:
            seen.element = cls.from_json(data["element"])
        return seen


def has_value(seen: Seen) -> bool:
    """Whether there was more than null, {} and []."""
    return bool(seen.scalars or seen.objects or seen.arrays)


def union(parts: Iterable[Seen]) -> Seen:
    """What `parts` saw together."""
    both = Seen()
    for part in parts:
        both.merge(part)
    return both


def only(seen: Seen, *groups: Group) -> Seen:
    """A copy that saw the values of these groups, and the nulls."""
    part, empty = union([seen]), Seen()
    for group, names in _GROUPS.items():
        if group not in groups:
            for name in names:
                setattr(part, name, getattr(empty, name))
    part.examples = {k: e for k, e in part.examples.items() if _GROUP_OF.get(k, "scalar") in groups}
    return part


def _bounds(mine: tuple[int, int, int], theirs: tuple[int, int, int]) -> tuple[int, int]:
    """Of two ranges, each a count, the lowest and the highest."""
    filled = [(low, high) for count, low, high in (mine, theirs) if count]
    if not filled:
        return 0, 0
    return min(low for low, _ in filled), max(high for _, high in filled)
