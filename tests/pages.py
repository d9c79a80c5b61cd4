"""Results of real runs in the documentation: what stands between two marks of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def put_between(page: Path, part: str, body: str) -> None:
    """Replaces what is between `<!-- part: begin -->` and `<!-- part: end -->`."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}")


def row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
