"""Parsed JSON values as what the fast decoder would have given, for the few that it refuses."""

from __future__ import annotations

from typing import Any

from lake_platform.domain.schema import (
    JSON,
    RESCUED,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.records.forms import numeric, reader
from lake_platform.records.observe import fits, is_other_empty, spelled, whole
from lake_platform.records.verbatim import Record, Verbatim


def build_record(value: dict[str, Any], struct: Struct, record: Record) -> tuple[Any, ...]:
    """One place for each field of `struct`. What fits none where `rescue` allows it, and the lesser
    spelling of a key, is in `record.rescued`, and in the row where it has a place for it.

    Raises: ValueError when a value does not fit.
    """
    row = _row(value, struct, record)
    rescued = record.rescued_text
    if rescued is None:
        return row
    return tuple(
        rescued if f.type == RESCUED else v for f, v in zip(struct.fields, row, strict=True)
    )


def build(value: Any, kind: Type, at: Verbatim, rescue: bool = False) -> Any:
    """A struct becomes a tuple with one place for each of its fields; what `kind` does not have is
    left out. `rescue`: what does not fit becomes None, and is kept by its pointer.

    Raises: ValueError when a value does not fit.
    """
    if value is None or without_unknown(kind) is None:
        return None
    try:
        return _build(value, kind, at, rescue)
    except ValueError:
        if not rescue:
            raise
    at.rescue()
    return None


def _build(value: Any, kind: Type, at: Verbatim, rescue: bool) -> Any:
    if kind == JSON:
        return at.text
    if is_other_empty(value, kind):
        return None
    if isinstance(kind, Struct):
        return _row(_of(value, dict), kind, at)
    if isinstance(kind, Array):
        if not isinstance(value, list):
            return [_build(value, kind.element, at, rescue)]
        items = enumerate(value)
        return [build(item, kind.element, at.child(n), rescue) for n, item in items]
    if isinstance(kind, Map):
        pairs = _of(value, dict).items()
        return {name: build(v, kind.value, at.child(name, each=True), rescue) for name, v in pairs}
    if isinstance(kind, Decimal):
        return numeric(value, kind.precision, kind.scale)
    return _scalar(value, kind, at)


def _row(value: dict[str, Any], struct: Struct, at: Verbatim) -> tuple[Any, ...]:
    return tuple(_field(value, f, at) for f in struct.fields)


def _field(value: dict[str, Any], field: Field, at: Verbatim) -> Any:
    keys = spelled(value, field)
    if not keys or without_unknown(field.type) is None:  # only null, [] and {} so far
        return None
    key, *others = keys
    for other in others:
        if at.child(other).text != at.child(key).text:
            at.child(other).rescue()
    return build(value[key], field.type, at.child(key), field.rescue)


def _scalar(value: Any, kind: Type, at: Verbatim) -> Any:
    if form := reader(kind):
        return form.read(value)
    if not isinstance(kind, Scalar) or not fits(value, kind):
        raise ValueError(f"not a {kind}")
    if kind.name == "string":
        return value if isinstance(value, str) else at.text
    if kind.name == "double":
        return float(value)
    return value if isinstance(value, int) else whole(value)


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"not a {kind.__name__}")
    return value
