"""Whether raw values conform to a schema, and what they look like when they do not.

The fast path is a msgspec decoder generated from the schema (0.4 us a record); only a value it
refuses is parsed into Python and observed. Nothing that would change a value conforms: integers
beyond 64 bits and numbers a double cannot hold are conflicts.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import decimal
import json
import re
import uuid
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec

from lake_platform.domain.quality import MAX_NUMBER_CHARS
from lake_platform.domain.schema import (
    MAX_DIGITS,
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    columns,
)

_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
# From 2^53 on a double skips integers (and 2^53 may be 2^53 + 1 rounded): looked at closely.
_DOUBLE = Annotated[float, msgspec.Meta(gt=-(2.0**53), lt=2.0**53)]
_NOTHING = (
    Annotated[list[Any], msgspec.Meta(max_length=0)]
    | Annotated[dict[str, Any], msgspec.Meta(max_length=0)]
    | None
)
_FAST: dict[str, Any] = {
    "boolean": bool,
    "int": _INT32,
    "long": _INT64,
    "float": _DOUBLE,
    "double": _DOUBLE,
    "string": str,
    "binary": bytes,
    "date": dt.date,
    "timestamp": dt.datetime,
    "unknown": _NOTHING,
}
# 18 significant digits and more may not fit a double. Searching for the run of digits first, in C,
# makes that question cost 3 ns a byte less than asking the expression alone.
_INEXACT = re.compile(rb"[1-9][0-9.]{18,}")
_RUN = b"0" * 19
_LONG_RUN = b"0" * (MAX_NUMBER_CHARS // 2)
_DIGITS = bytes(0x30 if chr(c) in "0123456789." else 0x20 for c in range(256))
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_EXACT = decimal.Context(prec=1200)


class Line(msgspec.Struct, gc=False):
    """The envelope of a raw line without its value; `reason` is set for a rejected one."""

    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    order: int | None = None
    tombstone: bool = False
    reason: str | None = None


head_of = msgspec.json.Decoder(Line).decode


class _ValueOnly(msgspec.Struct, gc=False):
    value: msgspec.Raw = msgspec.Raw(b"null")


_value_only = msgspec.json.Decoder(_ValueOnly)


def value_bytes(line: bytes) -> bytes | None:
    """The value of a raw line as it came; None for tombstones and rejected values."""
    value = bytes(_value_only.decode(line).value)
    return None if value == b"null" else value


@lru_cache(maxsize=256)
def _decoder(schema: Struct) -> msgspec.json.Decoder[Any]:
    """Generating the classes takes as long as decoding 500 records; small batches come often."""
    value = _struct_type(schema, "Value")
    line = msgspec.defstruct(
        "ValueLine",
        [("partition", int), ("offset", int), ("value", value | None, None)],
        gc=False,
    )
    return msgspec.json.Decoder(line)


class Conformer:
    """Decodes lines against `schema`. `value_of(line)` gives the record's struct."""

    def __init__(self, schema: Struct) -> None:
        self.schema = schema
        self.attributes = {f.name: f"f{i}" for i, f in enumerate(schema.fields)}
        try:
            self._decoder = _decoder(schema)
        except RecursionError:  # too deep to be hashed and compared on a deep stack
            self._decoder = _decoder.__wrapped__(schema)
        self._doubles = any(str(_leaf(k)) in {"float", "double"} for _, k in columns(schema))

    def decode(self, line: bytes) -> Any:
        """An object with partition, offset and value (None for tombstones and rejected values).

        Raises:
            ValueError: the value does not conform, or only the slow path can tell.
        """
        return self._decoder.decode(line)

    def suspicious(self, text: bytes) -> bool:
        """Whether a number in `text` may have more digits than a double column would keep, or than
        Spark's parser takes."""
        if not self._doubles:
            return False
        digits = text.translate(_DIGITS)
        return _RUN in digits and (_INEXACT.search(text) is not None or _LONG_RUN in digits)


class LongNumberError(ValueError):
    """A number of more than MAX_NUMBER_CHARS characters."""


def parse_value(line: bytes) -> dict[str, Any]:
    """The value of a raw line; inexact numbers come as `decimal.Decimal`.

    Raises: LongNumberError.
    """
    parsed = json.loads(line, parse_float=_exact_float)
    return cast("dict[str, Any]", parsed["value"])


def repeats_a_key(line: bytes) -> bool:
    """Whether an object of the line, at any depth, has a key more than once."""
    found: list[bool] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(line, object_pairs_hook=look)
    return any(found)


def observe(value: object, like: Type | None = None) -> Type:
    """The type of a parsed JSON value, read with the eyes of the expected type `like`."""
    if value is None:
        return like if like is not None else UNKNOWN
    if isinstance(value, dict):
        return _observe_object(value, like)
    if isinstance(value, list):
        element = like.element if isinstance(like, Array) else None
        merged: Type = UNKNOWN
        for item in value:
            merged = merge_observed(merged, observe(item, element))
        return Array(element if element is not None and merged == UNKNOWN else merged)
    if like is not None and _fits(value, like):
        return like
    return _plain_type(value)


