"""What a parsed JSON value looks like, read with the eyes of the type that is expected of it.

Every element of an array and every value of a map counts: where one of them does not fit, that is
what is seen of the whole, wherever it stands.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lake_platform.domain.schema import (
    DROPPED,
    EXACT_IN_DOUBLE,
    JSON,
    MAX_DIGITS,
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Mixed,
    Scalar,
    Struct,
    Type,
    grown,
    widens,
    without_unknown,
)
from lake_platform.records.forms import digits, exact, reader

_EMPTY: tuple[object, ...] = ([], {})
_LONG_DIGITS = 19
_WIDER = {frozenset(["int", "long"]): "long", frozenset(["float", "double"]): "double"}


def observe(value: object, like: Type | None = None, rescue: bool = False) -> Type:
    """The type of a parsed JSON value; `like` where it fits that. `rescue`: what does not fit is
    kept elsewhere, so it is `like` too."""
    seen = _observe(value, like, rescue)
    return like if rescue and like is not None and _is_conflict(seen, like) else seen


def _observe(value: object, like: Type | None, rescue: bool) -> Type:
    if value is None:
        return like if like is not None else UNKNOWN
    if like in (JSON, DROPPED) or (like is not None and is_other_empty(value, like)):
        return like
    if isinstance(value, dict) and not isinstance(like, Array):
        return _observe_object(value, like, rescue)
    if isinstance(like, Array) and not isinstance(value, list):
        value = [value]  # a single one of what others have several of
    if isinstance(value, list):
        element = like.element if isinstance(like, Array) else None
        return Array(_observe_all(value, element, rescue))
    if isinstance(like, Decimal) and not isinstance(value, str | bool):
        return _grown(value, like)
    if like is not None and fits(value, like):
        return like
    if like == Scalar("float") and fits(value, Scalar("double")):
        return Scalar("double")  # also for a whole number: the column widens
    return _plain_type(value)


def merge_observed(first: Type, second: Type, like: Type | None = None) -> Type:
    """One type for both. Where they conflict: that which is not `like`, the type expected; without
    one `first` wins (see `domain.diff`)."""
    if first in (UNKNOWN, second):
        return second
    if second == UNKNOWN:
        return first
    if isinstance(first, Struct) and isinstance(second, Struct):
        return _merge_structs(first, second, like if isinstance(like, Struct) else Struct())
    if isinstance(first, Array) and isinstance(second, Array):
        inner = like.element if isinstance(like, Array) else None
        return Array(merge_observed(first.element, second.element, inner))
    if isinstance(first, Map) and isinstance(second, Map):
        inner = like.value if isinstance(like, Map) else None
        return Map(merge_observed(first.value, second.value, inner))
    if _is_like(first, like) or second == like:
        return second if _is_like(first, like) else first
    return _wider(first, second) or first


def _is_like(seen: Type, like: Type | None) -> bool:
    nested = isinstance(seen, Struct | Array | Map) and type(seen) is type(like)
    return nested or seen == like


def is_other_empty(value: object, like: Type) -> bool:
    """An empty map as PHP writes it, `[]`, and `{}` for an empty array: nothing, as null."""
    if isinstance(like, Struct | Map):
        return value == []
    return isinstance(like, Array) and value == {}


def whole(value: object) -> int | None:
    """The integer that a number with a fraction of zeros is."""
    if not isinstance(value, float | decimal.Decimal):
        return None
    try:
        number = exact(value)
    except ValueError:
        return None
    before, after = digits(number)
    return int(number) if after == 0 and before <= _LONG_DIGITS else None


def fits(value: object, like: Type) -> bool:
    """Whether a scalar can be stored as `like` without a change of what it says: a number or
    boolean as its text too."""
    if like == Scalar("string"):
        return not isinstance(value, dict | list)
    if isinstance(value, bool) or not isinstance(like, Scalar):
        return isinstance(value, bool) and like == Scalar("boolean")
    if form := reader(like):
        try:
            form.read(value)
        except ValueError:
            return False
        return True
    if isinstance(value, float) and like.name == "double":
        return True
    number = value if isinstance(value, int) else whole(value)
    if number is None:
        return False
    if like.name == "double":
        exact = abs(number) <= EXACT_IN_DOUBLE or int(float(number)) == number
        return isinstance(value, int) and exact
    bits = {"int": 31, "long": 63}.get(like.name)
    return bits is not None and -(2**bits) <= number < 2**bits


def _is_conflict(seen: Type, like: Type) -> bool:
    """Whether `seen` is more than a change that a table takes by itself; of what is inside was
    asked before."""
    nested = isinstance(seen, Struct | Array | Map) and type(seen) is type(like)
    return not (nested or seen == like or widens(like, seen))


def _observe_object(value: dict[str, object], like: Type | None, rescue: bool) -> Type:
    if isinstance(like, Map):
        return Map(_observe_all(value.values(), like.value, rescue))
    expected = like if isinstance(like, Struct) else Struct()
    fields: dict[str, Field] = {}
    folded: dict[str, str] = {}
    for name in value:
        field = _meant(name, expected, fields, folded)
        fields[field.keys[0]] = field
    seen = tuple(_seen(value, field) for field in fields.values())
    return Struct(seen) if seen or like is not None else UNKNOWN


def _meant(key: str, expected: Struct, new: Mapping[str, Field], folded: dict[str, str]) -> Field:
    """The field of a key: as expected, or one that differs in case only, of which it is another
    spelling then. `folded` has those of `new` that were not expected, without case."""
    known = expected.of_key(key)
    if known is not None:
        return new.get(known.keys[0], known)
    known = expected.twin_of(key)
    if known is None:
        first = folded.setdefault(key.casefold(), key)
        known = new.get(first) or Field(key, UNKNOWN)
    known = new.get(known.keys[0], known)
    return known if key in known.keys else replace(known, aliases=(*known.aliases, key))


def _seen(value: Mapping[str, object], field: Field) -> Field:
    keys = spelled(value, field)
    if not keys:
        return field
    item, like = value[keys[0]], field.type
    kind = _new(item) if like == UNKNOWN else observe(item, like, field.rescue)
    return replace(field, type=kind)


def spelled(value: Mapping[str, object], field: Field) -> list[str]:
    """The keys of a field that have a value, the one that counts first: its own, unless that is
    empty and another is not."""
    held = [key for key in field.keys if value.get(key) is not None]
    if len(held) > 1:
        held.sort(key=lambda key: value[key] in _EMPTY)
    return held


def _observe_all(values: Iterable[object], like: Type | None, rescue: bool = False) -> Type:
    """One type for all elements; `like` while nothing else was seen."""
    merged: Type = UNKNOWN
    for value in values:
        seen = _new(value) if like is None else observe(value, like, rescue)
        before, merged = merged, merge_observed(merged, seen, like)
        if like is None and not _agree(before, seen, merged):
            merged = Mixed(before, seen)
    return like if like is not None and merged == UNKNOWN else merged


def _new(value: object) -> Type:
    """Of what has no type yet; null, [] and {} in any shape give it none."""
    kind = observe(value)
    return UNKNOWN if without_unknown(kind) is None else kind


def _agree(first: Type, second: Type, merged: Type) -> bool:
    """Whether `merged` holds both."""
    if UNKNOWN in (first, second) or isinstance(first, Mixed):
        return True
    if isinstance(first, Struct) and isinstance(second, Struct) and isinstance(merged, Struct):
        shared = [(f.type, s.type, m.type) for f in first.fields
                  if (s := second.same(f)) and (m := merged.same(f))]  # fmt: skip
        return all(_agree(*types) for types in shared)
    if isinstance(first, Array) and isinstance(second, Array) and isinstance(merged, Array):
        return _agree(first.element, second.element, merged.element)
    if isinstance(first, Map) and isinstance(second, Map) and isinstance(merged, Map):
        return _agree(first.value, second.value, merged.value)
    return first == second or _wider(first, second) is not None


def _merge_structs(first: Struct, second: Struct, like: Struct) -> Struct:
    held = {f.keys: f for f in first.fields}
    new: list[Field] = []
    for f in second.fields:
        own = _held_of(f, first)
        if own is None:
            new.append(f)
            continue
        known = like.same(own)
        kind = merge_observed(held[own.keys].type, f.type, known.type if known else None)
        aliases = dict.fromkeys((*held[own.keys].aliases, *f.keys))
        aliases.pop(own.keys[0] if own.keys else "", None)
        closed = held[own.keys].closed or f.closed
        held[own.keys] = replace(held[own.keys], type=kind, aliases=tuple(aliases), closed=closed)
    return Struct((*held.values(), *new))


def _held_of(field: Field, struct: Struct) -> Field | None:
    same = struct.same(field)
    twins = (struct.twin_of(key) for key in field.keys)
    return same or next((t for t in twins if t), None)


def _wider(first: Type, second: Type) -> Type | None:
    """The one type that holds the values of both; None when there is none."""
    if isinstance(first, Decimal) and isinstance(second, Decimal):
        whole = max(first.precision - first.scale, second.precision - second.scale)
        scale = max(first.scale, second.scale)
        return Decimal(whole + scale, scale)
    if isinstance(first, Scalar) and isinstance(second, Scalar):
        names = frozenset([first.name, second.name])
        if names == {"long", "double"}:
            return Scalar("double")
        return Scalar(_WIDER[names]) if names in _WIDER else None
    whole_number = Decimal(MAX_DIGITS, 0)
    if {str(first), str(second)} == {"long", str(whole_number)}:
        return whole_number
    return None


def _plain_type(value: object) -> Type:
    if isinstance(value, bool):
        return Scalar("boolean")
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return Scalar("long")
        return Decimal(max(MAX_DIGITS, len(str(abs(value)))), 0)
    if isinstance(value, float):
        return Scalar("double")
    if isinstance(value, decimal.Decimal):
        whole, fraction = digits(value)
        return Decimal(whole + fraction, fraction)
    return Scalar("string")


def _grown(value: object, like: Decimal) -> Type:
    """`like`, or the decimal with as many digits more as the number needs."""
    try:
        whole, fraction = digits(exact(value))  # type: ignore[arg-type]
    except ValueError:
        whole, fraction = 0, 2 * MAX_DIGITS  # no column holds it
    scale = max(like.scale, fraction)
    return grown(like, Decimal(max(like.precision - like.scale, whole) + scale, scale))
