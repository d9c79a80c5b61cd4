"""500 schedules of every `make test`; `make chaos-schedules` runs 20,000."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulation.check import broken
from tests.simulation.draw import draw
from tests.simulation.interleave import CASES, by_name, interleavings
from tests.simulation.plan import Engine, Produce, Run, Schedule, Setting, Tick
from tests.simulation.report import table
from tests.simulation.shrink import shortest
from tests.simulation.world import Hits

_SCHEDULES = 500


def test_every_schedule_closes_its_account() -> None:
    hits = Hits()
    found = {seed: why for seed in range(_SCHEDULES) if (why := broken(draw(seed), hits))}
    assert found == {}, "python -m tests.simulation --seed N shows one and shrinks it"
    shown = table(hits)
    for fault in ("stand", "kill", "kill-after", "fail", "lost", "cut", "sleep", "nap"):
        assert sum(n for (kind, _), n in hits.items() if kind == fault) > 5, shown
    assert all(hits["step", work] > 5 for work in ("read", "read kill", "read stand", "reread"))
    killed_at = {call for (kind, call), n in hits.items() if kind == "kill"}
    assert {"store.put", "store.put_new", "store.get", "metastore.update_progress"} <= killed_at


def test_a_seed_replays_exactly() -> None:
    for seed in range(40):
        first, second = Hits(), Hits()
        assert draw(seed) == draw(seed)
        assert broken(draw(seed), first) == broken(draw(seed), second)
        assert first == second


def test_a_schedule_that_breaks_shrinks_to_what_breaks_it() -> None:
    breaking = Run("w9", "load", 3, "kill")
    rows = Produce((("value", 0), ("bad", 1), ("value", 2)))
    steps = (Tick(1), rows, Run("w1", "dump"), Tick(16), breaking, rows, Run("w2", "load"))

    def fails(schedule: Schedule) -> bool:
        kinds = [k for s in schedule.steps if isinstance(s, Produce) for k, _ in s.records]
        return breaking in schedule.steps and "bad" in kinds

    found = shortest(Schedule(Setting(), steps), fails)
    assert found.steps in {
        (Produce((("bad", 1),)), breaking),
        (breaking, Produce((("bad", 1),))),
    }


def test_a_sleeper_stays_fenced_when_raw_of_its_batch_has_expired() -> None:
    """It is taken for dead before its commit, and wakes after cleaner and retention."""
    value = Produce((("value", 0),))
    setting = Setting(engine="hudi-like", slice_records=1, batch_bytes=1, firm=True)
    hits = Hits()
    for calls in range(12, 36):  # one of them is the last before its commit
        steps = (
            value, Run("w1", "dump"), Run("sleeper", "load", calls, "stand", "dead"),
            value, Run("w2", "dump"), Run("w3", "load", seen="away"),
            Tick(8 * 24 * 60), Run("cleaner", "clean", option=101),
        )  # fmt: skip
        assert broken(Schedule(setting, steps), hits) == "", calls
    assert hits["error", "CommitRaceError"] >= 1, "the sleeper was not stopped by its fence"


@pytest.mark.parametrize("engine", ["memory", "hudi-like"])
def test_who_sleeps_in_a_load_through_a_whole_swap_brings_nothing(engine: Engine) -> None:
    """Wherever it sleeps: between the look at its fence and its commit, too."""
    setting = Setting(engine=engine, slice_records=100, batch_bytes=1, schema_known=True)
    first, more = Produce((("value", 0), ("column", 1))), Produce((("value", 1),))
    for calls in range(60):
        sleeper = Run("s", "load", calls, "stand")
        steps = (first, Run("d", "dump"), sleeper, Run("b", "build"), Run("w", "swap"))
        later = (*steps, more, Run("e", "dump"), Run("l", "load"))
        for tried in (steps, later):
            assert broken(Schedule(setting, tried)) == "", (calls, len(tried))


@pytest.mark.deep
def test_swaps_interleaved() -> None:
    """Every 20th here, all of them in `make chaos-schedules`."""
    _all_hold("phase 2: load, swap", 500, each=20)
    _all_hold("phase 2: load, swap on a Hudi-like table", 500, each=20)


@pytest.mark.deep
def test_two_dumps_in_every_interleaving() -> None:
    _all_hold("phase 1: dump, dump", 1_900)


def test_a_dump_and_the_cleaner_in_every_interleaving() -> None:
    _all_hold("phase 1 and cleaner", 390)


@pytest.mark.deep
def test_a_load_and_a_replay_in_every_interleaving() -> None:
    _all_hold("phase 2: load, replay", 3_500)


@pytest.mark.deep
def test_two_loads_interleaved() -> None:
    """Every 4th here, all of them in `make chaos-schedules`."""
    _all_hold("phase 2: load, load", 2_000, each=4)


def test_the_cases_are_named_once() -> None:
    assert len({c.name for c in CASES}) == len(CASES)


def _all_hold(name: str, at_least: int, each: int = 1) -> None:
    explored = 0
    for schedule in islice(interleavings(by_name(name)), 0, None, each):
        explored += 1
        why = broken(schedule)
        assert not why, f"{why}\n{schedule}"
    assert explored >= at_least
