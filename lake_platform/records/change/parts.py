"""Pieces of a JSON document, byte for byte."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lake_platform.domain.schema import MAX_DIGITS

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
"""Of JSON."""
_PADDED = re.compile(r"^(-?)0+(?=\d)", re.ASCII)
_MOST_DIGITS = 300
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


def number_of(text: str) -> bytes | None:
    """The text as a number of JSON that a double has; zeros in front are none of it."""
    found = _PADDED.sub(r"\1", text)
    if len(found) > _MOST_DIGITS or not NUMBER.fullmatch(found) or math.isinf(float(found)):
        return None
    return found.encode()


def decimal_of(precision: int, scale: int) -> str:
    """The column of such numbers: text where no decimal has so many digits."""
    fits = 0 <= scale <= precision <= MAX_DIGITS
    return f"decimal({precision},{scale})" if fits else "string"


def whole(value: Any) -> int | None:
    """Of a number, or a text of one."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
