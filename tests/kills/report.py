"""Results of matrix and duels: kept as lines of JSON, shown as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kills.cells import Cell
from tests.kills.duels import DUELS
from tests.kills.points import ALL, BY_NAME, POINTS, SMALL, STYLES, Point
from tests.pages import append_line, markdown, put_between, read_lines

_STYLES = [(style, times) for style in STYLES for times in (1, 2)]


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
        cell = self.cell
        line = [cell.point.name, cell.kind, cell.style, cell.times, self.problem, self.seconds]
        append_line(path, line)


@dataclass(frozen=True)
class Fight:
    """How a duel ended: `seen` is what it showed, `problem` is empty when the account closed."""

    duel: str
    kind: str
    seen: str
    problem: str
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        mark = "ok    " if self.passed else "FAILED"
        return f"{mark} {self.seconds:6.1f} s  {self.kind:9}{self.duel}: {self.seen}{self.problem}"

    def append_to(self, path: Path) -> None:
        line = ["duel", self.duel, self.kind, self.seen, self.problem, self.seconds]
        append_line(path, line)


def read_results(path: Path) -> list[Result]:
    """The newest result of each cell; points that are no more are left out."""
    newest: dict[Cell, Result] = {}
    for line in read_lines(path):
        if line[0] in BY_NAME:
            name, kind, style, times, problem, seconds = line
            cell = Cell(BY_NAME[name], kind, style, times)
            newest[cell] = Result(cell, problem, seconds)
    return list(newest.values())


def read_fights(path: Path) -> list[Fight]:
    """The newest of each duel and kind."""
    known = {(d.name, k): d for d in DUELS for k in d.kinds}
    newest: dict[tuple[str, str], Fight] = {}
    for line in read_lines(path):
        if line[0] == "duel" and (line[1], line[2]) in known:
            newest[line[1], line[2]] = Fight(*line[1:])
    return [newest[place] for place in known if place in newest]


def summary(results: Sequence[Result]) -> str:
    failed = [r for r in results if not r.passed]
    kills = sum(r.cell.times + bool(r.cell.point.first) for r in results)
    return (
        f"{len({r.cell.point for r in results})} points, {len(results)} cells, {kills} kills, "
        f"{len(failed)} cells failed"
    )


def table(results: Sequence[Result]) -> str:
    by_cell = {r.cell: r for r in results}
    kinds = (*ALL, *SMALL)
    rows = [[p.name, *(_marks(by_cell, p, k) for k in kinds)] for p in POINTS]
    return markdown([["killed at", *kinds], *rows])


def fight_table(fights: Sequence[Fight]) -> str:
    rows = [[f.duel, f.kind, f.seen, "closes" if f.passed else "FAILED"] for f in fights]
    return markdown([["who meets whom", "table", "what was seen", "account"], *rows])


def write_page(path: Path, results: Sequence[Result], fights: Sequence[Fight]) -> None:
    put_between(path, "kill matrix", f"{summary(results)}.\n\n{table(results)}")
    put_between(path, "duels", fight_table(fights))


def _marks(by_cell: dict[Cell, Result], point: Point, kind: str) -> str:
    """The cells that were run; one that failed says so."""
    if kind not in point.kinds:
        return "-"
    cells = [Cell(point, kind, style, times) for style, times in _STYLES]
    run = [by_cell[c] for c in cells if c in by_cell]
    marks = [f"{r.cell.style} {r.cell.times}x{'' if r.passed else ' FAILED'}" for r in run]
    return ", ".join(marks) or "not run"
