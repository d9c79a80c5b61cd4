"""Delta debugging: the shortest list of steps that still breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from tests.simulation.check import broken
from tests.simulation.plan import Go, Kind, Produce, Run, Schedule, Step

T = TypeVar("T")


def shortest(schedule: Schedule, fails: Callable[[Schedule], object] = broken) -> Schedule:
    """Takes out runs of steps, then single records, as long as `fails` still says so."""
    steps = _fewest(list(schedule.steps), lambda s: bool(fails(_with(schedule, s))))
    for n, step in enumerate(steps):
        if isinstance(step, Produce):
            before, after = steps[:n], steps[n + 1 :]

            def still(records: list[tuple[Kind, int]]) -> bool:
                trial = [*before, Produce(tuple(records)), *after]  # noqa: B023 - called at once
                return bool(fails(_with(schedule, trial)))

            steps[n] = Produce(tuple(_fewest(list(step.records), still)))
        elif isinstance(step, Run | Go):
            plain: Step = replace(step, calls=-1, then="")
            trial = [*steps[:n], plain, *steps[n + 1 :]]
            if plain != step and fails(_with(schedule, trial)):
                steps = trial
    return _with(schedule, steps)


def _with(schedule: Schedule, steps: list[Step]) -> Schedule:
    return replace(schedule, steps=tuple(steps))


def _fewest(items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    size = max(1, len(items) // 2)
    while size:
        start = 0
        while start < len(items):
            fewer = items[:start] + items[start + size :]
            if fails(fewer):
                items = fewer
            else:
                start += size
        size //= 2
    return items
