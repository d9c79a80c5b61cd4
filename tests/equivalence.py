"""Row + `_rescued` = record, up to the five equivalences of docs/json.md; shares no code with what
it judges but the types."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal as Exact
from fractions import Fraction
from typing import Any

from lake_platform.domain.schema import JSON, RESCUED, Array, Decimal, Map, Scalar, Struct, Type

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def loads(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Exact)


def difference(
    row: Mapping[str, Any],
    text: bytes,
    source: Struct,
    *,
    grown: bool = False,
    dropped: Iterable[Sequence[str | None]] = (),
) -> str:
    """Where the row says something else than the record; empty when it does not. `row` has
    Python's values, structs as dicts, maps as pairs. `grown`: columns came while the table was
    there, so [] and {} may be from before and nothing. `dropped`: paths that hints drop."""
    said = row.get("_rescued") if any(f.type == RESCUED for f in source.fields) else None
    rescued = {} if said is None else {k: same_text(v) for k, v in loads(said).items()}
    found = _Reader(rescued, grown)
    record = loads(text)
    for path in dropped:
        _remove(record, path, source)
    why = found.value(row, record, source, "")
    left = sorted(rescued.keys() - found.used)
    return why or (f"rescued without need: {left}" if left else "")


def _remove(value: Any, path: Sequence[str | None], kind: Type | None) -> None:
    """Other spellings too, where they have no column."""
    part, *rest = path
    if part is None:
        if isinstance(value, dict) and isinstance(kind, Array):
            return _remove(value, rest, kind.element) if rest else None
        inner = kind.element if isinstance(kind, Array) else getattr(kind, "value", None)
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, dict | list):
                _remove(item, rest, inner)
        return None
    known = kind if isinstance(kind, Struct) else Struct()
    for key in list(value) if isinstance(value, dict) else []:
        field = known.of_key(key)
        if key != part and (field is not None or key.casefold() != part.casefold()):
            continue
        if not rest:
            del value[key]
        elif isinstance(value[key], dict | list):
            _remove(value[key], rest, field.type if field else None)
    return None


def same_text(value: Any) -> str:
    """Equal for equal JSON, and for no other: 1 is not "1", 1.0 is not 1."""
    return json.dumps(value, sort_keys=True, default=lambda number: f"number {number}")


class _Reader:
    def __init__(self, rescued: Mapping[str, str], grown: bool) -> None:
        self._rescued, self._grown, self.used = rescued, grown, set[str]()

    def value(self, stored: Any, said: Any, kind: Type, at: str) -> str:
        if at in self._rescued:
            self.used.add(at)
            fine = stored is None and self._rescued[at] == same_text(said)
            return "" if fine else f"{at}: {said!r} was not rescued as it is"
        if stored is None and self._grown and _nothing(said):
            return ""
        if said is None:
            return "" if stored is None else f"{at}: {stored!r} for null"
        if kind == JSON:
            fine = stored is not None and same_text(loads(stored)) == same_text(said)
            return "" if fine else f"{at}: {stored!r} for {said!r}"
        if isinstance(kind, Struct):
            return self._struct(stored, said, kind, at)
        if isinstance(kind, Array):
            return self._array(stored, said, kind, at)
        if isinstance(kind, Map):
            return self._map(stored, said, kind, at)
        return "" if _same(stored, said, kind) else f"{at}: {stored!r} for {said!r} ({kind})"

    def _struct(self, stored: Any, said: Any, kind: Struct, at: str) -> str:
        if said == []:
            return "" if stored is None else f"{at}: {stored!r} for []"
        if not isinstance(said, dict) or stored is None:
            return f"{at}: {stored!r} for {said!r}"
        for field in kind.fields:
            if field.type == RESCUED:
                continue
            found = [k for k in field.keys if said.get(k) is not None]
            found.sort(key=lambda k: said[k] in ([], {}))
            first = found[0] if found else field.keys[0]
            why = self.value(
                stored.get(field.name), said.get(first), field.type, f"{at}/{_escaped(first)}"
            )
            if why:
                return why
            for other in found[1:]:
                place = f"{at}/{_escaped(other)}"
                kept = self._rescued.get(place) == same_text(said[other])
                self.used.add(place)
                if not kept and same_text(said[other]) != same_text(said[first]):
                    return f"{place}: {said[other]!r} is lost"
        known = {key for f in kind.fields for key in f.keys}
        lost = []
        for key in (k for k, v in said.items() if k not in known and not _nothing(v)):
            place = f"{at}/{_escaped(key)}"
            self.used.add(place)
            if self._rescued.get(place) != same_text(said[key]):
                lost.append(key)
        return f"{at}: {lost} have no column" if lost else ""

    def _array(self, stored: Any, said: Any, kind: Array, at: str) -> str:
        if said == {}:
            return "" if stored is None else f"{at}: {stored!r} for {{}}"
        if not isinstance(said, list):  # a single one of what others have several of
            if not isinstance(stored, list) or len(stored) != 1:
                return f"{at}: {stored!r} for {said!r}"
            return self.value(stored[0], said, kind.element, at)
        if not isinstance(stored, list) or len(stored) != len(said):
            return f"{at}: {stored!r} for {said!r}"
        pairs = zip(stored, said, strict=True)
        found = (self.value(s, v, kind.element, f"{at}/{n}") for n, (s, v) in enumerate(pairs))
        return next((why for why in found if why), "")

    def _map(self, stored: Any, said: Any, kind: Map, at: str) -> str:
        if said == []:
            return "" if stored is None else f"{at}: {stored!r} for []"
        held = dict(stored) if stored is not None else None
        if held is None or not isinstance(said, dict) or held.keys() != said.keys():
            return f"{at}: {stored!r} for {said!r}"
        found = (self.value(held[k], v, kind.value, f"{at}/{_escaped(k)}") for k, v in said.items())
        return next((why for why in found if why), "")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _nothing(value: Any) -> bool:
    """What gives no column: null, and arrays and objects of nothing else."""
    if isinstance(value, dict):
        return all(map(_nothing, value.values()))
    return value is None or (isinstance(value, list) and all(map(_nothing, value)))


def _at(said: Any, kind: Scalar) -> dt.datetime | None:
    """The microsecond of a number since 1970."""
    if isinstance(said, bool) or not isinstance(said, int | Exact):
        return None
    parts = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.format]
    micros = Fraction(said) * Fraction(10**6, parts)
    return _EPOCH + dt.timedelta(microseconds=math.floor(micros))


def _same(stored: Any, said: Any, kind: Type) -> bool:
    if kind == Scalar("string"):
        if isinstance(said, str):
            return bool(stored == said)
        return isinstance(stored, str) and same_text(loads(stored)) == same_text(said)
    if isinstance(kind, Scalar) and kind.format:
        if isinstance(stored, int):  # milliseconds, of the engine in memory
            stored = _EPOCH + dt.timedelta(milliseconds=stored)
        return bool(_at(said, kind) == stored)
    if isinstance(said, bool) or kind == Scalar("boolean"):
        return stored is said
    if not isinstance(said, int | Exact) or stored is None:
        return bool(stored == said)  # texts that are dates
    if isinstance(kind, Decimal) or kind in (Scalar("int"), Scalar("long")):
        # The engine in memory keeps decimals as JSON numbers.
        return Exact(str(stored)) == said or (isinstance(stored, float) and stored == float(said))
    near = float(said)
    signs = math.copysign(1, stored) == math.copysign(1, near) or not isinstance(said, Exact)
    exact = not isinstance(said, int) or int(near) == said
    return isinstance(stored, float) and stored == near and signs and exact
