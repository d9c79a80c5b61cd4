"""Kafka Connect's inline schemas: values that are written as numbers or bytes, in the forms that
columns take, and the types of those columns.

    Date (days)                                  2026-11-01              date
    Timestamp (ms), MicroTimestamp, Nano…        2026-11-01T10:15:00Z    timestamp
    ZonedTimestamp                               as it is                timestamp
    Time (ms), MicroTime, NanoTime               10:15:00.123            string
    Decimal (bytes and a scale)                  1.10                    decimal(p,s)
    VariableScaleDecimal                         1.10                    string
    bytes, Bits                                  base64                  binary
    float, double                                as they are             double
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from lake_platform.domain.mapping import Path, shown
from lake_platform.domain.quality import MAX_NUMBER_CHARS
from lake_platform.domain.schema import MAX_DIGITS
from lake_platform.records.change.parts import array_of, decimal_of, encode, object_of, whole

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_MICROS = 86_400_000_000
Convert = Callable[[bytes], bytes]
_any = msgspec.json.Decoder().decode
_CONNECT, _TIME = "org.apache.kafka.connect.data.", "io.debezium.time."
_VARIABLE = "io.debezium.data.VariableScaleDecimal"


@dataclass(frozen=True, slots=True)
class Columns:
    """Of one row. `hints`: types by path, as a definition's `columns` has them."""

    converts: Mapping[str, Convert]
    hints: Mapping[str, dict[str, str]]

    def convert(self, row: bytes) -> bytes:
        if not self.converts:
            return row
        return _fields(self.converts, row)


@dataclass(slots=True)
class _Found:
    hints: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, path: Path, kind: str) -> None:
        self.hints[shown(path)] = {"type": kind}


def columns_of(schema: bytes) -> Mapping[str, Columns]:
    """Of each struct in the schema of an envelope, and of itself under an empty name.

    Raises: ValueError for what is no schema.
    """
    root = _any(schema)
    if not isinstance(root, dict) or not isinstance(root.get("fields"), list):
        return {}
    found = {"": _columns(root)} if root.get("type") == "struct" else {}
    for one in _described(root["fields"]):
        if one.get("type") == "struct" and isinstance(one.get("fields"), list):
            found[one["field"]] = _columns(one)
    return found


def _described(fields: Any) -> Iterator[Mapping[str, Any]]:
    """Fields that say what they are."""
    for one in fields if isinstance(fields, list) else ():
        if isinstance(one, dict) and isinstance(one.get("field"), str):
            yield one


def _columns(schema: Mapping[str, Any]) -> Columns:
    found = _Found()
    return Columns(_of_fields(schema, (), found), found.hints)


def _of_fields(schema: Mapping[str, Any], path: Path, found: _Found) -> dict[str, Convert]:
    converts = {}
    for one in _described(schema.get("fields")):
        name = one["field"]
        convert = _converting(one, (*path, name), found)
        if convert is not None:
            converts[name] = convert
    return converts


def _converting(schema: Mapping[str, Any], path: Path, found: _Found) -> Convert | None:
    """None where values stay as they are."""
    name, kind = str(schema.get("name") or ""), schema.get("type")
    if name == f"{_CONNECT}Decimal" and kind == "bytes":
        return _decimal(schema, path, found)
    if name == _VARIABLE:
        found.note(path, "string")  # no decimal has all of them
        return _of_any_scale
    if name in _TEMPORAL:
        column, convert = _TEMPORAL[name]
        if kind == "string" and convert is not None:
            return None
        if column:
            found.note(path, column)
        return convert
    if kind == "bytes":
        found.note(path, "binary")
    elif kind in ("float", "double", "float32", "float64"):
        found.note(path, "double")
    elif kind == "struct":
        inside = _of_fields(schema, path, found)
        return partial(_fields, inside) if inside else None
    elif kind == "array":
        items = schema.get("items")
        each = _converting(items, (*path, None), found) if isinstance(items, dict) else None
        return None if each is None else partial(_elements, each)
    return None


def _decimal(schema: Mapping[str, Any], path: Path, found: _Found) -> Convert | None:
    said = schema.get("parameters")
    said = said if isinstance(said, dict) else {}
    scale = _signed(said.get("scale", 0))
    digits = _signed(said.get("connect.decimal.precision", MAX_DIGITS))
    if scale is None:
        return None
    found.note(path, decimal_of(digits or 0, scale))
    return lambda raw: _number(raw, scale)


