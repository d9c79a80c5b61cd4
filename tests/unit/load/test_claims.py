"""Claims: who may write, who is waited for, and when a claim with its fence may go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.batches import AppliedBatch, BatchRange, Claim, TableState, Worker
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.layout import seq_name
from lake_platform.errors import BatchClaimedError, StorageUnavailableError
from lake_platform.load import claims
from tests.cleaner_support import DAY_MS, Meddling, dated_lab
from tests.support import Faulty, Lab, Trap

LIMITS = Limits(claim_lease_seconds=900)
NOTHING = TableState(True, 0)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = dated_lab(tmp_path)
    yield lab
    lab.close()


def take(lab: Lab, epoch: int, worker: Worker | None = None) -> Claim:
    """Claims `epoch`, as `worker`."""
    lab.workers.current = worker or Worker("here", 100 + epoch, 0.0)
    return claims.take("t", lab.ports(), BatchRange(epoch, epoch), epoch - 1, replay=False)


def kept(lab: Lab) -> list[int]:
    return sorted(c.epoch for c in claims.uncommitted(lab.store, "t", 0))


def objects(lab: Lab) -> list[str]:
    return [i.key.removeprefix("checkpoints/t/phase2/") for i in lab.store.list("checkpoints/t/")]


def claim_name(epoch: int, suffix: str) -> str:
    return f"claims/{seq_name(epoch)}{suffix}"


def fence_name(epoch: int) -> str:
    return f"locks/{seq_name(epoch)}/lock/fenced"


def fence(lab: Lab, epoch: int) -> None:
    lab.store.put(f"checkpoints/t/phase2/{fence_name(epoch)}", b"")


def table_at(epoch: int) -> TableState:
    return TableState(True, 1, AppliedBatch(BatchRange(1, 1), 1, epoch, "", 1))


class TestTaking:
    def test_a_claim_says_who_what_and_when(self, lab: Lab) -> None:
        worker = Worker("there", 7, 1.5)
        lab.workers.current = worker
        claim = claims.take("t", lab.ports(), BatchRange(3, 5), 6, replay=True)
        assert claim == claims.uncommitted(lab.store, "t", 0)[0]
        assert (claim.epoch, claim.batch, claim.worker) == (7, BatchRange(3, 5), worker)
        assert (claim.claimed_at, claim.replay) == (lab.now_ms, True)

    def test_the_slower_one_is_told_who_was_faster(self, lab: Lab) -> None:
        take(lab, 1, Worker("there", 7, 0.0))
        with pytest.raises(BatchClaimedError, match=r"'t'.*process 7 on there"):
            take(lab, 1)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_put_without_an_answer_is_settled_by_reading(self, lab: Lab, when: str) -> None:
        trap = Trap(1, frozenset(["put_new"]), when, StorageUnavailableError("no answer"))
        store: Any = Faulty(trap, lab.store)
        ports = lab.ports(store=store)
        if when == "before":
            with pytest.raises(StorageUnavailableError, match="no answer"):
                claims.take("t", ports, BatchRange(1, 1), 0, replay=False)
        else:
            claim = claims.take("t", ports, BatchRange(1, 1), 0, replay=False)
            assert claims.uncommitted(lab.store, "t", 0) == [claim]

    def test_an_epoch_that_the_cleaner_freed_is_not_taken(self, lab: Lab) -> None:
        """Who stood still meanwhile would hold a claim below the newest one, without a fence."""
        take(lab, 9, Worker("there", 9, 0.0))
        with pytest.raises(BatchClaimedError, match="process 9 on there"):
            take(lab, 4)
        assert claim_name(4, ".failed") in objects(lab), "nobody waits for it"


class TestOpenClaim:
    def left(self, lab: Lab, state: TableState = NOTHING) -> claims.LeftClaim | None:
        lab.workers.current = Worker("here", 1, 0.0)
        return claims.open_claim("t", lab.ports(), state, LIMITS)

    def test_nobody_left_one(self, lab: Lab) -> None:
        assert self.left(lab) is None
        take(lab, 1)
        assert self.left(lab, table_at(1)) is None

    def test_all_epochs_behind_the_table_are_unfenced(self, lab: Lab) -> None:
        for epoch in (1, 2, 3):
            lab.workers.dead.add(take(lab, epoch).worker)
        left = self.left(lab, table_at(1))
        assert left is not None
        assert (left.claim.epoch, left.unfenced) == (3, (2, 3))

    @pytest.mark.parametrize("done", [True, False])
    def test_who_said_that_it_ended_had_fenced_those_before(self, lab: Lab, done: bool) -> None:
        for epoch in (1, 2, 3):
            claim = take(lab, epoch)
            lab.workers.dead.add(claim.worker)
            if epoch == 2:
                claims.release("t", lab.ports(), claim, done)
        left = self.left(lab)
        assert left is not None
        assert left.unfenced == (2, 3)

    def test_a_living_writer_is_waited_for(self, lab: Lab) -> None:
        take(lab, 1)
        with pytest.raises(BatchClaimedError, match=r"'t'.*process 101 on here"):
            self.left(lab)

    def test_but_not_once_it_said_that_it_failed(self, lab: Lab) -> None:
        claims.release("t", lab.ports(), take(lab, 1), done=False)
        left = self.left(lab)
        assert left is not None
        assert left.claim.epoch == 1

    def test_a_writer_out_of_sight_is_waited_for_as_long_as_its_lease(self, lab: Lab) -> None:
        lab.workers.unknown.add(take(lab, 1, Worker("there", 1, 0.0)).worker)
        lab.now_ms += 900_000
        with pytest.raises(BatchClaimedError):
            self.left(lab)
        lab.now_ms += 1
        assert self.left(lab) is not None


class TestAbandoned:
    def found(self, lab: Lab) -> Claim | None:
        lab.workers.current = Worker("here", 1, 0.0)
        return claims.abandoned("t", lab.ports(), LIMITS)

    def test_only_the_newest_claim_counts(self, lab: Lab) -> None:
        assert self.found(lab) is None
        lab.workers.dead.add(take(lab, 1).worker)
        second = take(lab, 2)
        assert self.found(lab) is None, "its writer lives"
        lab.workers.dead.add(second.worker)
        assert self.found(lab) == second
        claims.release("t", lab.ports(), second, done=True)
        assert self.found(lab) is None

    def test_a_writer_that_failed_may_have_committed_before(self, lab: Lab) -> None:
        claim = take(lab, 1)
        claims.release("t", lab.ports(), claim, done=False)
        assert self.found(lab) == claim


class TestRemoving:
    def remove(self, lab: Lab, keep: int = 1) -> None:
        lab.workers.current = Worker("here", 1, 0.0)
        claims.remove_old("t", lab.ports(), keep)

    def end(self, lab: Lab, *epochs: int) -> None:
        """Claims that were taken and said that they ended."""
        for epoch in epochs:
            claims.release("t", lab.ports(), take(lab, epoch), done=True)

    def fail(self, lab: Lab, *epochs: int) -> None:
        for epoch in epochs:
            claims.release("t", lab.ports(), take(lab, epoch), done=False)

    def test_nothing_is_no_matter(self, lab: Lab) -> None:
        self.remove(lab)
        assert objects(lab) == []

    def test_what_ended_goes_after_a_day_with_its_mark(self, lab: Lab) -> None:
        self.end(lab, 1, 2, 3)
        lab.now_ms += DAY_MS
        self.remove(lab)
        assert kept(lab) == [1, 2, 3], "a day is not over at its end"
        lab.now_ms += 1
        self.remove(lab)
        assert objects(lab) == [claim_name(3, ".done"), claim_name(3, ".json")]

    def test_a_failed_one_out_of_sight_goes_after_a_day_too(self, lab: Lab) -> None:
        lost = take(lab, 1, Worker("there", 1, 0.0))
        claims.release("t", lab.ports(), lost, done=False)
        lab.workers.unknown.add(lost.worker)
        self.end(lab, 2)
        lab.now_ms += DAY_MS + 1
        self.remove(lab)
        assert kept(lab) == [2]

    def test_one_out_of_sight_that_said_nothing_stays_a_week(self, lab: Lab) -> None:
        lab.workers.unknown.add(take(lab, 1, Worker("there", 1, 0.0)).worker)
        self.end(lab, 2)
        lab.now_ms += 7 * DAY_MS
        self.remove(lab)
        assert kept(lab) == [1, 2]
        lab.now_ms += 1
        self.remove(lab)
        assert kept(lab) == [2]

    def test_those_before_one_that_must_stay_go(self, lab: Lab) -> None:
        self.end(lab, 1, 2)
        take(lab, 3)  # lives
        self.end(lab, 4, 5)
        lab.now_ms += DAY_MS + 1
        self.remove(lab)
        assert kept(lab) == [3, 4, 5]

    def test_the_newest_stay_however_old(self, lab: Lab) -> None:
        self.end(lab, *range(1, 6))
        lab.now_ms += 30 * DAY_MS
        self.remove(lab, keep=3)
        assert kept(lab) == [3, 4, 5]

    def test_fences_go_with_their_claims_when_they_are_a_day_old(self, lab: Lab) -> None:
        """A fence of today is there for somebody who was thought dead today."""
        self.fail(lab, 1, 2, 3)
        fence(lab, 1)
        lab.now_ms += DAY_MS + 1
        fence(lab, 2)
        fence(lab, 3)
        self.remove(lab)
        assert kept(lab) == [3]
        fences = [n for n in objects(lab) if n.startswith("locks/")]
        assert fences == [fence_name(2), fence_name(3)]
        lab.now_ms += DAY_MS
        self.remove(lab)
        assert len([n for n in objects(lab) if n.startswith("locks/")]) == 2
        lab.now_ms += 1
        self.remove(lab)
        assert [n for n in objects(lab) if n.startswith("locks/")] == fences

    def test_the_fence_of_who_never_said_that_it_ended_stays(self, lab: Lab) -> None:
        lab.workers.dead.add((asleep := take(lab, 1)).worker)  # or only taken for dead
        claims.release("t", lab.ports(), asleep, done=True)  # who took over finished its batch
        fence(lab, 1)
        self.end(lab, 2, 3)
        lab.now_ms += 30 * DAY_MS
        self.remove(lab)
        assert objects(lab) == [claim_name(3, ".done"), claim_name(3, ".json"), fence_name(1)]

    def test_what_a_killed_cleaner_left_goes_with_the_next(self, lab: Lab) -> None:
        """It died between a claim and its mark: the mark alone has no claim any more."""
        self.end(lab, 1, 2, 3)
        lab.store.delete([claims.claim_key("t", 1)])
        self.remove(lab, keep=5)
        assert claim_name(1, ".done") not in objects(lab)
        assert kept(lab) == [2, 3]

    def test_fences_go_before_claims(self, lab: Lab) -> None:
        """A claim that is left is looked at again, a fence alone would be forgotten."""
        self.fail(lab, 1, 2)
        fence(lab, 1)
        lab.now_ms += DAY_MS + 1
        deleted: list[str] = []

        class Noting(Meddling):
            def delete(self, keys: Any) -> None:
                deleted.extend(keys)

        ports: Ports = lab.ports(store=Noting(lab.store))
        claims.remove_old("t", ports, 1)
        assert [k.split("/")[3] for k in deleted] == ["locks", "claims", "claims"]
