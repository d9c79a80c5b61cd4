"""Values of records as people see them: JSON text, cut."""

from __future__ import annotations

import json
from collections.abc import Iterator

_EXAMPLE_CHARS = 60


class Real(str):
    """The text of a number with a point or an exponent."""

    __slots__ = ()


def brief(value: object) -> str:
    """The beginning of a parsed value as JSON text."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > _EXAMPLE_CHARS:
            break
    if len(text) > _EXAMPLE_CHARS:
        text = text[: _EXAMPLE_CHARS - 1] + "…"
    return text.encode(errors="backslashreplace").decode()


def _pieces(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield (", " if number else "") + _text(key) + ": "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item)
        yield "]"
    elif isinstance(value, Real):
        yield value
    else:
        yield _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    return json.dumps(text[: _EXAMPLE_CHARS + 1], ensure_ascii=False)
