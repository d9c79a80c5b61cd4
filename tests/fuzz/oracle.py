"""A second opinion on a value, by Python's own json module: nothing of ours, nothing of simdjson's.

The rule, in words: a value is accepted when it is UTF-8, at most 8 MiB, exactly one JSON object
without numbers beyond a double, without lone surrogates, nested at most MAX_DEPTH deep.
"""

from __future__ import annotations

import json
import math
from typing import Any

from lake_platform.domain.quality import MAX_DEPTH, MAX_VALUE_BYTES


class RefusedError(ValueError):
    pass


class Members(list[tuple[str, Any]]):
    """An object as its members, doubled ones too, so it is no array."""


def _number(text: str) -> str:
    if math.isinf(float(text)):
        raise RefusedError(text)
    return text


def _constant(text: str) -> None:
    raise RefusedError(text)


_decoder = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=Members
)


def accepts(value: bytes) -> bool:
    """Whether `value` may stand in a raw line as it is."""
    if len(value) > MAX_VALUE_BYTES:
        return False
    try:
        parsed = _decoder.decode(value.decode())
    except (ValueError, RecursionError):
        return False
    if not isinstance(parsed, Members):
        return False
    if b"\\" in value and _lone_surrogate(parsed):
        return False
    return value.count(b"{") + value.count(b"[") <= MAX_DEPTH or _depth(parsed) <= MAX_DEPTH


def _children(node: Any) -> list[Any]:
    return [v for _, v in node] if isinstance(node, Members) else node


def _depth(parsed: Any) -> int:
    level, depth = [parsed], 0
    while level:
        depth += 1
        level = [c for node in level for c in _children(node) if isinstance(c, list)]
    return depth


def _lone_surrogate(parsed: Any) -> bool:
    level = [parsed]
    while level:
        node = level.pop()
        if isinstance(node, Members):
            level += [part for pair in node for part in pair]
        elif isinstance(node, list):
            level += node
        elif isinstance(node, str):
            try:
                node.encode()
            except UnicodeEncodeError:
                return True
    return False
