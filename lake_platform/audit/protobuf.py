"""Protobuf as an audit reads it: by the descriptors beside the raw log, into plain values."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

_SPACE = "google.protobuf."


def reader(kept: dict[str, Any]) -> Callable[[bytes], Any]:
    """Of a schema as it was kept. What is given raises whatever it may for what does not decode."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    pool, last = DescriptorPool(), ""
    for file in FileDescriptorSet.FromString(base64.b64decode(kept["compiled"])).file:
        pool.AddSerializedFile(file.SerializeToString())
        last = file.name
    root = pool.FindFileByName(last)

    def read(data: bytes) -> Any:
        numbers = iter(data)
        count = _signed(numbers)
        if count < 0:
            raise ValueError("no path")
        indexes = [_signed(numbers) for _ in range(count)] or [0]
        held, kind = root.message_types_by_name, None
        for index in indexes:
            kind = list(held.values())[index] if index >= 0 else None
            held = kind.nested_types_by_name  # type: ignore[union-attr]
        made = GetMessageClass(kind)
        message = made.FromString(bytes(numbers))
        if made.FindInitializationErrors(message):
            raise ValueError("not whole")
        return _Values(pool).of(message)

    return read


def _signed(numbers: Iterator[int]) -> int:
    found, place = 0, 0
    for byte in numbers:
        found += (byte & 0x7F) << place
        place += 7
        if not byte & 0x80:
            return ~(found // 2) if found % 2 else found // 2
    raise ValueError("cut off")


class _Values:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def of(self, message: Any) -> Any:
        from google.protobuf.unknown_fields import UnknownFieldSet

        if len(UnknownFieldSet(message)):
            raise ValueError("more than its schema has")
        kind = message.DESCRIPTOR
        if kind.full_name in (f"{_SPACE}Timestamp", f"{_SPACE}Duration"):
            return message.ToJsonString()
        if kind.full_name == f"{_SPACE}Value":
            which = message.WhichOneof("kind")
            if which in (None, "null_value"):
                return None
            return self._single(kind.fields_by_name[which], getattr(message, which))
        if kind.full_name == f"{_SPACE}Struct":
            return self._field(kind.fields_by_name["fields"], message.fields)
        if kind.full_name == f"{_SPACE}ListValue":
            return self._field(kind.fields_by_name["values"], message.values)
        if kind.full_name.startswith(_SPACE) and kind.full_name.endswith("Value"):
            return message.value
        said = {f.number: (f, value) for f, value in type(message).ListFields(message)}
        out = {}
        for field in kind.fields:
            if field.number in said:
                out[field.name] = self._field(*said[field.number])
            elif not field.has_presence:
                out[field.name] = self._field(field, _empty(field))
        for field, value in said.values():
            if field.is_extension:
                out[field.full_name] = self._field(field, value)
        return out

    def _field(self, field: Any, value: Any) -> Any:
        if _is_map(field):
            inner = field.message_type.fields_by_name["value"]
            return {_key(key): self._single(inner, value[key]) for key in value}
        if field.is_repeated:
            return [self._single(field, one) for one in value]
        return self._single(field, value)

    def _single(self, field: Any, value: Any) -> Any:
        if field.message_type is not None:
            return self.of(value)
        if field.enum_type is not None:
            named = field.enum_type.values_by_number.get(value)
            return named.name if named is not None else f"{value}"
        if field.type == field.TYPE_STRING and isinstance(value, bytes):
            raise ValueError("no text")
        return value


def _empty(field: Any) -> Any:
    if _is_map(field):
        return {}
    return [] if field.is_repeated else field.default_value


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
