"""Messages in a schema registry's format as an audit reads them: by the schemas that lie beside the
raw log, with no registry and none of phase 1's code."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import MAX_PREC, Decimal
from typing import Any

import msgspec

from lake_platform.audit import protobuf
from lake_platform.audit.sources import Files
from lake_platform.domain.avro_schema import avro_schema
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import raw_schemas_prefix
from lake_platform.domain.ports import KafkaMessage

_PREFIX = 5
_NOTHING = b"\0"  # is no JSON


@dataclass(frozen=True, slots=True)
class Message:
    """As the message it is of, but for what its value and key say."""

    of: KafkaMessage
    said: bytes | None
    known_by: bytes | None

    def partition(self) -> int:
        return self.of.partition()

    def offset(self) -> int:
        return self.of.offset()

    def timestamp(self) -> tuple[int, int]:
        return self.of.timestamp()

    def key(self) -> bytes | None:
        return self.known_by

    def value(self) -> bytes | None:
        return self.said

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        return self.of.headers()


class MessageReader:
    def __init__(self, files: Files, dataset: Dataset) -> None:
        self._files, self._strict = files, dataset.value_format != "auto"
        self._at = raw_schemas_prefix(dataset.raw_table)
        self._known: dict[int, Callable[[bytes], bytes] | None] = {}

    def __call__(self, message: KafkaMessage) -> KafkaMessage:
        return Message(message, self._value(message.value()), self._key(message.key()))

    def _value(self, value: bytes | None) -> bytes | None:
        if value is None:
            return None
        if not _framed(value):
            return _NOTHING if self._strict else value
        return self._read(value) or _NOTHING

    def _key(self, key: bytes | None) -> bytes | None:
        found = self._read(key) if key is not None and _framed(key) else None
        if found is None:
            return key
        return str(json.loads(found)).encode() if found.startswith(b'"') else found

    def _read(self, framed: bytes) -> bytes | None:
        number = int.from_bytes(framed[1:_PREFIX], "big")
        if number not in self._known:
            self._known[number] = self._reader(number)
        read = self._known[number]
        try:
            return None if read is None else read(framed[_PREFIX:])
        except Exception:
            return None

    def _reader(self, number: int) -> Callable[[bytes], bytes] | None:
        try:
            kept = json.loads(self._files.read(f"{self._at}{number}.json"))
        except KeyError:
            return None  # nothing in raw was read by it
        if kept["kind"] == "protobuf":
            read = protobuf.reader(kept)
            return lambda data: _text(read(data)).encode()
        return bytes if kept["kind"] == "json" else _avro(kept)


def _framed(data: bytes) -> bool:
    return len(data) >= _PREFIX and data[0] == 0


def _avro(kept: dict[str, Any]) -> Callable[[bytes], bytes]:
    from fastavro import parse_schema, schemaless_reader

    named: dict[str, Any] = {}
    for _, text in kept["references"]:
        parse_schema(avro_schema(text), named)
    schema = parse_schema(avro_schema(kept["text"]), named)
    _unrounded([schema, *named.values()])

    def read(data: bytes) -> bytes:
        stream = io.BytesIO(data)
        value = schemaless_reader(
            stream, schema, None, return_record_name=True, return_record_name_override=True
        )
        if stream.read(1):
            raise ValueError("more than the value")
        return _text(value).encode()

    return read


def _unrounded(part: Any) -> None:
    """Decimals with as many digits as they have; without a precision they are bytes."""
    inner = part.values() if isinstance(part, dict) else part
    if isinstance(part, dict) and part.get("logicalType") == "decimal":
        if part.get("precision") is None:
            part.pop("logicalType")
        part["precision"] = MAX_PREC
    for each in list(inner):
        if isinstance(each, dict | list):
            _unrounded(each)


def _text(value: Any) -> str:
    """As JSON. Raises: ValueError for what JSON has no text for."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)}:{_text(v)}" for k, v in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, tuple):  # of a union of several records
        return f"{{{json.dumps(value[0])}:{_text(value[1])}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return json.dumps(base64.b64encode(value).decode())
    if isinstance(value, dt.date | dt.time):
        return json.dumps(value.isoformat().replace("+00:00", "Z"))
    if isinstance(value, uuid.UUID):
        return json.dumps(str(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("not finite")
        return msgspec.json.encode(value).decode()
    return json.dumps(value)
