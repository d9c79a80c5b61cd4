"""Loads beside each other: claims, takeovers, and writers that sleep through something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.batches import BatchJob, BatchRange, WriteResult
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    RawExpiredError,
    SchemaBlockedError,
    StorageUnavailableError,
)
from lake_platform.load import claims
from lake_platform.load.load import load
from lake_platform.maintain.cleaner import compact_log
from lake_platform.metastore.incident import Outcome
from tests.sleepers import Holding, Overtaken
from tests.support import HOUR_MS, Fault, Faulty, Lab, Trap
from tests.unit.load.test_load import SOURCE, MakeLab, make_lab

__all__ = ["make_lab"]


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def _dying(lab: Lab, trap: Trap):  # type: ignore[no-untyped-def]
    class Dying(MemoryEngine):
        def write(self, job):  # type: ignore[no-untyped-def]
            trap.step("write", "before")
            return super().write(job)

    return Dying(lab.store)


class TestClaims:
    def test_a_live_writer_is_left_alone(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        trap = Trap(1)
        with pytest.raises(Fault):
            lab.load(engine=_dying(lab, trap))
        other = lab.workers.current
        lab.workers.current = replace(other, pid=77)
        with pytest.raises(BatchClaimedError) as caught:
            lab.load()
        assert caught.value.owner == str(other)
        lab.workers.dead.add(other)
        assert len(lab.load()) == 1
        lab.account()

    def test_a_writer_out_of_sight_keeps_its_lease(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        with pytest.raises(Fault):
            lab.load(engine=_dying(lab, Trap(1)))
        lab.workers.unknown.add(lab.workers.current)
        lab.workers.current = replace(lab.workers.current, host="there")
        lab.now_ms += 899_000
        with pytest.raises(BatchClaimedError):
            lab.load()
        lab.now_ms += 2_000
        assert len(lab.load()) == 1
        lab.account()

    def test_who_takes_over_writes_the_same_batch(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        with pytest.raises(Fault):
            lab.load(engine=_dying(lab, Trap(1)))
        lab.send({"id": 2})
        lab.dump()
        lab.workers.crash()
        done = lab.load()
        assert [r.applied.batch.id for r in done] == [
            "000000000001-000000000001",
            "000000000002-000000000002",
        ]
        lab.account()

    def test_our_own_errors_release_the_claim(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        with pytest.raises(StorageUnavailableError):
            lab.load(engine=_dying(lab, Trap(1, error=StorageUnavailableError("gone"))))
        lab.workers.current = replace(lab.workers.current, pid=78)
        assert len(lab.load()) == 1
        lab.account()

    def test_the_error_is_shown_though_the_end_of_its_claim_cannot_be_marked(
        self, lab: Lab
    ) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        lab.send({"id": "two"})
        lab.dump()

        class Unmarked:
            def __getattr__(self, name: str) -> Any:
                return getattr(lab.store, name)

            def put(self, key: str, data: bytes) -> None:
                if key.endswith(".failed"):
                    raise StorageUnavailableError("gone")
                lab.store.put(key, data)

        with pytest.raises(SchemaBlockedError) as caught:
            lab.load(store=Unmarked())
        assert lab.metastore.progress("t").last_error == str(caught.value)
        lab.metastore.settle(lab.metastore.incidents("t")[0].id, Outcome("test"), "ann")
        lab.send({"id": 3})
        with pytest.raises(SchemaBlockedError):
            lab.load()  # the claim that was left is no obstacle

    def test_a_zombie_cannot_commit(self, lab: Lab) -> None:
        """The first writer stands still before its write; another one takes over in between."""
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        zombie = lab.workers.current

        class Sleepy(MemoryEngine):
            def write(self, job):  # type: ignore[no-untyped-def]
                lab.workers.crash()
                lab.load()
                lab.workers.current = zombie
                return super().write(job)

        with pytest.raises(CommitRaceError):
            lab.load(engine=Sleepy(lab.store))
        lab.account()

    def test_two_takers_of_one_epoch(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        state = lab.engine.state(lab.dataset())
        claims.take("t", lab.ports(), BatchRange(1, 1), 0, False)
        with pytest.raises(BatchClaimedError):
            claims.take("t", lab.ports(), BatchRange(1, 1), 0, False)
        assert claims.uncommitted(lab.store, "t", 0)
        assert not state.exists


class TestWritersSideBySide:
    def test_a_load_between_two_batches_of_a_replay_is_not_applied_again(self, lab: Lab) -> None:
        """The replay's checkpoint must not take the table's back to where the replay began."""
        lab.register(source=SOURCE)
        for n in range(2):
            lab.send({"id": n})
            lab.cycle()
        lab.limits = replace(lab.limits, batch_bytes=1)
        replaying = load("t", lab.ports(), lab.limits, ["2026-11-01-00:00"], replay=True)
        next(replaying)
        lab.send({"id": 2})
        lab.cycle()
        assert [r.applied.applied for r in replaying] == [3]
        lab.send({"id": 3})
        (done,) = lab.cycle()
        assert done.applied.batch.first_seq == 4
        lab.account()

    @pytest.mark.parametrize("replay", [(), ("2026-11-01-00:00",)])
    def test_who_was_taken_for_dead_and_commits_all_the_same(
        self, lab: Lab, replay: tuple[str, ...]
    ) -> None:
        """Its commit falls between the other one's look at the table and the fence."""
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        lab.send({"id": 2})
        lab.dump()
        sleeper = Holding(lab.engine)

        class Late(MemoryEngine):
            def fence(self, dataset: Dataset, epoch: int) -> None:
                MemoryEngine(lab.store).write(sleeper.held[0])
                super().fence(dataset, epoch)

        with pytest.raises(Fault):
            lab.load(engine=sleeper)
        lab.workers.crash()
        with pytest.raises(CommitRaceError, match="taken for dead"):
            lab.load(replay=replay, engine=Late(lab.store))
        lab.cycle()
        lab.load(replay=replay)
        lab.account()
        assert lab.metastore.progress("t").applied_seq == 2

    def test_a_replay_takes_over_an_unfinished_claim_and_leaves_its_batch_pending(
        self, lab: Lab
    ) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        for n in (2, 3):
            lab.send({"id": n})
            lab.dump()
        with pytest.raises(Fault):
            lab.load(engine=_dying(lab, Trap(1)))
        lab.workers.crash()
        (done,) = lab.load(replay=["2026-11-01-00:00"])
        assert (done.applied.replay, done.applied.applied) == (True, 1)
        (rest,) = lab.load()
        assert rest.applied.batch.id == "000000000002-000000000003"
        lab.account()

    def test_what_failed_and_said_so_is_fenced_once(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        fenced: list[int] = []

        class Failing(MemoryEngine):
            def write(self, job: BatchJob) -> WriteResult:  # noqa: ARG002 - port
                raise StorageUnavailableError("gone")

            def fence(self, dataset: Dataset, epoch: int) -> None:
                fenced.append(epoch)
                super().fence(dataset, epoch)

        for _ in range(5):
            with pytest.raises(StorageUnavailableError):
                lab.load(engine=Failing(lab.store))
        assert fenced == [1, 2, 3, 4]


class TestSleepers:
    """Writers that stand still at the worst call; all found by tests/simulation."""

    def test_a_replay_never_takes_the_checkpoint_back(self, lab: Lab) -> None:
        """The dead one commits between the replay's look behind the fence and its write."""
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        lab.send({"id": 2})
        lab.dump()
        sleeper = Holding(lab.engine)
        with pytest.raises(Fault):
            lab.load(engine=sleeper)
        lab.workers.crash()
        with pytest.raises(CommitRaceError):
            overtaken = Overtaken(lab.engine, lab, sleeper)
            lab.load(replay=["2026-11-01-00:00"], engine=overtaken)
        assert sleeper.held == []
        lab.send({"id": 3})
        lab.cycle()
        lab.account()

    def test_a_claim_where_the_cleaner_removed_one_is_refused(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        for n in range(25):
            lab.send({"id": n})
            lab.cycle()
        lab.now_ms += 2 * 24 * HOUR_MS
        compact_log("t", lab.ports())
        with pytest.raises(BatchClaimedError):
            claims.take("t", lab.ports(), BatchRange(2, 2), after=1, replay=False)
        lab.send({"id": 99})
        lab.cycle()
        lab.account()

    def test_raw_that_retention_took_meanwhile_is_not_called_damage(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        for n in range(3):
            lab.send({"id": n})
            lab.cycle()
        lab.now_ms += 10 * 24 * HOUR_MS

        class Sleepy:
            def __getattr__(self, name: str) -> Any:
                return getattr(lab.store, name)

            def get(self, key: str) -> bytes:
                if key.startswith("raw/"):
                    compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=7)
                return lab.store.get(key)

        with pytest.raises(RawExpiredError):
            lab.load(replay=["2026-11-01-00:00"], store=Sleepy())
        assert "retention removed" in lab.metastore.progress("t").last_error
        lab.send({"id": 9})
        lab.cycle()
        assert len(lab.rows()) == 4

    @pytest.mark.parametrize("first", [None, b"{"])
    def test_a_first_batch_without_a_row_waits_for_the_schema(
        self, lab: Lab, first: bytes | None
    ) -> None:
        """Its range stays fixed by its claim, so the schema comes from what follows it."""
        why = "not one valid JSON document" if first else ""
        lab.register(mode="upsert", primary_key=("id",), max_quarantine_ratio=1.0)
        lab.send(first, key="1", reason=why)
        assert lab.cycle() == []
        lab.send({"id": 2, "name": "x"})
        lab.cycle()
        lab.account()
        assert [row["id"] for row in lab.rows()] == [2]


class TestGivingUp:
    """The error that ends a load is what an operator sees, and the claim says that it failed."""

    def fails(self, lab: Lab, **ports: Any) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.dump()
        error = StorageUnavailableError("no answer")
        with pytest.raises(StorageUnavailableError, match="no answer"):
            lab.load(engine=_dying(lab, Trap(1, error=error)), **ports)

    def test_the_claim_is_marked_as_failed(self, lab: Lab) -> None:
        self.fails(lab)
        held = [i.key.rsplit(".")[-1] for i in lab.store.list("checkpoints/t/phase2/claims/")]
        assert held == ["failed", "json"], "done would say that nothing is left to finish"

    def test_a_mark_that_cannot_be_put_is_told_and_hides_nothing(self, lab: Lab) -> None:
        away = StorageUnavailableError("away")
        # The first put is the staged file, the second the mark.
        store: Any = Faulty(Trap(2, frozenset(["put"]), error=away), lab.store)
        with capture_logs() as logs:
            self.fails(lab, store=store)
        assert [e for e in logs if e["log_level"] == "warning"] == [
            {"event": "the claim's end could not be marked", "dataset": "t", "error": "away",
             "log_level": "warning"}
        ]  # fmt: skip
