"""The kill matrix on a real broker, Spark and Hudi: `python -m tests.kills` (`make chaos-kills`).

`--only TEXT` takes the points with it in their name, `--kind`, `--style`, `--times` likewise;
`--part` is the matrix or the duels (zombies and doubles); `--results FILE` keeps results as lines
of JSON and runs only what is not in it; `--write` puts the tables into docs/reliability-kills.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lake_platform.embedded import java
from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from tests.kills.cells import Cell, Chain
from tests.kills.duels import DUELS, fight
from tests.kills.points import ALL, POINTS, SMALL, STYLES
from tests.kills.report import (
    Fight,
    Result,
    read_fights,
    read_results,
    summary,
    write_page,
)
from tests.kills.table import Site

_REPO = Path(__file__).parents[2]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="lake-kills-") as folder, _site(Path(folder)) as site:
        if "matrix" in options.part:
            run_matrix(site, options)
        if "duels" in options.part:
            run_duels(site, options)
    results, fights = read_results(options.results), read_fights(options.results)
    print(summary(results))
    print(f"{len(fights)} duels, {sum(not f.passed for f in fights)} failed")
    if options.write:
        write_page(_REPO / "docs" / "reliability-kills.md", results, fights)
    passed = [*(r.passed for r in results), *(f.passed for f in fights)]
    return 0 if all(passed) else 1


def run_matrix(site: Site, options: argparse.Namespace) -> None:
    passed = {r.cell for r in read_results(options.results) if r.passed}
    todo = [c for c in cells(options) if c not in passed]
    for kind in options.kind:
        for result in run([c for c in todo if c.kind == kind], kind, site, options):
            result.append_to(options.results)


def run_duels(site: Site, options: argparse.Namespace) -> None:
    passed = {(f.duel, f.kind) for f in read_fights(options.results) if f.passed}
    chosen = [(d, k) for d in DUELS if options.only in d.name for k in d.kinds]
    for duel, kind in chosen:
        if kind in options.kind and (duel.name, kind) not in passed:
            began, seen, problem = time.monotonic(), "", ""
            try:
                seen = fight(duel, kind, site)
            except Exception as error:  # a duel that fails must not end the others
                problem = f"{type(error).__name__}: {error}"
            result = Fight(duel.name, kind, seen, problem, round(time.monotonic() - began, 1))
            print(result, flush=True)
            result.append_to(options.results)


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """In an order that lets one life recover from a kill and go on to the next point."""
    points = [p for p in POINTS if options.only in p.name]
    for style in options.style:
        for times in options.times:
            for point in points:
                for kind in point.kinds:
                    if kind in options.kind and style in point.styles(kind):
                        yield Cell(point, kind, style, times)


def run(todo: list[Cell], kind: str, site: Site, options: argparse.Namespace) -> Iterator[Result]:
    chain = Chain(kind, site)
    deadline = time.monotonic() + options.minutes * 60
    try:
        for number, cell in enumerate(todo, 1):
            if time.monotonic() > deadline:
                print(f"{kind}: time is up, {len(todo) - number + 1} cells were not run")
                break
            result = _timed(chain, cell)
            print(f"{number:3}/{len(todo)}  {result}", flush=True)
            yield result
        chain.finish()
    finally:
        chain.close()


def _timed(chain: Chain, cell: Cell) -> Result:
    began = time.monotonic()
    try:
        chain.run(cell)
        problem = ""
    except Exception as error:  # a cell that fails must not end the matrix
        problem = f"{type(error).__name__}: {error}"
    return Result(cell, problem, round(time.monotonic() - began, 1))


@contextmanager
def _site(folder: Path) -> Iterator[Site]:
    jars = Path(os.environ.get("LAKE_JARS_DIR", _REPO / ".lake" / "jars")).absolute()
    kafka = ensure_jars(jars, ["kafka", "spark"])[0].directory
    home = java.java_home()
    with Broker(folder / "kafka", jars=kafka, java_home=home) as broker:
        yield Site(broker.bootstrap, jars, home, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    kinds = (*ALL, *SMALL)
    parser.add_argument("--kind", nargs="+", default=list(kinds), choices=kinds)
    parser.add_argument("--style", nargs="+", default=list(STYLES), choices=STYLES)
    parser.add_argument("--times", nargs="+", default=[1, 2], type=int, choices=[1, 2])
    parser.add_argument("--part", nargs="+", default=["matrix", "duels"])
    parser.add_argument("--minutes", default=600.0, type=float, help="of one kind of table")
    parser.add_argument("--results", default=_REPO / ".lake" / "kills.jsonl", type=Path)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    # Who stops us must not leave a broker and stopped writers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
