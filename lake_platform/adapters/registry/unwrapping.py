"""Messages in the wire format as JSON, by whichever registry finds their schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from lake_platform.adapters.registry.avro import AvroDecoder
from lake_platform.adapters.registry.proto_files import compiled
from lake_platform.adapters.registry.protobuf import ProtobufDecoder
from lake_platform.domain.quality import Reason
from lake_platform.domain.registry import PREFIX_BYTES, Declared, Unwrapped, prefixed, schema_id

Find = Callable[[int], Declared | None]
_string = msgspec.json.Decoder(str).decode


class Unwrapper:
    """`find` gives the schema of an id, None for one that is not registered."""

    def __init__(self, find: Find, value_format: str) -> None:
        self._find, self._format = find, value_format
        self._kind = {"json_schema": "json", "auto": None}.get(value_format, value_format)
        self._decoders: dict[int, Callable[[bytes], bytes] | None] = {}
        self._found: dict[int, Declared] = {}
        self._used: dict[int, Declared] = {}
        # By the five bytes: what values were read by before.
        self._ready: dict[bytes, tuple[Callable[[bytes], bytes], int]] = {}

    @property
    def declared(self) -> Mapping[int, Declared]:
        return {n: _with_messages(d, self._decoders[n]) for n, d in self._used.items()}

    def value(self, data: bytes) -> Unwrapped:
        if ready := self._ready.get(data[:PREFIX_BYTES]):
            decode, number = ready
            try:
                return Unwrapped(decode(data[PREFIX_BYTES:]), number)
            except ValueError:
                return Unwrapped(data, number, Reason.NOT_DECODED)
        return self._first(data)

    def _first(self, data: bytes) -> Unwrapped:
        """Until a value of the schema was read."""
        if not prefixed(data):
            return Unwrapped(data, None, None if self._format == "auto" else Reason.NO_PREFIX)
        number = schema_id(data)
        decode = self._decoder(number)
        if decode is None:
            found = number in self._found
            return Unwrapped(data, number, Reason.BAD_SCHEMA if found else Reason.NO_SCHEMA)
        if self._kind not in (None, self._found[number].kind):
            return Unwrapped(data, number, Reason.OTHER_FORMAT)
        try:
            value = decode(data[PREFIX_BYTES:])
        except ValueError:
            return Unwrapped(data, number, Reason.NOT_DECODED)
        self._used[number] = self._found[number]
        self._ready[data[:PREFIX_BYTES]] = decode, number
        return Unwrapped(value, number)

    def key(self, data: bytes | None) -> bytes | None:
        if data is None or not prefixed(data):
            return data
        number = schema_id(data)
        decode = self._decoder(number)
        try:
            found = None if decode is None else _text(decode(data[PREFIX_BYTES:]))
        except ValueError:
            return data
        if found is None:
            return data
        self._used[number] = self._found[number]
        return found

    def _decoder(self, number: int) -> Callable[[bytes], bytes] | None:
        if number not in self._decoders:
            declared = self._find(number)
            if declared is not None:
                self._found[number] = declared
            self._decoders[number] = None if declared is None else decoder(declared)
        return self._decoders[number]


def decoder(declared: Declared) -> Callable[[bytes], bytes] | None:
    """None for a schema that cannot be read."""
    if declared.kind == "json":
        return bytes  # the data is the JSON
    try:
        made = ProtobufDecoder if declared.kind == "protobuf" else AvroDecoder
        return made(declared).json
    except ValueError:
        return None


def readable(declared: Declared) -> Declared:
    """With what its readers need, here and where there is no protoc."""
    if declared.kind != "protobuf":
        return declared
    try:
        return replace(declared, compiled=compiled(declared.text, declared.references))
    except (ValueError, RecursionError):
        return declared


def _with_messages(declared: Declared, decode: Callable[[bytes], bytes] | None) -> Declared:
    reader = getattr(decode, "__self__", None)
    if not isinstance(reader, ProtobufDecoder):
        return declared
    return replace(declared, messages=tuple(sorted(reader.messages)))


def _text(found: bytes) -> bytes:
    """Of a plain value what a producer without a schema would have sent."""
    return _string(found).encode() if found[:1] == b'"' else found
