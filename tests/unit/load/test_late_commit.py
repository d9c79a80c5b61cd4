"""What a load does when the table says that a zombie committed a batch late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.domain.batches import BatchJob, BatchRange, Claim, TableState
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import lock_prefix
from lake_platform.domain.ports import TableEngine
from tests.support import Fault, Faulty, Trap
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

LATE = "20261101000000000"


class DoubledEngine:
    """Says that the second batch was committed late, until a batch makes that good or it is taken
    out."""

    def __init__(self, inner: TableEngine) -> None:
        self._inner = inner
        self.jobs: list[BatchJob] = []
        self.undone: list[tuple[Dataset, TableState, Claim]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def state(self, dataset: Dataset) -> TableState:
        state = self._inner.state(dataset)
        if state.last is None or self.undone or any(LATE in job.undone for job in self.jobs):
            return state
        late = replace(state.last, batch=BatchRange(2, 2), epoch=2, instant=LATE)
        return replace(state, doubled=(late,))

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        self.undone.append((dataset, state, claim))

    def write(self, job: BatchJob) -> Any:
        self.jobs.append(job)
        return self._inner.write(job)


def test_an_upsert_table_gets_all_since_the_late_batch_again(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.register(mode="upsert", primary_key=("id",))
    for number in range(3):
        lab.send({"id": number, "name": "x"}, key=str(number))
        lab.cycle()
    lab.send({"id": 1, "name": "y"}, key="1")
    engine = DoubledEngine(lab.engine)
    lab.cycle(engine=engine)
    healing, usual = engine.jobs
    assert (healing.batch, healing.replay, healing.undone) == (BatchRange(2, 3), True, (LATE,))
    assert healing.applied == 3
    assert (usual.batch, usual.replay, usual.undone) == (BatchRange(4, 4), False, ())
    lab.account()


def test_from_an_append_table_the_late_batch_is_taken_out_under_a_claim(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.register()
    for number in range(3):
        lab.send({"id": number})
        lab.cycle()
    lab.send({"id": 3})
    engine = DoubledEngine(lab.engine)
    lab.cycle(engine=engine)
    ((dataset, state, claim),) = engine.undone
    assert dataset == lab.dataset()
    assert [d.instant for d in state.doubled] == [LATE]
    assert (claim.epoch, claim.batch, claim.replay) == (4, BatchRange(2, 2), True)
    assert claim.worker == lab.workers.current
    (usual,) = engine.jobs
    assert (usual.batch, usual.claim.epoch, usual.undone) == (BatchRange(4, 4), 5, ())
    lab.account()


def test_who_was_left_behind_is_fenced_before_the_late_batch_is_taken_out(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    lab.register()
    lab.send({"id": 0})
    lab.cycle()
    lab.send({"id": 1})
    lab.dump()
    with pytest.raises(Fault):
        lab.load(engine=Faulty(Trap(1, frozenset(["write"])), lab.engine))
    lab.workers.crash()
    engine = DoubledEngine(lab.engine)
    lab.load(engine=engine)
    ((_, _, claim),) = engine.undone
    assert claim.epoch == 3
    assert lab.store.head(f"{lock_prefix('t', 2)}fenced") is not None
