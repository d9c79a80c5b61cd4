"""Whether a record fits a struct up to the five equivalences of the policy; shares no code with
what settles structs or conforms records.

The five: null (and `{}`, `[]`, and what holds only these) is absent; numbers go by value; another
spelling of a key is the key; `x` is `[x]` in an array column; `200` is `"200"` in a text column.
"""

from __future__ import annotations

import json
from decimal import Decimal as Exact
from decimal import localcontext
from typing import Any

from lake_platform.domain.schema import Array, Decimal, Map, Scalar, Struct, Type


def parse(value: bytes) -> dict[str, Any]:
    """With numbers as their text has them."""
    record: dict[str, Any] = json.loads(value, parse_float=Exact)
    return record


def misfits(record: dict[str, Any], struct: Struct, path: str = "$") -> list[str]:
    """Paths of values that are neither in a column nor allowed to be rescued."""
    found = []
    for key, value in record.items():
        field = struct.of_key(key)
        if field is None:
            found += [] if is_absent(value) else [f"{path}.{key}"]
        elif not field.rescue:
            found += _misfits(value, field.type, f"{path}.{key}")
    return found


def is_absent(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(is_absent, value.values()))
    return value is None or (isinstance(value, list) and all(map(is_absent, value)))


def _misfits(value: object, kind: Type, path: str) -> list[str]:
    if value is None or kind == Scalar("json"):
        return []
    if isinstance(kind, Array):
        if isinstance(value, list):
            return [m for item in value for m in _misfits(item, kind.element, f"{path}[]")]
        return [] if value == {} else _misfits(value, kind.element, path)
    if value == [] and isinstance(kind, Struct | Map):
        return []
    if isinstance(kind, Map) and isinstance(value, dict):
        return [m for item in value.values() for m in _misfits(item, kind.value, f"{path}{{}}")]
    if isinstance(kind, Struct) and isinstance(value, dict):
        return misfits(value, kind, path)
    return [] if _scalar_fits(value, kind) else [f"{path}: {value!r} in {kind}"]


def _scalar_fits(value: object, kind: Type) -> bool:
    if isinstance(value, dict | list) or kind == Scalar("string"):
        return kind == Scalar("string") and not isinstance(value, dict | list)
    if isinstance(value, bool | str):
        return isinstance(value, bool) and kind == Scalar("boolean")
    assert isinstance(value, int | Exact)
    if kind == Scalar("long"):
        return value == int(value) and -(2**63) <= value < 2**63
    if kind == Scalar("double"):
        return _double_fits(value)
    return isinstance(kind, Decimal) and _decimal_fits(Exact(value), kind)


def _double_fits(value: int | Exact) -> bool:
    """An integer stays itself; of other numbers 17 digits count."""
    if isinstance(value, int):
        return int(float(value)) == value
    digits = str(value.as_tuple().digits and "".join(map(str, value.as_tuple().digits)))
    return len(digits.strip("0")) <= 17 and bool(float(value)) == bool(value)


def _decimal_fits(value: Exact, kind: Decimal) -> bool:
    with localcontext(prec=2_000):
        scaled = value.scaleb(kind.scale)
        return scaled == scaled.to_integral_value() and abs(scaled) < Exact(10) ** kind.precision
