"""Where a value stands in a record, and how the record writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lake_platform.domain.mapping import Path

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def escaped(key: str) -> str:
    """As a JSON pointer writes it."""
    return key.replace("~", "~0").replace("/", "~1")


class Verbatim:
    """The place of a value: `root.child("a").child(0)`. Nothing is parsed before it is asked for,
    and each container once."""

    __slots__ = ("_each", "_inside", "_parent", "_part")

    def __init__(self, parent: Verbatim | None, part: str | int, *, each: bool = False) -> None:
        self._parent, self._part = parent, part
        self._each = each or not isinstance(part, str)
        self._inside: Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw] | None = None

    def child(self, part: str | int, *, each: bool = False) -> Verbatim:
        """`each`: the part is the key of a map."""
        return Verbatim(self, part, each=each)

    @property
    def text(self) -> str:
        """The value's JSON, byte for byte."""
        return self._raw().decode()

    @property
    def pointer(self) -> str:
        """RFC 6901."""
        if self._parent is None:
            return ""
        return f"{self._parent.pointer}/{escaped(str(self._part))}"

    @property
    def record(self) -> Record:
        assert self._parent is not None  # noqa: S101 - for mypy: the root is a Record
        return self._parent.record

    @property
    def path(self) -> Path:
        """None stands for each element of an array or value of a map."""
        if self._parent is None:
            return ()
        return (*self._parent.path, None if self._each else str(self._part))

    def rescue(self) -> None:
        """Keeps the value in the record's `_rescued`."""
        record, pointer = self.record, self.pointer
        record.rescued[pointer] = self.text
        record.paths.append(self.path)
        for inside in [p for p in record.kept_out if p.startswith(f"{pointer}/")]:
            del record.kept_out[inside]

    def keep_out(self) -> None:
        """As `rescue`, of a value whose key is to have no column."""
        assert self._parent is not None  # noqa: S101 - for mypy: a record has no key
        self.record.kept_out[self.pointer] = self._parent.path, self.text

    def _raw(self) -> bytes:
        assert self._parent is not None  # noqa: S101 - for mypy
        return bytes(self._parent.inside[self._part])

    @property
    def inside(self) -> Any:
        if self._inside is None:
            raw = self._raw()
            self._inside = _object(raw) if raw.lstrip()[:1] == b"{" else _array(raw)
        return self._inside


class Record(Verbatim):
    """The whole value. `rescued`: JSON by pointer of what fits no column; `paths`: where it was;
    `kept_out`: the same of keys that have none, with the path of the object they are in."""

    __slots__ = ("_bytes", "kept_out", "paths", "rescued")

    def __init__(self, value: bytes) -> None:
        super().__init__(None, "")
        self._bytes = value
        self.rescued: dict[str, str] = {}
        self.paths: list[Path] = []
        self.kept_out: dict[str, tuple[Path, str]] = {}

    @property
    def record(self) -> Record:
        return self

    @property
    def rescued_text(self) -> str | None:
        """What the column `_rescued` holds."""
        kept = self.rescued | {p: text for p, (_, text) in self.kept_out.items()}
        if not kept:
            return None
        pairs = (f"{json.dumps(p, ensure_ascii=False)}:{text}" for p, text in kept.items())
        return f"{{{','.join(pairs)}}}"

    def _raw(self) -> bytes:
        return self._bytes
