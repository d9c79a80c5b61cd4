"""Rows held against the rules of a dataset, column by column, in Arrow.

Nothing is compared in doubles that is exact in its column, and no regular expression can take long:
they are RE2's. What Python has no value for (a date of the year 12000) breaks a rule, never the
look at it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake_platform.domain.rules import (
    SAMPLE_CHARS,
    SAMPLES,
    Broken,
    Condition,
    root_of,
    steps_of,
)
from lake_platform.errors import InvalidFieldError

_WIDE = Context(prec=500)
_PLACE = ("_kafka_partition", "_kafka_offset")
Leaves = tuple[pa.Array, pa.Array | None]
"""Values, and the row each of them is in; None: one of each row."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """On some rows. `aside`: of rows that a rule puts into quarantine, the first such condition."""

    broken: Mapping[str, Broken]
    aside: Mapping[int, Condition]


def held_against(said: Sequence[Condition], rows: pa.RecordBatch) -> Verdict:
    """`rows` have the coordinates of their records, and what an engine made of each predicate; what
    is `unique` the batch as a whole tells."""
    broken: dict[str, Broken] = {}
    aside: dict[int, Condition] = {}
    for one in said:
        if one.kind in _CHECKS:
            leaves = leaves_of(rows, one.column)
            mask = _CHECKS[one.kind](leaves[0], one.value)
            note(one, rows, leaves, mask, broken, aside)
        elif one.kind == "cast" and cast_column(one) in rows.schema.names:
            given = rows.column(cast_column(one))
            note(one, rows, (given, None), given.is_valid(), broken, aside)
        elif one.kind == "sql" and sql_column(one) in rows.schema.names:
            mask = pc.equal(rows.column(sql_column(one)), False)
            note(one, rows, (pa.nulls(rows.num_rows), None), mask, broken, aside)
    return Verdict(broken, aside)


def sql_column(condition: Condition) -> str:
    """Where an engine puts what a predicate is of each row."""
    return f"#rule {condition.name}"


def cast_column(condition: Condition) -> str:
    """Where an engine puts what a cast was given for each row that it made NULL of."""
    return f"#cast {condition.column.casefold()}"


def note(
    one: Condition,
    rows: pa.RecordBatch,
    leaves: Leaves,
    mask: pa.Array,
    broken: dict[str, Broken],
    aside: dict[int, Condition],
) -> None:
    """Takes over the leaves of which `mask` says that they break a condition."""
    values, at = leaves
    places = pc.indices_nonzero(mask.fill_null(False))
    if not len(places):
        return
    shown = places[:SAMPLES]
    held = shown if at is None else at.take(shown)
    samples = tuple(
        {
            "partition": rows.column(_PLACE[0])[row].as_py(),
            "offset": rows.column(_PLACE[1])[row].as_py(),
            "value": shown_text(values.slice(leaf, 1)),
        }
        for leaf, row in zip(shown.to_pylist(), held.to_pylist(), strict=True)
    )
    bad = (places if at is None else pc.unique(at.take(places))).to_pylist()
    broken[one.name] = Broken(one, len(bad), samples)
    if one.policy == "quarantine":
        for row in bad:
            aside.setdefault(row, one)


def leaves_of(rows: pa.RecordBatch, path: str) -> Leaves:
    """All that a path leads to. A column that is not there (yet) is null in each row."""
    at: pa.Array | None = None
    name, rest = root_of(rows.schema.names, path)
    if name is None:
        return pa.nulls(rows.num_rows), at
    values: pa.Array = rows.column(name)
    for step in steps_of(rest):
        if step in ("[]", "{}"):
            values, at = _within(values, at)
        elif pa.types.is_struct(values.type) and values.type.get_field_index(step) >= 0:
            values = pc.struct_field(values, step)
        else:
            values = pa.nulls(len(values))
    return values, at


def check_regex(pattern: str) -> None:
    """Raises: InvalidFieldError for what RE2 does not take."""
    try:
        pc.match_substring_regex(pa.array(["a"]), pattern)
    except pa.ArrowInvalid as error:
        raise InvalidFieldError(
            "rules.regex", pattern, f"RE2 does not take it: {error}",
            "leave out what only other dialects have (look-around, back references)",
        ) from None  # fmt: skip


def shown_text(value: pa.Array) -> str:
    """Of an array of one."""
    if value.null_count:
        return "null"
    return str(texts(value)[0].as_py())[:SAMPLE_CHARS]


def texts(values: pa.Array) -> pa.Array:
    """As `isin` and people read them."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind):
        return values.cast(pa.string())
    if pa.types.is_timestamp(kind):
        plain = values.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return plain if kind.unit == "s" else pc.utf8_rtrim(pc.utf8_rtrim(plain, "0"), ".")
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else _base64(v) for v in values.to_pylist()])
    if pa.types.is_nested(kind):
        return pa.array([_nested_text(v) for v in values])
    return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(data).decode()


