"""What the engine finds unfit behind the steps, and errors nobody expected: seams of one batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.batches import BatchJob, Judgement, UnfitRow, WriteResult
from lake_platform.domain.quality import Reason
from lake_platform.errors import QuarantineRatioError
from tests.support import Lab


class Judging(MemoryEngine):
    """Finds the records at `offsets` unfit."""

    offsets: tuple[int, ...] = ()

    def judge(self, job: BatchJob) -> Judgement:
        held = {o for raw in job.objects for o in range(raw.first_offset, raw.last_offset + 1)}
        found = [o for o in self.offsets if o in held]
        return Judgement(tuple(UnfitRow(0, o, Reason.NULL_ORDERING) for o in found))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.engine = Judging(lab.store)
    return lab


def test_unfit_rows_join_the_quarantine_of_the_scan(lab: Lab) -> None:
    lab.register(max_quarantine_ratio=1.0)
    assert isinstance(lab.engine, Judging)
    lab.engine.offsets = (1, 3)
    lab.send({"id": 1})
    lab.send({"id": 2}, reason="ordering field is null or missing")
    lab.send(b"{", reason="not one valid JSON document")
    lab.send({"id": 4}, reason="ordering field is null or missing")
    (result,) = lab.cycle()
    found = result.applied.balance
    assert (found.written, found.quarantined, found.difference) == (1, 3, 0)
    assert result.quarantined == {
        "not one valid JSON document": 1, "ordering field is null or missing": 2,
    }  # fmt: skip
    lab.account()
    (again,) = lab.load(replay=["2026-11-01-00:00"])
    assert again.applied.balance == found
    lab.account()
    lab.close()


def test_unfit_rows_count_for_the_ratio(lab: Lab) -> None:
    lab.register(max_quarantine_ratio=0.1)
    assert isinstance(lab.engine, Judging)
    lab.engine.offsets = tuple(range(11))
    lab.send_all({"id": n} for n in range(20))
    lab.dump()
    with pytest.raises(QuarantineRatioError, match="11 of 20 records"):
        lab.load()
    assert lab.engine.state(lab.dataset()).exists is False
    lab.close()


class Broken(MemoryEngine):
    """Fails once, in a way that nobody thought of."""

    broken = True

    def write(self, job: BatchJob) -> WriteResult:
        if self.broken:
            raise ZeroDivisionError("a bug")
        return super().write(job)


def test_claim_is_released_on_an_error_that_is_none_of_ours(lab: Lab) -> None:
    lab.engine = engine = Broken(lab.store)
    lab.register()
    lab.send({"id": 1})
    lab.dump()
    with pytest.raises(ZeroDivisionError):
        lab.load()
    engine.broken = False
    lab.workers.current = type(lab.workers.current)("elsewhere", 7, 0.0)
    assert len(lab.load()) == 1  # another host, which cannot see that the first one ended
    lab.close()
