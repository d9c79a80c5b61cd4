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


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head."""
    return "\n".join(map(_row, [rows[0], ["---"] * len(rows[0]), *rows[1:]]))


def put_between(page: Path, part: str, body: str) -> None:
    """Replaces what is between `<!-- part: begin -->` and `<!-- part: end -->`."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}")
