"""Parsed JSON values as what the fast decoder would have given, for the few that it refuses."""

from __future__ import annotations

from typing import Any

from lake_platform.domain.schema import (
    Array,
    Decimal,
    Map,
    Scalar,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.records.forms import READERS, numeric
from lake_platform.records.observe import fits


def build_row(value: dict[str, Any], struct: Struct) -> tuple[Any, ...]:
    """As `build`, of a record: a row also when nothing of it is known."""
    return tuple(build(value.get(f.name), f.type) for f in struct.fields)


def build(value: Any, kind: Type) -> Any:
    """A struct becomes a tuple with one place for each of its fields; what `kind` does not have is
    left out.

    Raises: ValueError when a value does not fit.
    """
    if value is None or without_unknown(kind) is None:  # only null, [] and {} so far
        return None
    if isinstance(kind, Struct):
        return build_row(_of(value, dict), kind)
    if isinstance(kind, Array):
        return [build(item, kind.element) for item in _of(value, list)]
    if isinstance(kind, Map):
        return {name: build(item, kind.value) for name, item in _of(value, dict).items()}
    if isinstance(kind, Decimal):
        return numeric(value, kind.precision, kind.scale)
    return _scalar(value, kind)


def _scalar(value: Any, kind: Type) -> Any:
    if str(kind) in READERS:
        return READERS[str(kind)].read(value)
    if not isinstance(kind, Scalar) or not fits(value, kind):
        raise ValueError(f"not a {kind}")
    return float(value) if kind.name == "double" else value


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"not a {kind.__name__}")
    return value
