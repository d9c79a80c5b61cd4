"""A schema registry in memory."""

from __future__ import annotations

import json
from typing import Any

from lake_platform.domain.registry import Declared, SchemaKind, Unwrap


class MemoryRegistry:
    def __init__(self) -> None:
        self._schemas: dict[int, Declared] = {}
        self._subjects: dict[str, int] = {}

    def register(self, subject: str, schema: Any, kind: SchemaKind = "avro") -> int:
        """Returns the id, which is the same for the same schema."""
        text = json.dumps(schema)
        known = (n for n, d in self._schemas.items() if (d.kind, d.text) == (kind, text))
        number = next(known, len(self._schemas) + 1)
        self._schemas[number] = Declared(number, kind, text)
        self._subjects[subject] = number
        return number

    def latest(self, subject: str) -> Declared | None:
        return self._schemas.get(self._subjects.get(subject, 0))

    def unwrap(self, value_format: str) -> Unwrap:
        from lake_platform.adapters.registry.unwrapping import Unwrapper

        return Unwrapper(self._schemas.get, value_format)
