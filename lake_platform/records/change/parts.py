"""Pieces of a JSON document, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
"""Of JSON."""
Parts = Mapping[str, msgspec.Raw]
object_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
array_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode


def held(parts: Parts, name: str) -> bytes | None:
    """None where it is absent or null."""
    found = parts.get(name)
    if found is None:
        return None
    text = bytes(found)
    return None if text == b"null" else text


def plain(parts: Parts, name: str) -> Any:
    """None where it is absent or null."""
    found = held(parts, name)
    return None if found is None else _any(found)


def row_of(text: bytes | None) -> bytes | None:
    """Raises: ValueError for what is no object."""
    if text is not None and not text.lstrip().startswith(b"{"):
        raise ValueError("a row that is no object")
    return text


def whole(value: Any) -> int | None:
    """Of a number, or a text of one."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
