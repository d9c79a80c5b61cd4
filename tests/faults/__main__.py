"""The whole grid of faults on real parts: `python -m tests.faults` (`make chaos-faults`).

`--part` is s3 (dump, load and cleaner), calls (of the object store alone), dead (endpoints), disk,
metastore or postgres (with LAKE_TEST_POSTGRES_URL); `--results FILE` keeps results as lines of
JSON and runs only what is not in it; `--write` puts the table into docs/reliability-faults.md.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lake_platform.errors import MetastoreUnavailableError
from tests.contract.seaweed import running_s3
from tests.contract.test_metastore import POSTGRES, postgres_schema
from tests.faults import calls, database, dead, disk, s3
from tests.faults.kinds import GRID
from tests.faults.life import MODES, PHASES
from tests.faults.report import Result, read_results, summary, table, write_page

_REPO = Path(__file__).parents[2]
_HANG_SECONDS = 300.0
_MOST_PAGES = 8  # enough for any of the phases
PARTS = ("calls", "s3", "dead", "disk", "metastore", "postgres")


@dataclass(frozen=True)
class Trial:
    """`act` gives what surfaced, or None when there is no such request or call (any more)."""

    part: str
    group: str
    cell: str
    act: Callable[[], str | None]


def main() -> int:
    options = _options()
    known = {(r.part, r.cell) for r in read_results(options.results) if r.passed}
    with tempfile.TemporaryDirectory(prefix="lake-faults-") as folder:
        for trial in trials(options.part, Path(folder)):
            if (trial.part, trial.cell) in known or not (result := run(trial)):
                continue
            print(result, flush=True)
            result.append_to(options.results)
    results = read_results(options.results)
    print(f"{table(results)}\n{summary(results)}")
    if options.write:
        write_page(_REPO / "docs" / "reliability-faults.md", results)
    return 0 if all(r.passed for r in results) else 1


def run(trial: Trial) -> Result | None:
    """None when there was nothing to run."""
    began, error, problem = time.monotonic(), "", ""
    faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True)
    try:
        surfaced = trial.act()
        if surfaced is None:
            return None
        error = surfaced
    except Exception as caught:  # a cell that fails must not end the grid
        problem = f"{type(caught).__name__}: {caught}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = round(time.monotonic() - began, 2)
    return Result(trial.part, trial.group, trial.cell, error, problem, seconds)


def trials(parts: list[str], folder: Path) -> Iterator[Trial]:
    homes = (folder / str(number) for number in itertools.count())
    if {"calls", "s3"} & set(parts):
        with _site(folder / "seaweed") as site:
            if "calls" in parts:
                yield from _calls(site)
            if "s3" in parts:
                yield from _phases(site, homes)
    if "dead" in parts:
        yield from _dead()
    if "disk" in parts and disk.can_mount():
        yield from _disk()
    if "metastore" in parts:
        yield from _metastore(homes)
    if "postgres" in parts and POSTGRES:
        yield from _postgres(homes)


@contextmanager
def _site(home: Path) -> Iterator[s3.Site]:
    home.mkdir()
    with running_s3(home) as running, s3.open_site(*running) as site, s3.short_waits():
        yield site


def _calls(site: s3.Site) -> Iterator[Trial]:
    def act(cell: calls.CallCell) -> str | None:
        outcome = calls.run_call(cell, site)
        return outcome.error if outcome else None

    for cell in calls.cells():
        yield Trial("one call", cell.kind.name, str(cell), partial(act, cell))


def _phases(site: s3.Site, homes: Iterator[Path]) -> Iterator[Trial]:
    def act(cell: s3.Cell) -> str | None:
        outcome = s3.run(cell, site, next(homes))
        return outcome.error if outcome.hit else None

    for phase, mode, kind in itertools.product(PHASES, MODES, GRID):
        total = s3.requests_of(site, next(homes), phase, mode, kind)
        for first, count in itertools.product(range(1, total + 1), s3.bursts(kind)):
            cell = s3.Cell(phase, mode, kind, first, count)
            yield Trial(phase, kind.name, str(cell), partial(act, cell))


def _dead() -> Iterator[Trial]:
    def act(how: str) -> str:
        death = dead.measure(how)
        return f"StorageUnavailableError, the slowest call ({death.call}) after {death.seconds} s"

    for how in dead.DEATHS:
        yield Trial("endpoint", how, how, partial(act, how))


def _disk() -> Iterator[Trial]:
    def act(place: str, phase: str, mode: str, pages: int) -> str:
        (full,) = disk.in_small_disk(place, phase, mode, pages)
        return full.error and disk.EXPECTED[place].__name__

    for place, phase, mode in itertools.product(disk.PLACES, PHASES, MODES):
        for pages in range(_MOST_PAGES):
            cell = f"{place} {phase} {mode}, {pages} pages left"
            group = f"full under the {place}"
            yield Trial(f"disk, {phase}", group, cell, partial(act, place, phase, mode, pages))


def _metastore(homes: Iterator[Path]) -> Iterator[Trial]:
    def act(phase: str, mode: str, how: str, at: int) -> str:
        return _named(database.run(next(homes), phase, mode, how, at)[0])

    for how, phase, mode in itertools.product(database.OUTAGES, PHASES, MODES):
        _, calls_made = database.run(next(homes), phase, mode, how, database.NEVER)
        for at in range(1, calls_made + 1):
            cell = f"{how}: {phase} {mode} at call {at}"
            yield Trial(f"metastore, {phase}", how, cell, partial(act, phase, mode, how, at))


def _postgres(homes: Iterator[Path]) -> Iterator[Trial]:
    def killed(phase: str, mode: str, at: int) -> tuple[str, int]:
        with contextmanager(postgres_schema)() as url:
            return database.run_killed(url, next(homes), phase, mode, at)

    def act(phase: str, mode: str, at: int) -> str:
        return _named(killed(phase, mode, at)[0])

    for phase, mode in itertools.product(PHASES, MODES):
        for at in range(1, killed(phase, mode, database.NEVER)[1] + 1):
            cell = f"{phase} {mode} at statement or commit {at}"
            group = "connections ended by the server"
            yield Trial(f"PostgreSQL, {phase}", group, cell, partial(act, phase, mode, at))


def _named(error: str) -> str:
    return MetastoreUnavailableError.__name__ if error else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--results", default=_REPO / ".lake" / "faults.jsonl", type=Path)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    # Who stops us must not leave an S3 server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
