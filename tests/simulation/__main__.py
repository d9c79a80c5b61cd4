"""`python -m tests.simulation`: many schedules, or one seed with its schedule and shortest form."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

import structlog

from tests.simulation.check import broken
from tests.simulation.draw import draw
from tests.simulation.interleave import CASES, interleavings
from tests.simulation.plan import Engine
from tests.simulation.report import table
from tests.simulation.shrink import shortest
from tests.simulation.world import Hits

_ENGINES: Sequence[Engine] = ("memory", "hudi-like")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print its schedule")
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--engine", choices=_ENGINES, help="this one instead of the seed's choice")
    parser.add_argument(
        "--interleavings",
        action="store_true",
        help="all of two writers, at most 2 switches, 1 kill",
    )
    given = parser.parse_args(arguments)
    # Faults are what a schedule is made of: no warnings about them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.interleavings:
        return _interleavings()
    if given.seed is not None:
        return _one(given.seed, given.engine)
    return _many(given.first, given.schedules, given.engine)


def _one(seed: int, engine: Engine | None) -> int:
    schedule = draw(seed, engine)
    print(f"seed {seed}: {schedule}")
    why = broken(schedule)
    if not why:
        print("holds")
        return 0
    print(f"BROKEN: {why}\nshortest schedule that breaks:\n{shortest(schedule)}")
    return 1


def _many(first: int, count: int, engine: Engine | None) -> int:
    hits = Hits()
    began = shown = time.monotonic()
    cpu = time.process_time()
    failed: list[int] = []
    for n in range(count):
        if why := broken(draw(first + n, engine), hits):
            print(f"seed {first + n}: {why}")
            failed.append(first + n)
        now = time.monotonic()
        if now - shown > 5:
            shown = now
            print(f"{n + 1} of {count}, {(n + 1) / (now - began):.0f} a second", flush=True)
    seconds = time.monotonic() - began
    print(table(hits))
    cpu_rate = count / (time.process_time() - cpu)
    print(
        f"{count} schedules, {len(failed)} broken, {count / seconds:.0f} a second, "
        f"{cpu_rate:.0f} a CPU second"
    )
    if failed:
        extra = f" --engine {engine}" if engine else ""
        print(f"again: python -m tests.simulation --seed {failed[0]}{extra}")
    return 1 if failed else 0


def _interleavings() -> int:
    failed = 0
    for case in CASES:
        count = 0
        for schedule in interleavings(case, deep=case.name.startswith("phase 1")):
            count += 1
            if why := broken(schedule):
                failed += 1
                print(f"{why}\n{schedule}")
        print(f"{case.name}: {count} interleavings", flush=True)
    print(f"{failed} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