def _signed(value: Any) -> int | None:
    """As `whole`, of those below zero too."""
    if isinstance(value, str) and value.startswith("-"):
        positive = whole(value[1:])
        return None if positive is None else -positive
    return whole(value)


def _fields(converts: Mapping[str, Convert], row: bytes) -> bytes:
    held = object_of(row)
    for name, convert in converts.items():
        raw = bytes(held.get(name, msgspec.Raw(b"null")))
        if raw != b"null":
            held[name] = msgspec.Raw(convert(raw))
    return encode(held)


def _elements(convert: Convert, raw: bytes) -> bytes:
    if not raw.startswith(b"["):
        return raw
    parts = [bytes(one) for one in array_of(raw)]
    return encode([msgspec.Raw(p if p == b"null" else convert(p)) for p in parts])


def _number(raw: bytes, scale: int) -> bytes:
    """Of the bytes of an integer, high ones first; what is none stays as it is: it was written as
    text or number (`decimal.handling.mode`)."""
    value = _any(raw)
    if not isinstance(value, str):
        return raw
    unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    return _scaled(unscaled, scale).encode()


def _scaled(unscaled: int, scale: int) -> str:
    if abs(scale) > MAX_NUMBER_CHARS:  # a record says it: more zeros than there is memory
        raise ValueError("a number too long")
    if scale <= 0:
        return str(unscaled * 10**-scale)
    sign, digits = "-" * (unscaled < 0), str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def _of_any_scale(raw: bytes) -> bytes:
    if not raw.startswith(b"{"):
        return raw
    parts = object_of(raw)
    scale, value = _signed(_any(bytes(parts["scale"]))), bytes(parts["value"])
    if scale is None or not value.startswith(b'"'):
        raise ValueError("a number that is none")
    return _number(value, scale)


def _whole(raw: bytes) -> int | None:
    value = _any(raw)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _date(raw: bytes) -> bytes:
    days = _whole(raw)
    return (
        raw if days is None else _instant(raw, days * _DAY_MICROS, lambda at: at.date().isoformat())
    )


def _timestamp(raw: bytes, units: int) -> bytes:
    """`units` of a microsecond make one, or are one: -1000 are nanoseconds."""
    micros = _micros(raw, units)
    if micros is None:
        return raw
    return _instant(raw, micros, lambda at: at.replace(tzinfo=None).isoformat() + "Z")


def _time(raw: bytes, units: int) -> bytes:
    """Of MySQL also below zero and beyond a day."""
    micros = _micros(raw, units)
    if micros is None:
        return raw
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, second = divmod(seconds, 60)
    text = f"{'-' * (micros < 0)}{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return encode(f"{text}.{fraction:06d}" if fraction else text)


def _micros(raw: bytes, units: int) -> int | None:
    number = _whole(raw)
    if number is None:
        return None
    return number * units if units > 0 else number // -units


def _instant(raw: bytes, micros: int, text: Callable[[dt.datetime], str]) -> bytes:
    """What no date of a column can be (infinity) stays as it is."""
    try:
        at = _EPOCH + dt.timedelta(microseconds=micros)
    except OverflowError:
        return raw
    return encode(text(at))


_MILLI, _MICRO, _NANO = 1_000, 1, -1_000
_TEMPORAL: Mapping[str, tuple[str, Convert | None]] = {
    f"{_TIME}Date": ("date", _date),
    f"{_CONNECT}Date": ("date", _date),
    f"{_TIME}Timestamp": ("timestamp", partial(_timestamp, units=_MILLI)),
    f"{_CONNECT}Timestamp": ("timestamp", partial(_timestamp, units=_MILLI)),
    f"{_TIME}MicroTimestamp": ("timestamp", partial(_timestamp, units=_MICRO)),
    f"{_TIME}NanoTimestamp": ("timestamp", partial(_timestamp, units=_NANO)),
    f"{_TIME}ZonedTimestamp": ("timestamp", None),
    f"{_TIME}Time": ("string", partial(_time, units=_MILLI)),
    f"{_CONNECT}Time": ("string", partial(_time, units=_MILLI)),
    f"{_TIME}MicroTime": ("string", partial(_time, units=_MICRO)),
    f"{_TIME}NanoTime": ("string", partial(_time, units=_NANO)),
}
