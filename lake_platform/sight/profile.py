"""A summary of what many JSON records look like, from which their schema is settled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

from lake_platform.domain.quality import MAX_NUMBER_CHARS
from lake_platform.records.conform import LongNumberError
from lake_platform.records.forms import digits, parsed
from lake_platform.sight.examples import Real
from lake_platform.sight.seen import Seen

MAX_PATHS = 20_000
_FEW_KEYS = 100  # of an object whose keys are kept when others are folded
_INT64 = 2**63
_EMPTY: tuple[object, ...] = ([], {})
_SHORT = 17  # characters in which a number without exponent has at most 16 digits
_MORE_THAN_ANY_DECIMAL = 1_000


class Profile:
    """Bounded, and mergeable in any order: what decides on types comes out the same.

    Beyond MAX_PATHS paths the objects with the most keys give up their single keys, which makes
    maps or `json` of them; where none has many, no further path is looked at.
    """

    def __init__(self) -> None:
        self.records = 0
        self.skipped = 0  # with a number too long, as the scan puts them in quarantine
        self.root = Seen()
        self._paths = 1
        self._most_paths = 2 * MAX_PATHS  # within one record; between records it is halved
        self._where = ""

    def add(self, value: bytes, where: str = "") -> None:
        """Counts a record. `value` was proven to be one JSON object of at most MAX_DEPTH levels;
        `where` says where it stands, for people."""
        try:
            record = _decode(value.decode())
        except LongNumberError:
            self.skipped += 1
            return
        self.records += 1
        self._where = where
        _object(self, self.root, record)
        if self._paths > MAX_PATHS:
            self._fold()

    def merge(self, other: Profile) -> None:
        """Adds what `other` saw, which stays as it is."""
        self.records += other.records
        self.skipped += other.skipped
        self.root.merge(other.root)
        self._recount()

    def to_json(self) -> dict[str, Any]:
        return {"records": self.records, "skipped": self.skipped, "root": self.root.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        profile = cls()
        profile.records, profile.skipped = data["records"], data["skipped"]
        profile.root = Seen.from_json(data["root"])
        profile._recount()
        return profile

    def child(self, parent: Seen, key: str) -> Seen | None:
        """For a key seen the first time; None when there are too many paths."""
        if parent.others is None:  # else they have the key
            if self._paths >= self._most_paths:
                parent.lost = True
                return None
            self._paths += 1
        return parent.new_child(key)

    def element(self, parent: Seen) -> Seen | None:
        if parent.element is None:
            if self._paths >= self._most_paths:
                parent.lost = True
                return None
            self._paths += 1
            parent.element = Seen()
        return parent.element

    def show(self, seen: Seen, kind: Any, value: object) -> None:
        seen.show(kind, value, self._where)

    def _recount(self) -> None:
        self._paths, self._most_paths = sum(1 for _ in self.root.walk()), 2 * MAX_PATHS
        if self._paths > MAX_PATHS:
            self._fold()

    def _fold(self) -> None:
        """Only between records: within one, what is on the way down must stay."""
        while self._paths > MAX_PATHS * 3 // 4:
            below = (seen for seen in self.root.walk() if seen is not self.root)
            widest = max(below, key=lambda seen: len(seen.children))
            if len(widest.children) <= _FEW_KEYS:
                break
            widest.fold()
            self._paths = sum(1 for _ in self.root.walk())
        self._most_paths = 2 * MAX_PATHS if self._paths <= MAX_PATHS else 0


def _real_text(text: str) -> Real:
    if len(text) > MAX_NUMBER_CHARS:
        raise LongNumberError
    return Real(text)


_decode = json.JSONDecoder(parse_float=_real_text).decode


def _null(_: Profile, seen: Seen, __: None) -> None:
    seen.nulls += 1


def _boolean(profile: Profile, seen: Seen, value: bool) -> None:
    seen.booleans += 1
    if "boolean" not in seen.examples:
        profile.show(seen, "boolean", value)


def _string(profile: Profile, seen: Seen, value: str) -> None:
    seen.strings += 1
    if "text" not in seen.examples:
        profile.show(seen, "text", value)


def _integer(profile: Profile, seen: Seen, value: int) -> None:
    if "number" not in seen.examples:
        profile.show(seen, "number", value)
    if not seen.integers:
        seen.low = seen.high = value
    elif value < seen.low:
        seen.low = value
    elif value > seen.high:
        seen.high = value
    seen.integers += 1
    if not -_INT64 <= value < _INT64:
        seen.beyond += 1


def _real(profile: Profile, seen: Seen, text: Real) -> None:
    if "number" not in seen.examples:
        profile.show(seen, "number", text)
    if len(text) <= _SHORT and "e" not in text and "E" not in text:
        whole, _, fraction = text.partition(".")
        before, after = len(whole.lstrip("-0")), len(fraction.rstrip("0"))
        value = 0 if after else int(whole)
    else:
        before, after, value, exact = _looked_at(text)
        seen.inexact += not exact
    if not after:
        low, high = (seen.whole_low, seen.whole_high) if seen.wholes else (value, value)
        seen.wholes += 1
        seen.whole_low, seen.whole_high = min(low, value), max(high, value)
    else:
        seen.fractions += 1
        seen.before, seen.after = max(seen.before, before), max(seen.after, after)


def _looked_at(text: str) -> tuple[int, int, int, bool]:
    """Digits before and after the point, the value if it is whole, and whether a double will do."""
    try:
        number = parsed(text)
    except ValueError:
        return 0, _MORE_THAN_ANY_DECIMAL, 0, False
    before, after = digits(number)
    return before, after, int(number) if number and not after else 0, _double_holds(number)


def _double_holds(number: Decimal) -> bool:
    """As `records.conform` has it: 17 digits are what a double may show; but zero is only zero."""
    double = float(number)
    significant = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    if len(significant) <= 17 and bool(double) == bool(number):
        return True
    return number == Decimal(double)


def _object(profile: Profile, seen: Seen, value: dict[str, Any]) -> None:
    if not value:
        seen.empty_objects += 1
        return
    seen.objects += 1
    if "object" not in seen.examples:
        profile.show(seen, "object", value)
    find = seen.children.get
    for key, item in value.items():
        child = find(key) or profile.child(seen, key)
        if child is not None:
            _SEE[type(item)](profile, child, item)
    if seen.twins:
        _count_twins(seen, value)


def _count_twins(seen: Seen, value: dict[str, Any]) -> None:
    said = (key for key, item in value.items() if item is not None and item not in _EMPTY)
    folds = [fold for key in said if (fold := key.casefold()) in seen.twins]
    if len(set(folds)) < len(folds):
        for fold, spellings in Counter(folds).items():
            seen.twins[fold] += spellings > 1


def _array(profile: Profile, seen: Seen, value: list[Any]) -> None:
    if not value:
        seen.empty_arrays += 1
        return
    seen.arrays += 1
    if "array" not in seen.examples:
        profile.show(seen, "array", value)
    element = profile.element(seen)
    if element is not None:
        for item in value:
            _SEE[type(item)](profile, element, item)


_SEE: dict[type, Callable[[Profile, Seen, Any], None]] = {
    type(None): _null,
    bool: _boolean,
    str: _string,
    int: _integer,
    Real: _real,
    dict: _object,
    list: _array,
}
