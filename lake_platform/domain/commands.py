"""Commands that an error or a preview has for its reader, as a shell takes them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any


def rebuild_command(table: str, changes: Mapping[str, Any]) -> str:
    """`changes` of the definition as a rebuild takes them, `columns.<path>` a hint."""
    given = (f"--change {field_text(name, value)}" for name, value in changes.items())
    return " ".join(["lake rebuild", table, *given])


def field_text(name: str, value: Any) -> str:
    """`name=value`: a text as it is, unless it would be taken for JSON."""
    plain = isinstance(value, str) and not _looks_like_json(value)
    text = value if plain else json.dumps(value, ensure_ascii=False)
    return shlex.quote(f"{name}={text}")


def _looks_like_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
