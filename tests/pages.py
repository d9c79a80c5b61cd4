"""Results of long runs: kept as lines of JSON, put as tables into the pages of docs/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def append_line(path: Path, line: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as out:
        out.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[Any]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head."""
    return "\n".join(map(row, [rows[0], ["---"] * len(rows[0]), *rows[1:]]))


def replaced(text: str, part: str, body: str) -> str:
    """`text` with `body` between the marks of `part`."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}"
