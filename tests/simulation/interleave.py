"""Every interleaving of two writers, two batches each, with at most two switches and one kill.

A switch point is any port call of either. `A[:i] B[:j] A B` for all i, j; with a kill, one of the
two dies where it stands, or (`deep`) at any call after it went on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.patches import no_chance
from tests.simulation.plan import Go, Produce, Run, Schedule, Setting, Step, Tick, Work
from tests.simulation.world import World

_ROWS = Produce((("value", 0), ("value", 1), ("bad", 2), ("column", 3)))
_MORE = Produce((("value", 1), ("tombstone", 0), ("value", 2)))
_DUMP = Run("d", "dump")


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    setting: Setting
    before: tuple[Step, ...]
    first: Work
    second: Work


def _phase_2(name: str, setting: Setting, first: Work, second: Work) -> Case:
    one_applied = (Run("l", "load"),) if "replay" in {first, second} else ()
    before = (_ROWS, _DUMP, *one_applied, _MORE, _DUMP)
    return Case(name, setting, before, first, second)


def _swapped(name: str, setting: Setting, first: Work) -> Case:
    """A table that was rebuilt and waits for its swap, with more to load."""
    before = (_ROWS, _DUMP, Run("l", "load"), Run("n", "build"), _MORE, _DUMP)
    return Case(name, setting, before, first, "swap")


_APPEND = Setting(slice_records=100, batch_bytes=1)
_HUDI = Setting(engine="hudi-like", slice_records=100, batch_bytes=1)
_UPSERT = Setting(mode="upsert", slice_records=100, batch_bytes=1)
_LATE = Setting(evolution="next_batch", slice_records=100, batch_bytes=1)
CASES: tuple[Case, ...] = (
    Case("phase 1: dump, dump", Setting(slice_records=1), (_ROWS, _MORE), "dump", "dump"),
    _phase_2("phase 2: load, load", _APPEND, "load", "load"),
    _phase_2("phase 2: load, load on a Hudi-like table", _HUDI, "load", "load"),
    _phase_2("phase 2: load, replay", _APPEND, "load", "replay"),
    _phase_2("phase 2: load, replay on a Hudi-like table", _HUDI, "load", "replay"),
    Case("phase 2: replay, load in an upsert table", _UPSERT,
         (_ROWS, _DUMP, Run("l", "load"), Tick(61), _MORE, _DUMP, Run("l", "load"),
          Produce((("value", 1),)), _DUMP), "replay", "load"),
    _phase_2("phase 2: load, load, columns one batch later", _LATE, "load", "load"),
    _swapped("phase 2: load, swap", _APPEND, "load"),
    _swapped("phase 2: load, swap on a Hudi-like table", _HUDI, "load"),
    _swapped("phase 2: replay, swap", _APPEND, "replay"),
    _phase_2("phase 2 and cleaner", _APPEND, "load", "clean"),
    Case("phase 1 and cleaner", Setting(slice_records=1), (_ROWS, _DUMP, Run("l", "load"), _MORE),
         "dump", "clean"),
)  # fmt: skip


def interleavings(case: Case, deep: bool = False) -> Iterator[Schedule]:
    longest_a, longest_b = _calls(case, case.first), _calls(case, case.second)
    option = 1 if case.second == "clean" else 0
    for i in range(longest_a + 1):
        a = Run("a", case.first, i, "stand")
        yield _of(case, Run("a", case.first, i, "kill"), Run("b", case.second, option=option))
        for j in range(longest_b + 12):  # b may have more to do when a left something
            b = Run("b", case.second, j, "stand", option=option)
            yield _of(case, a, b, Go("a"), Go("b"))
            yield _of(case, a, Run("b", case.second, j, "kill", option=option), Go("a"))
            for k in range(longest_a - i) if deep else ():
                yield _of(case, a, b, Go("a", k, "kill"), Go("b"))


def by_name(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def _of(case: Case, *steps: Step) -> Schedule:
    return Schedule(case.setting, (*case.before, *steps))


def _calls(case: Case, work: Work) -> int:
    with no_chance():
        world = World(Schedule(case.setting, case.before))
        world.run()
        return world.calls_of(work)
