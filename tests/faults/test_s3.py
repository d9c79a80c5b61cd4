"""A seeded part of the S3 grid, and what it rests on; `python -m tests.faults` runs all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.errors import CommitRaceError, StorageUnavailableError
from lake_platform.raw import log as raw_log
from tests.contract.seaweed import s3_url
from tests.faults import calls, s3
from tests.faults.dead import LONGEST_SECONDS, measure
from tests.faults.kinds import (
    APPLIED_500,
    CONFLICT,
    ERROR_500,
    GRID,
    REPLY_LOST,
    SLOW,
    TRUNCATED,
    Kind,
)
from tests.faults.life import MODES, PHASES
from tests.faults.s3 import Cell, Site

__all__ = ["s3_url"]

pytestmark = [pytest.mark.stack, pytest.mark.slow]
# Fewer requests than any phase makes, so each of the seeded cells meets its fault.
_REQUESTS = {"dump": 7, "load": 25, "clean": 15}
_SEEDED = 21


@pytest.fixture(scope="module")
def site(s3_url: tuple[str, dict[str, str]]) -> Iterator[Site]:
    with s3.open_site(*s3_url) as opened, s3.short_waits():
        yield opened


def seeded_cells() -> list[Cell]:
    draw = random.Random(20_261_125)  # noqa: S311 - the same cells each time
    kinds = [k for k in GRID if k not in {CONFLICT, TRUNCATED, SLOW}]
    return [
        Cell(phase, draw.choice(list(MODES)), kind, draw.randint(1, _REQUESTS[phase]), count)
        for number in range(_SEEDED)
        for phase, kind in [(PHASES[number % 3], kinds[number % len(kinds)])]
        for count in [draw.choice(s3.bursts(kind))]
    ]


@pytest.mark.parametrize("cell", seeded_cells(), ids=str)
def test_a_fault_and_a_retry(cell: Cell, site: Site, tmp_path: Path) -> None:
    assert s3.run(cell, site, tmp_path / "home").hit


@pytest.mark.parametrize("call", calls.CALLS, ids=lambda c: c.name)
@pytest.mark.parametrize("kind", [ERROR_500, REPLY_LOST, TRUNCATED], ids=lambda k: k.name)
def test_a_call_does_what_it_promises(call: calls.Call, kind: Kind, site: Site) -> None:
    met = [calls.run_call(calls.CallCell(call, kind, 1, count), site) for count in s3.BURSTS]
    reads = call.name in {"get", "list", "head"}
    assert all(met) == (reads or kind is not TRUNCATED)


@pytest.mark.parametrize("count", s3.BURSTS[:2])
@pytest.mark.parametrize("kind", [REPLY_LOST, APPLIED_500], ids=lambda k: k.name)
def test_a_commit_that_was_applied_though_the_store_said_no(
    kind: Kind, count: int, site: Site, tmp_path: Path
) -> None:
    """The client's own retry is told "taken" (412), or gives up: the nonce in the log decides."""
    life = site.life(tmp_path / "home", "append")
    life.prepare("dump")
    record = raw_log.commit_key("t", 2)
    with site.proxy.rule(kind, count=count, where=f"^PUT .*{record}") as rule:
        (commit,) = life.lab.dump()
    assert len(rule.hit) == count
    assert commit.seq == 2
    life.recover("dump", another=False)
    life.account()
    life.lab.close()


def test_a_put_that_conflicts_with_one_that_came_to_nothing(site: Site) -> None:
    """409 is not "taken": nobody has the key."""
    faulty, sound = site.stores("conflict")
    with site.proxy.rule(CONFLICT), pytest.raises(StorageUnavailableError, match="came to nothing"):
        faulty.put_new("k", b"x")
    assert sound.head("k") is None
    assert faulty.put_new("k", b"x")
    with site.proxy.rule(CONFLICT):
        assert not faulty.put_new("k", b"y")
    assert sound.get("k") == b"x"


@pytest.mark.parametrize("phase", ["dump", "load"])
@pytest.mark.parametrize("first", [1, 2])
def test_conflicts_in_a_phase(phase: str, first: int, site: Site, tmp_path: Path) -> None:
    cell = Cell(phase, "upsert", CONFLICT, first, 1)
    met = s3.run(cell, site, tmp_path / "home")
    puts = {"dump": 1, "load": 2}[phase]
    assert bool(met.hit) == (first <= puts)
    assert met.error in {"", CommitRaceError.__name__, StorageUnavailableError.__name__}


def test_a_port_that_is_closed_is_an_error_in_seconds() -> None:
    assert measure("connection refused").seconds < LONGEST_SECONDS
