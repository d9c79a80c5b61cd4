"""The simulation sees: each known way to break the protocol is found."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.sampling import sampled
from tests.simulation.breakages import BREAKAGES, breakage
from tests.simulation.check import broken
from tests.simulation.draw import draw
from tests.simulation.interleave import by_name, interleavings
from tests.simulation.plan import Schedule

pytestmark = pytest.mark.timeout(900)  # a breakage may be seen late; machines are shared
_WITHIN = 6_000
# Two writers must stand at one certain call each: for these all interleavings are looked through.
_RARE = {
    "checkpoint_of_a_replay_not_compared": "phase 2: load, replay",
    "replay_stops_before_the_delete": "phase 2: replay, load in an upsert table",
}
_SOON = (  # seen within a few schedules
    "commit_before_the_objects", "no_fence", "no_look_behind_the_fence", "stale_commits_read",
    "missing_offsets_skipped", "statistics_not_caught_up",
)  # fmt: skip


@pytest.mark.parametrize("name", sampled(sorted(BREAKAGES), *_SOON))
def test_is_found(name: str) -> None:
    if name in _RARE:
        schedules: Iterable[Schedule] = interleavings(by_name(_RARE[name]))
    else:
        schedules = map(draw, range(_WITHIN))
    with breakage(name):
        found = next((s for s in schedules if broken(s)), None)
    assert found is not None
    assert not broken(found), "it was the breakage that broke it"


def test_breakages_are_undone() -> None:
    for name in BREAKAGES:
        with breakage(name):
            pass
    assert not any(broken(draw(seed)) for seed in range(20))
