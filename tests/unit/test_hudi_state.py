"""What a Hudi timeline says of its table, read without Spark from commits as Hudi writes them."""

from __future__ import annotations

from lake_platform.adapters.hudi import HudiEngine
from lake_platform.adapters.object_store import open_store
from lake_platform.domain.batches import AppliedBatch, BatchRange
from lake_platform.domain.dataset import Dataset
from tests.hudi_commits import commit


def no_session() -> None:
    raise AssertionError("a state needs no Spark")


def test_the_last_commit_is_that_of_the_highest_claim() -> None:
    """Else a zombie's late commit would make the claim of who took over look unfinished."""
    store = open_store("memory:///")
    takeover = AppliedBatch(BatchRange(1, 1), 1, 2, "", 1)
    zombie = AppliedBatch(BatchRange(1, 1), 1, 1, "", 1)
    commit(store, 1, takeover)
    commit(store, 2, zombie)
    state = HudiEngine(no_session, store).state(Dataset(topic="t", table="t"))  # type: ignore[arg-type]
    assert state.last is not None
    assert (state.last.epoch, state.applied) == (2, 1)
    assert [b.epoch for b in state.doubled] == [1]


def test_a_late_commit_is_found_however_many_came_in_between() -> None:
    """Only the newest dozen commits are read, and its batch is not among them a second time."""
    store = open_store("memory:///")
    for number in range(1, 31):
        commit(store, number, AppliedBatch(BatchRange(number, number), number, number, "", 1))
    commit(store, 31, AppliedBatch(BatchRange(3, 3), 3, 3, "", 1))
    commit(store, 32, AppliedBatch(BatchRange(31, 31), 31, 31, "", 1))
    state = HudiEngine(no_session, store).state(Dataset(topic="t", table="t"))  # type: ignore[arg-type]
    assert [b.batch for b in state.doubled] == [BatchRange(3, 3)]
    assert state.applied == 31
