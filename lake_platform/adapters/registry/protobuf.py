"""Protobuf as JSON without loss: 64-bit integers as the numbers they are, bytes as base64, enums by
name, the well-known types as Protobuf's own JSON has them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lake_platform.domain.registry import Declared

_encode = msgspec.json.Encoder().encode
_Turn = Callable[[Any], Any]
_TEXT = ("google.protobuf.Timestamp", "google.protobuf.Duration")
_WRAPPERS = tuple(
    f"google.protobuf.{name}Value"
    for name in (
        "Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes",
    )
)  # fmt: skip
_FIRST = b"\0"  # of the file's messages, in short
_SHORT: tuple[int, ...] = (0,)


class ProtobufDecoder:
    """Reads what one schema wrote. Raises: ValueError for a schema that is none."""

    def __init__(self, declared: Declared) -> None:
        from google.protobuf.descriptor_pb2 import FileDescriptorSet
        from google.protobuf.descriptor_pool import DescriptorPool

        files = FileDescriptorSet.FromString(base64.b64decode(declared.compiled)).file
        if not files:
            raise ValueError(f"schema {declared.id}: no .proto that compiles")
        self._pool = DescriptorPool()
        try:
            for file in files:
                self._pool.Add(file)
            self._root: Any = self._pool.FindFileByName(files[-1].name)
        except (TypeError, KeyError) as error:
            raise ValueError(f"schema {declared.id}: {error}") from error
        self._turns: dict[str, list[_Turn]] = {}
        self._readers: dict[tuple[int, ...], Callable[[bytes], bytes]] = {}
        self.messages: Mapping[tuple[int, ...], Any] = self._readers

    def json(self, data: bytes) -> bytes:
        """`data` begins with the path of the message in its file.

        Raises: ValueError when the rest is not exactly one value of it.
        """
        if data.startswith(_FIRST):
            path, at = _SHORT, 1
        else:
            path, at = _path(data)
        read = self._readers.get(path)
        if read is not None:
            return read(data[at:])
        read = self._reader(path)
        said = read(data[at:])
        self._readers[path] = read
        return said

    def _reader(self, path: tuple[int, ...]) -> Callable[[bytes], bytes]:
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass

        found = self._root.message_types_by_name.values()
        kind: Any = None
        for index in path:
            if index >= len(found):
                raise ValueError("no such message")
            kind = found[index]
            found = kind.nested_types
        made, turn = GetMessageClass(kind), self._message(kind)

        def read(data: bytes) -> bytes:
            message = made()  # whose fields may have the names of its methods
            try:
                made.ParseFromString(message, data)
            except DecodeError as error:
                raise ValueError(str(error)) from error
            if not made.IsInitialized(message):
                raise ValueError("a required field is missing")
            # What the schema does not know would be lost.
            size = made.ByteSize(message)
            made.DiscardUnknownFields(message)
            if made.ByteSize(message) != size:
                raise ValueError("fields that the schema does not have")
            return _encode(turn(message))

        return read

    def _message(self, kind: Any) -> _Turn:
        name = kind.full_name
        if name in _TEXT:
            return _canonical
        if name in _WRAPPERS:
            turn = _scalar(kind.fields_by_name["value"])
            return lambda m: turn(m.value) if turn else m.value
        if name in _STRUCTS:
            return _STRUCTS[name]
        known = self._turns.get(name)
        if known is not None:  # it may contain itself
            return lambda m: known[0](m)  # noqa: PLW0108 - it may not be there yet
        from google.protobuf.message_factory import GetMessageClass

        has = GetMessageClass(kind).HasField
        held: list[_Turn] = []
        self._turns[name] = held
        fields = [(f.name, f.has_presence, self._field(f)) for f in kind.fields]
        more = [(f, self._field(f)) for f in self._pool.FindAllExtensions(kind)]

        def turned(message: Any) -> dict[str, Any]:
            out = {}
            for name, optional, turn in fields:
                if optional and not has(message, name):
                    continue
                value = getattr(message, name)
                out[name] = turn(value) if turn else value
            for extension, turn in more:
                value = message.Extensions[extension]
                if value if _repeated(extension) else message.HasExtension(extension):
                    out[extension.full_name] = turn(value) if turn else value
            return out

        held.append(turned)
        return turned

    def _field(self, field: Any) -> _Turn | None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            key, turn = kind.fields_by_name["key"], self._one(kind.fields_by_name["value"])
            text = _bool_text if key.type == key.TYPE_BOOL else str
            return lambda held: {text(k): turn(held[k]) if turn else held[k] for k in held}
        one = self._one(field)
        if not _repeated(field):
            return one
        return list if one is None else lambda held: [one(item) for item in held]

    def _one(self, field: Any) -> _Turn | None:
        return _scalar(field) if field.message_type is None else self._message(field.message_type)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _scalar(field: Any) -> _Turn | None:
    """None for what is JSON already."""
    if field.enum_type is not None:
        names = {n: v.name for n, v in field.enum_type.values_by_number.items()}
        # A number without a name stays readable as one, in a column of texts.
        return lambda number: names.get(number) or str(number)
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return _finite
    return _sound_text if field.type == field.TYPE_STRING else None


def _finite(number: float) -> float:
    if number - number:  # of NaN and infinities no zero
        raise ValueError("a number that JSON does not have")
    return number


def _sound_text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError("text that is not UTF-8")
    return text


def _bool_text(key: bool) -> str:
    return "true" if key else "false"


def _canonical(message: Any) -> str:
    text: str = message.ToJsonString()
    return text


def _struct(message: Any) -> dict[str, Any]:
    return {key: _value(message.fields[key]) for key in message.fields}


def _list(message: Any) -> list[Any]:
    return [_value(one) for one in message.values]


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    held = getattr(message, kind)
    turn = {"struct_value": _struct, "list_value": _list, "number_value": _finite}.get(kind)
    return turn(held) if turn else held


_STRUCTS: dict[str, _Turn] = {
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": _list,
}


def _path(data: bytes) -> tuple[tuple[int, ...], int]:
    """Raises: ValueError."""
    count, at = _number(data, 0)
    if not 0 < count <= len(data):
        raise ValueError("no path of a message")
    path = []
    for _ in range(count):
        index, at = _number(data, at)
        if index < 0:
            raise ValueError("no path of a message")
        path.append(index)
    return tuple(path), at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """In zigzag."""
    found = shift = 0
    while at < len(data) and shift < 35:
        byte = data[at]
        found |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return (found >> 1) ^ -(found & 1), at
    raise ValueError("no path of a message")