def _nested_text(value: pa.Scalar) -> str | None:
    try:
        found = value.as_py()
    except (ValueError, OverflowError):
        return str(value)
    return None if found is None else json.dumps(found, default=str)


def _within(values: pa.Array, at: pa.Array | None) -> Leaves:
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_map(kind) or pa.types.is_large_list(kind)):
        return pa.nulls(len(values)), at
    if pa.types.is_map(kind):
        # By hand: list_parent_indices does not take maps.
        inner = pa.ListArray.from_arrays(values.offsets, values.items, mask=values.is_null())
        values = inner
    parents = pc.list_parent_indices(values)
    return values.flatten(), parents if at is None else at.take(parents)


def _not_null(values: pa.Array, _: Any) -> pa.Array:
    missing = values.is_null()
    return pc.or_(missing, pc.is_nan(values).fill_null(False)) if _is_float(values) else missing


def _below(values: pa.Array, low: float) -> pa.Array:
    return _beyond(values, low, ROUND_CEILING, pc.less)


def _above(values: pa.Array, high: float) -> pa.Array:
    return _beyond(values, high, ROUND_FLOOR, pc.greater)


def _beyond(
    values: pa.Array, bound: float, rounding: str, beyond: Callable[[Any, Any], pa.Array]
) -> pa.Array:
    """The bound is rounded to what the column can hold, on the side where nothing lies between."""
    kind, there = values.type, values.is_valid()
    if _is_float(values):
        return pc.and_(there, pc.or_(beyond(values, bound), pc.is_nan(values)).fill_null(False))
    if not (pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        return there  # null holds, all else is no number
    scale = kind.scale if pa.types.is_decimal(kind) else 0
    exact = _meant(bound).quantize(Decimal(1).scaleb(-scale), rounding, _WIDE)
    try:
        limit = pa.scalar(exact, pa.decimal128(38, scale))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Beyond all that the column can hold.
        return pc.and_(there, (exact > 0) == (beyond is pc.less))
    whole = values if pa.types.is_decimal(kind) else values.cast(pa.decimal128(19, 0))
    return beyond(whole, limit)


def _meant(bound: float) -> Decimal:
    """Who writes 1.1 means that, not the double next to it."""
    return Decimal(int(bound)) if float(bound).is_integer() else Decimal(repr(float(bound)))


def _not_in(values: pa.Array, allowed: Sequence[str]) -> pa.Array:
    distinct = values.unique() if not pa.types.is_nested(values.type) else values
    spelled = [texts(distinct)]
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        spelled.append(pa.array([_whole(v) for v in distinct.to_pylist()], pa.string()))
    fine = pc.is_in(spelled[0], pa.array(allowed, pa.string()))
    for more in spelled[1:]:
        fine = pc.or_(fine, pc.is_in(more, pa.array(allowed, pa.string())))
    fine = pc.or_(fine, distinct.is_null())
    if pa.types.is_nested(values.type) or pa.types.is_null(values.type):
        return pc.invert(fine) if len(fine) == len(values) else values.is_valid()
    bad = distinct.filter(pc.invert(fine))
    return pc.is_in(values, bad) if len(bad) else pa.array([False] * len(values), pa.bool_())


def _whole(value: Any) -> str | None:
    """As an integer, where it is one."""
    whole = value is not None and math.isfinite(value) and value == int(value)
    return str(int(value)) if whole else None


def _unlike(values: pa.Array, pattern: str) -> pa.Array:
    if not pa.types.is_string(values.type):
        return values.is_valid()
    return pc.invert(pc.match_substring_regex(values, pattern))


def _is_float(values: pa.Array) -> bool:
    return bool(pa.types.is_floating(values.type))


_CHECKS: Mapping[str, Callable[[pa.Array, Any], pa.Array]] = {
    "not_null": _not_null, "min": _below, "max": _above, "isin": _not_in, "regex": _unlike,
}  # fmt: skip
