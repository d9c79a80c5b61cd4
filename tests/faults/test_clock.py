"""A machine whose clock is an hour off, beside one whose clock is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import BatchJob, Worker, WriteResult
from lake_platform.domain.progress import lag_seconds
from lake_platform.domain.windows import window_of
from lake_platform.errors import BatchClaimedError, CommitRaceError, LakeError
from lake_platform.raw import log as raw_log
from tests.faults.clear import check_clear
from tests.faults.life import MODES, PHASES, Life
from tests.support import HOUR_MS, FakeWorkers

LEASE_MS = 900_000
# A little more than an hour, too: then even records of now are beyond what its clock believes.
SKEWS = (HOUR_MS, -HOUR_MS, HOUR_MS + 300_000, -HOUR_MS - 300_000)
MOST_LOOKS = 40


@pytest.fixture(params=MODES)
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    store = open_store("memory:///")
    life = Life(tmp_path, request.param, store, store)
    yield life
    life.lab.close()


@dataclass
class SkewedClock:
    """Right until it was looked at `after` times, then `skew_ms` off."""

    life: Life
    skew_ms: int
    after: int = 0
    looks: int = 0

    def __call__(self) -> int:
        self.looks += 1
        return self.life.lab.now_ms + (self.skew_ms if self.looks > self.after else 0)


@pytest.mark.parametrize("skew_ms", SKEWS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_writer_whose_clock_is_off_all_the_time(life: Life, phase: str, skew_ms: int) -> None:
    life.prepare(phase)
    life.act(phase, clock=SkewedClock(life, skew_ms))
    life.recover(phase, another=True)
    life.account()


@pytest.mark.slow
@pytest.mark.parametrize("skew_ms", SKEWS[2:])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_is_set_in_the_middle(
    tmp_path: Path, mode: str, phase: str, skew_ms: int
) -> None:
    for after in range(1, MOST_LOOKS):
        home, store = tmp_path / str(after), open_store("memory:///")
        home.mkdir()
        life = Life(home, mode, store, store)
        life.prepare(phase)
        clock = SkewedClock(life, skew_ms, after)
        try:
            life.act(phase, clock=clock)
        except LakeError as error:
            check_clear(error)
        life.recover(phase, another=False)
        life.account()
        life.lab.close()
        if clock.looks <= after:
            break
    else:
        pytest.fail(f"a {phase} looks at the clock more than {MOST_LOOKS} times")


@pytest.mark.parametrize("skew_ms", SKEWS)
def test_records_are_filed_by_their_own_time(life: Life, skew_ms: int) -> None:
    """But those that lie more than an hour ahead of the writer's clock: under its own hour."""
    life.lab.dump(clock=SkewedClock(life, skew_ms))
    (commit,) = raw_log.commits_after(life.sound, "t", 0)
    latest = life.lab.now_ms + skew_ms + HOUR_MS
    ahead = [r for r in life.lab.sent["t"] if r.timestamp > latest]
    assert commit.misfiled == len(ahead)
    assert bool(ahead) == (skew_ms < -HOUR_MS)
    expected = {window_of(r.timestamp) for r in life.lab.sent["t"] if r.timestamp <= latest}
    expected |= {window_of(life.lab.now_ms + skew_ms) for _ in ahead}
    assert set(commit.windows) == expected


@dataclass
class Meanwhile:
    """A writer that stands still right before its commit while `act` happens."""

    inner: Any
    act: Callable[[], object]
    caught: list[LakeError] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, job: BatchJob) -> WriteResult:
        try:
            self.act()
        except LakeError as error:
            self.caught.append(error)
        result: WriteResult = self.inner.write(job)
        return result


def on_another_host(life: Life, skew_ms: int) -> dict[str, Any]:
    """Ports of a writer that the lab's own cannot see, and whose clock is off."""
    workers = FakeWorkers()
    workers.current = Worker("elsewhere", 7, 0.0)
    life.lab.workers.unknown.add(workers.current)
    workers.unknown.add(life.lab.workers.current)
    return {"workers": workers, "clock": SkewedClock(life, skew_ms)}


def test_a_claim_of_a_slow_clock_looks_old_and_is_taken_over(life: Life) -> None:
    """A living writer is taken for dead. Nothing of it is in the table, so nothing is doubled."""
    life.prepare("load")
    standing = Meanwhile(MemoryEngine(life.store), life.lab.load)
    with pytest.raises(CommitRaceError) as refused:
        life.lab.load(engine=standing, **on_another_host(life, -HOUR_MS))
    check_clear(refused.value)
    assert standing.caught == []
    life.recover("load", another=False)
    life.account()


def test_a_claim_of_a_fast_clock_is_held_an_hour_longer(life: Life) -> None:
    life.prepare("load")
    standing = Meanwhile(MemoryEngine(life.store), die)
    ports = on_another_host(life, HOUR_MS)
    with pytest.raises(KeyboardInterrupt):
        life.lab.load(engine=standing, **ports)
    life.lab.now_ms += HOUR_MS + LEASE_MS
    with pytest.raises(BatchClaimedError) as held:
        life.lab.load()
    check_clear(held.value)
    life.lab.now_ms += 1
    life.recover("load", another=False)
    life.account()


def die() -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("skew_ms", SKEWS)
def test_two_dumps_and_a_cleaner_of_two_clocks(life: Life, skew_ms: int) -> None:
    """What one dump has uploaded and not committed yet is no orphan to a cleaner an hour ahead."""
    life.prepare("dump")
    life.clean(clock=SkewedClock(life, skew_ms))
    life.lab.dump(clock=SkewedClock(life, -skew_ms))
    life.clean(clock=SkewedClock(life, skew_ms))
    life.recover("dump", another=True)
    life.account()


def test_freshness_is_wrong_by_the_error_of_the_clock(life: Life) -> None:
    """What does not hold: a table that stands still shows no lag until the hour is over."""
    lab = life.lab
    lab.cycle(clock=SkewedClock(life, HOUR_MS))
    record = lab.metastore.get("t")
    lab.now_ms += HOUR_MS
    assert lag_seconds(record, lab.metastore.progress("t"), lab.now_ms) == 0
    lab.now_ms += 60_000
    assert lag_seconds(record, lab.metastore.progress("t"), lab.now_ms) == 60
    life.account()
