"""Arrow columns as JSON values that say exactly what the column holds.

Decimals are text (`"1.10"`), timestamps ISO 8601 in UTC with `Z`, dates ISO, binary base64, maps
objects, integers whole numbers, doubles JSON numbers; those JSON has none for are `"NaN"`,
`"Infinity"` and `"-Infinity"`. Any year, also those Python's own dates cannot hold.
"""

from __future__ import annotations

import math
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pyarrow as pa

_MICROS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DAY_MICROS = 86_400_000_000


def plain(array: Any) -> list[Any]:
    """One JSON value for each of an Arrow array's."""
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in plain(chunk)]
    kind = array.type
    if pa.types.is_struct(kind):
        columns = [plain(part) for part in array.flatten()]
        names = [kind.field(i).name for i in range(kind.num_fields)]
        rows = zip(*columns, strict=True) if columns else ((),) * len(array)
        return _masked(array, [dict(zip(names, row, strict=True)) for row in rows])
    if pa.types.is_map(kind):
        keys, values = plain(array.keys), plain(array.items)
        return _cut(array, list(zip(keys, values, strict=True)), dict)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _cut(array, plain(array.values), list)
    return [None if value is None else _scalar(kind, value) for value in _raw(array)]


def _masked(array: Any, values: list[Any]) -> list[Any]:
    return [v if ok else None for v, ok in zip(values, array.is_valid().to_pylist(), strict=True)]


def _cut(array: Any, items: list[Any], make: Any) -> list[Any]:
    at = array.offsets.to_pylist()
    # `values` of a sliced array holds what is before and behind the slice too.
    return _masked(array, [make(items[a:b]) for a, b in pairwise(at)])


def _raw(array: Any) -> list[Any]:
    """Times as whole numbers: Python's own hold the years 1 to 9999 only."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return list(array.cast(pa.int64()).to_pylist())
    if pa.types.is_date32(kind):
        return list(array.cast(pa.int32()).to_pylist())
    return list(array.to_pylist())


def _scalar(kind: Any, value: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return _timestamp(_micros(kind.unit, value))
    if pa.types.is_date32(kind):
        return _date(value)
    if pa.types.is_decimal(kind):
        return format(value, "f")
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _micros(unit: str, value: int) -> int:
    return value // 1_000 if unit == "ns" else value * _MICROS_PER[unit]


def _timestamp(micros: int) -> str:
    days, rest = divmod(micros, _DAY_MICROS)
    seconds, fraction = divmod(rest, 1_000_000)
    time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{_date(days)}T{time}{f'.{fraction:06d}' if fraction else ''}Z"


def _date(days: int) -> str:
    """Days since 1970 in the proleptic Gregorian calendar (Hinnant's civil_from_days)."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day + 2) // 153  # months since March
    month = shifted + 3 if shifted < 10 else shifted - 9
    of_month = day - (153 * shifted + 2) // 5 + 1
    full = year + era * 400 + (month <= 2)
    sign = "+" if full > 9999 else "-" if full < 0 else ""
    return f"{sign}{abs(full):04d}-{month:02d}-{of_month:02d}"
