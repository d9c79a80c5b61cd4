"""Compaction under its claim: it shares nothing with a load, and whoever dies in it is fenced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.batches import Claim
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import BatchClaimedError, CommitRaceError, EngineError
from lake_platform.load import claims
from lake_platform.maintain.compaction import Compacted, compact_table
from tests.support import Fault, Lab


class Logged:
    """The engine in memory with log files: one a commit, none after a compaction."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._inner = lab, lab.engine
        self.compacted_at = 0
        self.epochs: list[int] = []
        self.during: Any = lambda: None
        self.young_heartbeat = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def uncompacted(self, dataset: Dataset) -> int:
        return self._inner.state(dataset).applied - self.compacted_at

    def compact(self, dataset: Dataset, claim: Claim) -> bool:
        self.epochs.append(claim.epoch)
        self.during()
        if self.young_heartbeat:
            return False
        self.compacted_at = self._inner.state(dataset).applied
        return True


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.engine = Logged(lab)
    lab.register(mode="upsert", primary_key=("id",))
    yield lab
    lab.close()


def engine(lab: Lab) -> Logged:
    assert isinstance(lab.engine, Logged)
    return lab.engine


def load(lab: Lab, batches: int) -> None:
    for number in range(batches):
        lab.send({"id": number, "v": number}, key=str(number))
        lab.cycle()


def compact(lab: Lab, after: int = 2) -> Compacted | None:
    return compact_table("t", lab.ports(), lab.limits, after)


def test_it_waits_for_so_many_commits_and_then_claims(lab: Lab) -> None:
    assert compact(lab) is None
    load(lab, 1)
    assert compact(lab) is None
    load(lab, 1)
    assert compact(lab) == Compacted("t", 2)
    assert engine(lab).epochs == [3]  # behind the claims of both batches
    assert compact(lab) is None
    load(lab, 3)
    assert compact(lab) == Compacted("t", 3)
    lab.account()


def test_a_retired_table_is_left_alone(lab: Lab) -> None:
    load(lab, 2)
    lab.metastore.retire("t", "test")
    assert compact(lab) is None


def test_no_load_begins_while_it_runs(lab: Lab) -> None:
    load(lab, 2)
    lab.send({"id": 9, "v": 9}, key="9")
    lab.dump()

    def load_beside() -> None:
        compactor = lab.workers.current
        lab.workers.current = type(compactor)("here", compactor.pid + 1, 0.0)
        with pytest.raises(BatchClaimedError):
            lab.load()
        lab.workers.current = compactor

    engine(lab).during = load_beside
    assert compact(lab) == Compacted("t", 2)
    assert len(lab.load()) == 1
    lab.account()


def test_a_load_that_runs_is_not_disturbed(lab: Lab) -> None:
    load(lab, 2)
    claims.take("t", lab.ports(), batch := _batch(lab), 2, replay=False)
    loader = lab.workers.current
    lab.workers.current = type(loader)("here", loader.pid + 1, 0.0)
    found = compact(lab)
    assert found is not None and "process" in found.put_off, batch
    assert engine(lab).epochs == []


def test_a_batch_that_a_dead_writer_left_comes_first(lab: Lab) -> None:
    load(lab, 2)
    claims.take("t", lab.ports(), _batch(lab), 2, replay=False)
    lab.workers.crash()
    found = compact(lab)
    assert found is not None and "left unfinished" in found.put_off
    load(lab, 1)
    assert compact(lab) == Compacted("t", 4)
    lab.account()


@pytest.mark.parametrize("error", [Fault("killed here"), EngineError("no disk")], ids=repr)
def test_who_dies_or_fails_in_it_is_fenced_and_it_is_done_again(lab: Lab, error: Exception) -> None:
    load(lab, 2)

    def fail() -> None:
        raise error

    engine(lab).during = fail
    with pytest.raises(type(error)):
        compact(lab)
    engine(lab).during = lambda: None
    lab.workers.crash()
    fenced: list[int] = []
    engine(lab).fence = lambda _, epoch: fenced.append(epoch)  # type: ignore[attr-defined]
    assert compact(lab) == Compacted("t", 2)
    assert (fenced, engine(lab).epochs) == ([3], [3, 4])
    load(lab, 1)
    lab.account()


def test_a_load_finds_a_dead_compaction_and_goes_on(lab: Lab) -> None:
    load(lab, 2)

    def die() -> None:
        raise Fault("killed here")

    engine(lab).during = die
    with pytest.raises(Fault):
        compact(lab)
    lab.workers.crash()
    assert lab.load() == []  # nothing new, and the claim is settled
    assert claims.abandoned("t", lab.ports(), lab.limits) is None
    load(lab, 1)
    lab.account()


def test_what_waits_for_a_heartbeat_is_told_and_tried_again(lab: Lab) -> None:
    load(lab, 2)
    engine(lab).young_heartbeat = True
    found = compact(lab)
    assert found is not None and "is waited for" in found.put_off
    engine(lab).young_heartbeat = False
    assert compact(lab) == Compacted("t", 2)


def test_a_table_written_since_it_was_looked_at_is_not_compacted(lab: Lab) -> None:
    """The zombie of a failed compaction is fenced too late: its commit came in between."""
    load(lab, 2)

    def fail() -> None:
        raise EngineError("no disk")

    engine(lab).during = fail
    with pytest.raises(EngineError):
        compact(lab)
    inner = engine(lab)._inner
    states = iter([inner.state(lab.dataset()), "another"])
    engine(lab).state = lambda _: next(states)  # type: ignore[attr-defined]
    with pytest.raises(CommitRaceError, match="compact again"):
        compact(lab)


def _batch(lab: Lab) -> Any:
    from lake_platform.domain.batches import BatchRange

    lab.send({"id": 7, "v": 7}, key="7")
    lab.dump()
    return BatchRange(3, 3)
