"""Results of the matrix: kept as lines of JSON, shown as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kills.cells import Cell
from tests.kills.points import ALL, BY_NAME, POINTS, Point

_BEGIN, _END = "<!-- kill matrix: begin -->", "<!-- kill matrix: end -->"
_COLUMNS = [("group", 1), ("group", 2), ("jvm", 1), ("jvm", 2)]


@dataclass(frozen=True)
class Result:
    """`problem` is empty when the point was reached and the account closed."""

    cell: Cell
    problem: str
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        return f"{'ok    ' if self.passed else 'FAILED'} {self.seconds:6.1f} s  {self.cell}" + (
            f"\n{self.problem}" if self.problem else ""
        )

    def append_to(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cell = self.cell
        line = [cell.point.name, cell.kind, cell.style, cell.times, self.problem, self.seconds]
        with path.open("a") as out:
            out.write(json.dumps(line) + "\n")


def read_results(path: Path) -> list[Result]:
    """The newest result of each cell; points that are no more are left out."""
    newest: dict[Cell, Result] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        name, kind, style, times, problem, seconds = json.loads(line)
        if name in BY_NAME:
            cell = Cell(BY_NAME[name], kind, style, times)
            newest[cell] = Result(cell, problem, seconds)
    return list(newest.values())


def summary(results: Sequence[Result]) -> str:
    failed = [r for r in results if not r.passed]
    kills = sum(r.cell.times + bool(r.cell.point.first) for r in results)
    return (
        f"{len({r.cell.point for r in results})} points, {len(results)} cells, {kills} kills, "
        f"{len(failed)} cells failed"
    )


def table(results: Sequence[Result]) -> str:
    by_cell = {r.cell: r for r in results}
    head = ["killed at", *[f"{k}: {s} {t}x" for k in ALL for s, t in _COLUMNS]]
    lines = [_row(head), _row(["---"] * len(head))]
    for point in POINTS:
        marks = [
            _mark(by_cell, point, Cell(point, kind, style, times))
            for kind in ALL
            for style, times in _COLUMNS
        ]
        lines.append(_row([point.name, *marks]))
    return "\n".join(lines)


def write_page(path: Path, results: Sequence[Result]) -> None:
    """Replaces what is between the two marks."""
    text = path.read_text()
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    body = f"\n{summary(results)}.\n\n{table(results)}\n"
    path.write_text(f"{before}{_BEGIN}{body}{_END}{after}")


def _mark(by_cell: dict[Cell, Result], point: Point, cell: Cell) -> str:
    if cell.kind not in point.kinds or (cell.style == "jvm" and not point.jvm_matters):
        return "-"
    result = by_cell.get(cell)
    if result is None:
        return "not run"
    return "ok" if result.passed else "FAILED"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
