"""Results of the fault grid: kept as lines of JSON, shown as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.pages import append_line, markdown, put_between, read_lines

_FIRST = ("one call", "dump", "load", "clean")


@dataclass(frozen=True)
class Result:
    """`group` is the row of the table it is counted in; `error` what surfaced, `problem` why it
    failed: both empty when the fault was not noticed."""

    part: str
    group: str
    cell: str
    error: str
    problem: str
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        mark = "ok    " if self.passed else "FAILED"
        return f"{mark} {self.seconds:6.2f} s  {self.cell}: {self.problem or self.error or 'held'}"

    def append_to(self, path: Path) -> None:
        line = [self.part, self.group, self.cell, self.error, self.problem, self.seconds]
        append_line(path, line)


def read_results(path: Path) -> list[Result]:
    """The newest of each cell."""
    newest = {(line[0], line[2]): Result(*line) for line in read_lines(path)}
    return list(newest.values())


def summary(results: Sequence[Result]) -> str:
    failed = sum(not r.passed for r in results)
    return f"{len(results)} faults put in, {failed} failed"


def table(results: Sequence[Result]) -> str:
    """One row a part and group, the phases first, then in the order they were run."""
    run = list(dict.fromkeys((r.part, r.group) for r in results))
    places = sorted(run, key=lambda place: _FIRST.index(place[0]) if place[0] in _FIRST else 9)
    held = sorted(results, key=lambda r: places.index((r.part, r.group)))
    rows = [
        _row(part, group, list(found))
        for (part, group), found in groupby(held, key=lambda r: (r.part, r.group))
    ]
    head = ["where", "fault", "cells", "not noticed", "error shown", "account", "slowest"]
    return markdown([head, *rows])


def write_page(path: Path, results: Sequence[Result]) -> None:
    put_between(path, "faults", f"{summary(results)}.\n\n{table(results)}")


def _row(part: str, group: str, found: Sequence[Result]) -> list[str]:
    errors = Counter(r.error for r in found if r.error)
    failed = sum(not r.passed for r in found)
    return [
        part,
        group,
        str(len(found)),
        str(sum(not r.error and r.passed for r in found)),
        ", ".join(f"{n} {name}" for name, n in errors.most_common()) or "-",
        f"{failed} FAILED" if failed else "closes",
        f"{max(r.seconds for r in found):.1f} s",
    ]
