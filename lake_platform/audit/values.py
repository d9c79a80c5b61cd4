"""What a record's JSON must look like as a row, worked out from the table's Arrow types alone.

A value that does not fit its column's type makes the record unfit: it belongs in quarantine. Rows
of the table go through the same functions, so that equal values compare equal.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
import pyarrow as pa

Read = Callable[[Any], Any]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_RANK_BYTES = 40
_OURS = ("_hoodie_", "_kafka_", "_lake_key", "_lake_order", "_lake_ordinal")
_WRAPPED = {"schema", "payload"}  # of Kafka Connect, with schemas enabled
_EMPTY: tuple[Any, ...] = (None, [], {})


class UnfitError(ValueError):
    """The value cannot be in this column."""


class Projector:
    """Turns JSON documents and rows of one table into comparable values."""

    def __init__(self, schema: pa.Schema, key: tuple[str, ...], ordering: str | None) -> None:
        fields = [f for f in schema if not f.name.startswith(_OURS)]
        self.schema = pa.schema(fields)
        self.key, self.ordering = key, ordering
        self._read = {f.name: reader(f.type) for f in fields}
        # Only decimals need more digits than a double keeps.
        self._exact = "decimal" in str(self.schema)

    def parse(self, value: bytes) -> dict[str, Any]:
        """Raises: UnfitError when it is not one JSON object."""
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise UnfitError(str(error)) from None
        if not isinstance(parsed, dict):
            raise UnfitError("no object")
        return json.loads(value, parse_float=Decimal) if self._exact else parsed

    def project(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Raises: UnfitError."""
        return {name: read(document.get(name)) for name, read in self._read.items()}

    def key_of(self, values: Mapping[str, Any]) -> str | None:
        """None when a part of the key is null or missing, or its only part is empty."""
        parts = [values.get(name) for name in self.key]
        return None if any(p is None for p in parts) or parts == [""] else repr(parts)

    def rank_of(self, values: Mapping[str, Any]) -> str | None:
        """Text that sorts as the ordering field does; empty without one, None when it is null."""
        if self.ordering is None:
            return ""
        value = values.get(self.ordering)
        return None if value is None else rank(value)

    def hash_of(self, values: Mapping[str, Any], document: Mapping[str, Any] | None = None) -> str:
        """Of a document, what the table has no column for counts, too: it would be lost."""
        extra = sorted(
            n for n, v in (document or {}).items() if n not in self._read and v not in _EMPTY
        )
        text = repr((list(values.values()), extra))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def key_of_tombstone(self, key: str | None) -> str | None:
        """The Kafka key as JSON object with the key's columns, or as the value of its only one."""
        if not key:
            return None
        try:
            parsed = orjson.loads(key)
        except orjson.JSONDecodeError:
            parsed = key
        if isinstance(parsed, dict) and parsed.keys() == _WRAPPED and not {*self.key} <= _WRAPPED:
            parsed = parsed["payload"]
        tries = [parsed] if isinstance(parsed, dict) else self._single(parsed, key)
        for document in tries:
            try:
                return self.key_of({n: self._read[n](document.get(n)) for n in self.key})
            except (UnfitError, KeyError):
                continue
        return None

    def _single(self, parsed: Any, key: str) -> list[dict[str, Any]]:
        return [{self.key[0]: v} for v in (parsed, key)] if len(self.key) == 1 else []


def rank(value: Any) -> str:
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, bool | int):
        return f"i{int(value) + (1 << 127):0{_RANK_BYTES}d}"
    if isinstance(value, float):
        (bits,) = struct.unpack(">Q", struct.pack(">d", value))
        return f"f{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"
    if isinstance(value, Decimal):
        return rank(int(value.scaleb(-int(value.as_tuple().exponent))))
    return "d" + str(value)


def reader(kind: pa.DataType) -> Read:
    """The function that reads a JSON value (or a value of Arrow) as `kind`; null stays null."""
    read = _reader(kind)
    return lambda value: None if value is None else read(value)


def _reader(kind: pa.DataType) -> Read:
    types = pa.types
    if types.is_boolean(kind):
        return _of(bool)
    if types.is_integer(kind):
        return _integer(kind.bit_width)
    if types.is_float64(kind):
        return _double
    if types.is_float32(kind):
        return lambda v: struct.unpack("f", struct.pack("f", _double(v)))[0]
    if types.is_decimal(kind):
        return _decimal(kind.scale)
    if types.is_date(kind):
        return _date
    if types.is_timestamp(kind):
        return _timestamp
    if types.is_struct(kind):
        return _struct({f.name: reader(f.type) for f in kind})
    if types.is_list(kind) or types.is_large_list(kind):
        return _list(reader(kind.value_type))
    if types.is_map(kind):
        return _map(reader(kind.item_type))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _binary
    return _string


def _of(wanted: type) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise UnfitError(f"no {wanted.__name__}")
        return value

    return read


def _integer(bits: int) -> Read:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnfitError("no integer")
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise UnfitError("out of range")
        return value

    return read


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnfitError("no number")
    number = float(value)
    if not math.isfinite(number):
        raise UnfitError("not finite")
    return number + 0.0  # -0.0 is 0.0


def _decimal(scale: int) -> Read:
    def read(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise UnfitError("no number")
        exact = Decimal(str(value))
        try:
            found = exact.quantize(Decimal(1).scaleb(-scale))
        except InvalidOperation:
            raise UnfitError("too many digits") from None
        if found != exact:
            raise UnfitError("too many digits")
        return found

    return read


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date):
        return value
    return _parsed(dt.date.fromisoformat, value)  # type: ignore[no-any-return]


def _timestamp(value: Any) -> int:
    """Microseconds since 1970 UTC."""
    at = value if isinstance(value, dt.datetime) else _parsed(dt.datetime.fromisoformat, value)
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return int((at - _EPOCH) // _MICROSECOND)


def _binary(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _parsed(base64.b64decode, value)


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    if not isinstance(value, str):
        raise UnfitError("no text")
    try:
        return parse(value)
    except ValueError as error:
        raise UnfitError(str(error)) from None


def _string(value: Any) -> str | None:
    if value in ([], {}, "[]", "{}"):
        return None  # a column of which only empty values were ever seen
    if not isinstance(value, str):
        raise UnfitError("no text")
    return value


def _struct(read: Mapping[str, Read]) -> Read:
    def parse(value: Any) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            raise UnfitError("no object")
        found = {name: one(value.get(name)) for name, one in read.items()}
        # Engines differ on an object without a value and no object.
        return None if all(v is None for v in found.values()) else found

    return parse


def _list(read: Read) -> Read:
    def parse(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise UnfitError("no array")
        return [read(item) for item in value]

    return parse


def _map(read: Read) -> Read:
    def parse(value: Any) -> list[Any]:
        pairs = value.items() if isinstance(value, dict) else value
        if not isinstance(value, dict | list):
            raise UnfitError("no object")
        return sorted((str(k), read(v)) for k, v in pairs)

    return parse
