"""Schema registries in memory: of tests, and of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lake_platform.domain.registry import Declared, Registered, SchemaKind, Unwrap, Unwrapped
from lake_platform.errors import InvalidFieldError


class MemoryRegistry:
    def __init__(self) -> None:
        self._schemas: dict[int, Declared] = {}
        self._subjects: dict[str, list[int]] = {}

    def register(
        self,
        subject: str,
        schema: Any,
        kind: SchemaKind = "avro",
        references: tuple[tuple[str, str], ...] = (),
        *,
        level: str = "",
        fits: bool | None = None,
    ) -> int:
        """Returns the id, which is the same for the same schema. Text of Protobuf is text. `level`
        and `fits`: what the registry says of its compatibility."""
        from lake_platform.adapters.registry.unwrapping import readable

        text = schema if kind == "protobuf" else json.dumps(schema)
        known = (n for n, d in self._schemas.items() if (d.kind, d.text) == (kind, text))
        number = next(known, len(self._schemas) + 1)
        versions = self._subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        place = Registered(subject, versions.index(number) + 1, level, fits)
        made = readable(Declared(number, kind, text, references, registered=(place,)))
        self._schemas.setdefault(number, made)
        return number

    def latest(self, subject: str) -> Declared | None:
        return self._schemas.get(self._subjects.get(subject, [0])[-1])

    def unwrap(self, value_format: str) -> Unwrap:
        from lake_platform.adapters.registry.unwrapping import Unwrapper

        return Unwrapper(self._schemas.get, value_format)


class SchemaFiles(MemoryRegistry):
    """For records that are JSON already, as phase 1 makes it of messages: batch by batch the next
    schema is the one that they were written by, the last one for all that follow."""

    def __init__(self, texts: Sequence[str], kind: SchemaKind) -> None:
        super().__init__()
        self._files = [_of_file(n, kind, text) for n, text in enumerate(texts, 1)]
        self._batch = 0

    def turn(self) -> None:
        """Before each batch."""
        self._batch += 1

    @property
    def _now(self) -> Declared:
        return self._files[min(self._batch, len(self._files)) - 1]

    def latest(self, subject: str) -> Declared | None:  # noqa: ARG002 - port
        return self._now

    def unwrap(self, value_format: str) -> Unwrap:  # noqa: ARG002 - port
        return _AsItIs(self._now)


def _of_file(number: int, kind: SchemaKind, text: str) -> Declared:
    """Raises: InvalidFieldError."""
    from lake_platform.adapters.registry.proto_files import compiled

    if kind != "protobuf":
        return Declared(number, kind, text)
    try:
        return Declared(number, kind, text, compiled=compiled(text, ()))
    except ValueError as error:
        raise InvalidFieldError(
            "schema-file", f"number {number}", str(error),
            "give one .proto that imports nothing but google/protobuf and google/type",
        ) from None  # fmt: skip


class _AsItIs:
    def __init__(self, declared: Declared) -> None:
        self._number, self.declared = declared.id, {declared.id: declared}

    def value(self, data: bytes) -> Unwrapped:
        return Unwrapped(data, self._number)

    def key(self, data: bytes | None) -> bytes | None:
        return data