def merge_observed(first: Type, second: Type) -> Type:
    """One type for both; where they conflict `first` wins (see `domain.schema.diff`)."""
    if first == UNKNOWN:
        return second
    if isinstance(first, Struct) and isinstance(second, Struct):
        fields = [
            Field(f.name, merge_observed(f.type, o.type) if (o := second.get(f.name)) else f.type)
            for f in first.fields
        ]
        known = {f.name for f in fields}
        return Struct((*fields, *(f for f in second.fields if f.name not in known)))
    if isinstance(first, Array) and isinstance(second, Array):
        return Array(merge_observed(first.element, second.element))
    if isinstance(first, Map) and isinstance(second, Map):
        return Map(merge_observed(first.value, second.value))
    numbers = {str(first), str(second)}
    if numbers == {"long", "double"}:
        return Scalar("double")
    if isinstance(first, Decimal | Scalar) and isinstance(second, Decimal | Scalar):
        return _wider_integer(first, second)
    return first


def _wider_integer(first: Type, second: Type) -> Type:
    whole = Decimal(MAX_DIGITS, 0)
    return whole if {str(first), str(second)} == {"long", str(whole)} else first


def _observe_object(value: dict[str, Any], like: Type | None) -> Type:
    if isinstance(like, Map):
        merged: Type = UNKNOWN
        for item in value.values():
            merged = merge_observed(merged, observe(item, like.value))
        return Map(like.value if merged == UNKNOWN else merged)
    expected = like if isinstance(like, Struct) else Struct()
    fields = []
    for name, item in value.items():
        known = expected.get(name)
        fields.append(Field(name, observe(item, known.type if known else None)))
    if not fields and like is None:
        return UNKNOWN
    return Struct(tuple(fields))


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
        exponent = cast("int", value.as_tuple().exponent)
        scale, digits = max(0, -exponent), len(value.as_tuple().digits) + max(0, exponent)
        return Decimal(max(scale, digits), scale)
    return Scalar("string")


def _fits(value: object, like: Type) -> bool:
    if isinstance(like, Decimal):
        return isinstance(value, int | float | decimal.Decimal) and _fits_decimal(value, like)
    if isinstance(value, bool) or not isinstance(like, Scalar):
        return isinstance(value, bool) and like == Scalar("boolean")
    if isinstance(value, int):
        if like.name in {"float", "double"}:
            return abs(value) <= 2**53 or int(float(value)) == value
        bits = {"int": 31, "long": 63}.get(like.name)
        return bits is not None and -(2**bits) <= value < 2**bits
    if isinstance(value, float):
        return like.name in {"float", "double"}
    return isinstance(value, str) and _fits_text(value, like.name)


def _fits_decimal(value: float | decimal.Decimal, like: Decimal) -> bool:
    if isinstance(value, bool):
        return False
    _, digits, exponent = decimal.Decimal(str(value)).as_tuple()
    scale = max(0, -cast("int", exponent))
    whole = max(0, len(digits) + cast("int", exponent))
    return scale <= like.scale and whole <= like.precision - like.scale


def _fits_text(value: str, name: str) -> bool:
    try:
        if name == "date":
            dt.date.fromisoformat(value)
        elif name == "timestamp":
            dt.datetime.fromisoformat(value)
        elif name == "binary":
            base64.b64decode(value, validate=True)
        else:
            return name == "string"
    except (ValueError, binascii.Error):
        return False
    return True


def _exact_float(text: str) -> float | decimal.Decimal:
    """A float when it is the nearest one to `text` within 17 digits, else the exact number."""
    if len(text) > MAX_NUMBER_CHARS:
        raise LongNumberError
    number = float(text)
    exact = _EXACT.create_decimal(text)
    if len(exact.normalize(_EXACT).as_tuple().digits) <= 17:
        return number
    return number if exact == decimal.Decimal(number) else exact


def _struct_type(struct: Struct, name: str) -> Any:
    # Attributes are f0, f1, ...: JSON names may be anything, Python's may not.
    fields = [
        (f"f{i}", _fast_type(f.type, f"{name}_{i}") | None, None)
        for i, f in enumerate(struct.fields)
    ]
    rename = {f"f{i}": _fast_name(f.name) for i, f in enumerate(struct.fields)}
    return msgspec.defstruct(name, fields, rename=rename, gc=False, forbid_unknown_fields=True)


def _leaf(kind: Type) -> Type:
    while isinstance(kind, Array | Map):
        kind = kind.element if isinstance(kind, Array) else kind.value
    return kind


def _fast_name(name: str) -> str:
    """msgspec refuses names that JSON must escape. One that no record can have takes the place, so
    a record with such a column is an unknown field to the fast path and takes the slow one."""
    return uuid.uuid4().hex if _ESCAPED.search(name) else name


def _fast_type(kind: Type, name: str) -> Any:
    if isinstance(kind, Struct):
        return _struct_type(kind, name)
    if isinstance(kind, Array):
        return list[_fast_type(kind.element, name) | None]  # type: ignore[misc]
    if isinstance(kind, Map):
        return dict[str, _fast_type(kind.value, name) | None]  # type: ignore[misc]
    if isinstance(kind, Decimal):
        return type(None)  # the fast path would take any number, and numbers in quotes
    return _FAST[kind.name]
