"""From descriptors of Protobuf to columns."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lake_platform.domain.mapping import Path
from lake_platform.domain.registry import Declared
from lake_platform.domain.schema import JSON, Array, Decimal, Field, Map, Scalar, Struct, Type

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

_LONG, _INT, _TEXT = Scalar("long"), Scalar("int"), Scalar("string")
_UNSIGNED = Decimal(20, 0)  # of 64 bits
# By the numbers that descriptors have for them.
_SCALARS: dict[int, Type] = {
    1: Scalar("double"), 2: Scalar("float"), 3: _LONG, 4: _UNSIGNED, 5: _INT, 6: _UNSIGNED,
    7: _LONG, 8: Scalar("boolean"), 9: _TEXT, 12: Scalar("binary"), 13: _LONG, 14: _TEXT, 15: _INT,
    16: _LONG, 17: _INT, 18: _LONG,
}  # fmt: skip
_OPTIONAL, _REPEATED = 1, 3
_MESSAGES = (10, 11)
_KNOWN: dict[str, Type] = {
    "Timestamp": Scalar("timestamp"), "Duration": _TEXT, "Struct": JSON, "Value": JSON,
    "ListValue": JSON, "DoubleValue": Scalar("double"), "FloatValue": Scalar("float"),
    "Int64Value": _LONG, "UInt64Value": _UNSIGNED, "Int32Value": _INT, "UInt32Value": _LONG,
    "BoolValue": Scalar("boolean"), "StringValue": _TEXT, "BytesValue": Scalar("binary"),
}  # fmt: skip

_KNOWN_NAMES = {f".google.protobuf.{name}" for name in _KNOWN}


class ProtobufColumns:
    def __init__(self, declared: Declared) -> None:
        from google.protobuf.descriptor_pb2 import FileDescriptorSet

        files = FileDescriptorSet.FromString(base64.b64decode(declared.compiled)).file
        self._messages: dict[str, DescriptorProto] = {}
        self._extensions: dict[str, list[tuple[str, FieldDescriptorProto]]] = {}
        self._comments: dict[tuple[str, int], str] = {}
        self._implicit: set[str] = set()
        for file in files:
            before = set(self._messages)
            space = f".{file.package}" if file.package else ""
            self._learn(file, space)
            if file.syntax == "proto3":
                self._implicit |= self._messages.keys() - before
            self._note(file, space)
        self._roots = [n for p in declared.messages or ((0,),) if (n := _named(files[-1:], p))]

    def roots(self) -> Iterator[Type]:
        """Of each message that was read, the first one else."""
        return (self._message(name, ()) for name in self._roots)

    def said(self) -> Iterator[tuple[Path, Any, bool]]:
        """Paths of fields, what is said of each, and whether it always has a value."""
        for name in self._roots:
            yield from self._said(name, (), ())

    def _said(
        self, name: str, path: Path, above: tuple[str, ...]
    ) -> Iterator[tuple[Path, Any, bool]]:
        if name in above or name in _KNOWN_NAMES or name not in self._messages:
            return
        message = self._messages[name]
        for number, field in enumerate(message.field):
            own = (*path, field.name)
            yield own, self._comments.get((name, number)), self._always(field, name)
            inner, deeper = field.type_name, own
            if field.label == _REPEATED:
                deeper = (*own, None)
                held = self._messages.get(inner)
                if held is not None and held.options.map_entry:
                    inner = held.field[1].type_name
            yield from self._said(inner, deeper, (*above, name))

    def _always(self, field: FieldDescriptorProto, name: str) -> bool:
        """Whether absence is a zero, or not allowed."""
        if field.label != _OPTIONAL:
            return True
        free = field.proto3_optional or field.HasField("oneof_index") or field.type in _MESSAGES
        return name in self._implicit and not free

    def _learn(self, holder: Any, name: str) -> None:
        """`holder`: a file or a message."""
        for extension in holder.extension:
            self._extensions.setdefault(extension.extendee, []).append((name, extension))
        inner = holder.nested_type if hasattr(holder, "nested_type") else holder.message_type
        for message in inner:
            self._messages[f"{name}.{message.name}"] = message
            self._learn(message, f"{name}.{message.name}")

    def _note(self, file: Any, space: str) -> None:
        """Comments stand at paths of numbers: 4 a message, 3 one inside, 2 a field."""
        for place in file.source_code_info.location:
            *outer, kind, number = (0, 0, *place.path)[-max(2, len(place.path)) :]
            text = place.leading_comments or place.trailing_comments
            if kind != 2 or not text or outer[::2] != [4, *[3] * (len(outer) // 2 - 1)]:
                continue
            name, held = space, file.message_type
            for step in outer[1::2]:
                name, held = f"{name}.{held[step].name}", held[step].nested_type
            self._comments[name, number] = text

    def _message(self, name: str, above: tuple[str, ...]) -> Type:
        if name in above:
            return JSON  # it contains itself
        if name in _KNOWN_NAMES:
            return _KNOWN[name.rpartition(".")[2]]
        message, below = self._messages[name], (*above, name)
        fields = [Field(f.name, self._field(f, below)) for f in message.field]
        for space, extension in self._extensions.get(name, ()):
            full = f"{space}.{extension.name}".removeprefix(".")
            fields.append(Field(full, self._field(extension, below)))
        return Struct(tuple(fields)) if fields or not above else JSON

    def _field(self, field: FieldDescriptorProto, above: tuple[str, ...]) -> Type:
        message = self._messages.get(field.type_name)
        if message is not None and message.options.map_entry:
            return Map(self._field(message.field[1], above))
        one = _SCALARS.get(field.type) or self._message(field.type_name, above)
        return Array(one) if field.label == _REPEATED else one


def _named(files: Any, path: tuple[int, ...]) -> str | None:
    """The full name of the message at this path; None without one."""
    for file in files:
        name, held = f".{file.package}" if file.package else "", file.message_type
        for index in path:
            if index >= len(held):
                return None
            name, held = f"{name}.{held[index].name}", held[index].nested_type
        return name
    return None
