"""How the values of records become columns: one line for each path that records have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rule = Literal[
    "renamed",  # the key is no name of a column
    "alias",  # another spelling of a column
    "wrap",  # a single value where others have an array
    "text",  # a number or boolean where others have text
    "map",  # an object whose keys are data
    "json",  # values of several kinds, kept as they are
    "rescue",  # what does not fit goes to _rescued
    "pending",  # only null, {} or [] so far: no column yet
    "hint",  # the definition says so
]

Path = tuple[str | None, ...]
"""Keys from the record down; None stands for each element of an array or value of a map."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """`column` is the path of the column, as SQL writes it, and `type` its type; both are empty
    while pending. `share`: of the records looked at, 0 to 1. `example` is JSON text, cut."""

    path: Path
    column: str
    type: str
    rules: tuple[Rule, ...]
    reason: str
    share: float
    example: str


def shown(path: Path) -> str:
    """`a."x.y"[].id`: a key that is not plain is quoted as JSON."""
    import json

    text = ""
    for part in path:
        if part is None:
            text += "[]"
        else:
            plain = part.replace("_", "a").isalnum() and part.isascii()
            text += ("." if text else "") + (part if plain else json.dumps(part))
    return text
