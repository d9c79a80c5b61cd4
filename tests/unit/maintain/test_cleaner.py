"""The daily cleaner and the commit log it keeps short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.batches import Worker
from lake_platform.domain.storage import ObjectInfo
from lake_platform.errors import (
    CommitRaceError,
    CorruptRawError,
    InvalidFieldError,
    RawExpiredError,
)
from lake_platform.load.verify import verify_windows
from lake_platform.maintain.cleaner import CleanResult, compact_log
from lake_platform.raw import log as raw_log
from tests.cleaner_support import DAY_MS, Meddling, OneByOne, filled, log
from tests.support import Fault, Faulty, Lab, Trap


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = filled(tmp_path)
    yield lab
    lab.close()


def commit_files(lab: Lab) -> int:
    return len(list(lab.store.list("checkpoints/t/phase1/")))


def test_the_log_gets_short_and_reads_the_same(lab: Lab) -> None:
    before = log(lab)
    done = compact_log("t", lab.ports(), keep_commits=5)
    assert done == CleanResult("t", 7, 7, 0, 0, {"commits": 5, "snapshot": 7})
    assert commit_files(lab) == 5
    assert log(lab) == before
    for seq in range(13):
        assert raw_log.commits_after(lab.store, "t", seq) == before[seq:]
    assert raw_log.head(lab.store, "t") == before[-1]


def test_it_stays_short_over_many_days(lab: Lab) -> None:
    for n in range(4):
        compact_log("t", lab.ports(), keep_commits=5)
        lab.send({"n": 100 + n})
        lab.cycle()
    assert commit_files(lab) == 6
    assert [c.seq for c in log(lab)] == list(range(1, 17))
    assert len(list(lab.store.list("checkpoints/t/phase1-snapshots/"))) == 1
    lab.account()


def test_a_second_run_does_nothing(lab: Lab) -> None:
    compact_log("t", lab.ports(), keep_commits=5)
    again = compact_log("t", lab.ports(), keep_commits=5)
    assert (again.commits_removed, again.orphans_removed) == (0, 0)


def test_a_log_that_is_short_gets_no_snapshot(lab: Lab) -> None:
    done = compact_log("t", lab.ports(), keep_commits=12)
    assert done == CleanResult("t", 0, 0, 0, 0, {"commits": 12, "snapshot": 0})
    assert raw_log.snapshot_seq(lab.store, "t") == 0


def test_all_that_was_applied_may_go(lab: Lab) -> None:
    for n in range(3):
        lab.send({"n": n})
        lab.dump()
    assert compact_log("t", lab.ports(), keep_commits=1).snapshot_seq == 12


def test_what_phase_two_has_not_read_stays(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.register()
    for n in range(6):
        lab.send({"n": n})
        lab.dump()
    assert compact_log("t", lab.ports(), keep_commits=2).commits_removed == 0
    lab.load()
    assert compact_log("t", lab.ports(), keep_commits=2).commits_removed == 4
    lab.account()
    lab.close()


def test_dump_load_and_replay_go_on_over_a_trimmed_log(lab: Lab) -> None:
    compact_log("t", lab.ports(), keep_commits=1)
    lab.load(replay=["2026-11-01-00:00"])
    lab.send({"n": 99})
    lab.cycle()
    lab.account()


def test_a_kill_before_every_change_leaves_a_log_that_reads_the_same(tmp_path: Path) -> None:
    at, reached = 0, True
    while reached:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        lab = filled(home, 6)
        compact_log("t", lab.ports(), keep_commits=4)
        lab.send({"n": 7})
        lab.cycle()
        before = log(lab)
        trap = Trap(at)
        store: Any = OneByOne(trap, lab.store)
        with suppress(Fault):
            compact_log("t", lab.ports(store=store), keep_commits=2)
        assert log(lab) == before, f"after a kill {trap.where} ({at})"
        compact_log("t", lab.ports(), keep_commits=2)
        assert log(lab) == before
        assert commit_files(lab) == 2
        lab.account()
        reached = bool(trap.where)
        lab.close()
    assert at > 4


def test_what_is_committed_while_the_cleaner_sleeps_is_no_orphan(lab: Lab) -> None:
    class Sleepy(Meddling):
        def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
            found = list(self._inner.list(prefix, after))
            if prefix.startswith("checkpoints/t/phase1/"):
                self.once(lambda: (lab.send({"n": 99}), lab.dump(), self.sleep(lab)))
            return iter(found)

    compact_log("t", lab.ports(store=Sleepy(lab.store)))
    lab.load()
    lab.account()


def test_a_larger_log_may_be_kept_than_before(lab: Lab) -> None:
    before = log(lab)
    compact_log("t", lab.ports(), keep_commits=2)
    again = compact_log("t", lab.ports(), keep_commits=8)
    assert (again.commits_removed, again.snapshot_seq) == (0, 10), "what is trimmed stays so"
    assert log(lab) == before
    assert len(list(lab.store.list("checkpoints/t/phase1-snapshots/"))) == 1


def test_a_writer_that_slept_while_its_seq_was_trimmed_does_not_commit(lab: Lab) -> None:
    """Its place in the log is free again, and must not take a commit."""

    class Sleepy(Meddling):
        def put_new(self, key: str, data: bytes) -> bool:
            self.once(self.others)
            return bool(self._inner.put_new(key, data))

        def others(self) -> None:
            for n in range(3):
                lab.send({"n": n})
                lab.cycle()
            compact_log("t", lab.ports(), keep_commits=1)

    lab.send({"n": 100})
    with pytest.raises(CommitRaceError):
        lab.dump(store=Sleepy(lab.store))
    lab.send({"n": 101})
    lab.cycle()
    lab.account()


def test_a_stale_commit_whose_writer_died_is_never_read(lab: Lab) -> None:
    """Killed between its put at a trimmed seq and its look at the snapshot."""
    stale = replace(log(lab)[5], nonce="stale", next_offsets={0: 999})
    compact_log("t", lab.ports(), keep_commits=5)
    before = log(lab)
    for seq in (6, 7):
        lab.store.put(raw_log.commit_key("t", seq), replace(stale, seq=seq).to_bytes())
    assert log(lab) == before
    assert raw_log.commits_after(lab.store, "t", 5) == before[5:]
    assert raw_log.head(lab.store, "t") == before[-1]
    lab.send({"n": 50})
    lab.cycle()
    lab.account()


def test_a_log_that_is_trimmed_while_it_is_read_reads_the_same(lab: Lab) -> None:
    before = log(lab)

    class Sleepy(Meddling):
        def get(self, key: str) -> bytes:
            if key.endswith("3.json"):
                self.once(lambda: compact_log("t", lab.ports(), keep_commits=1))
            return bytes(self._inner.get(key))

    store: Any = Sleepy(lab.store)
    assert raw_log.commits_after(store, "t", 1) == before[1:]


def test_the_newest_commit_is_found_while_the_log_is_trimmed(lab: Lab) -> None:
    class Sleepy(Meddling):
        def get(self, key: str) -> bytes:
            self.once(self.others)
            return bytes(self._inner.get(key))

        def others(self) -> None:
            lab.send({"n": 99})
            lab.cycle()
            compact_log("t", lab.ports(), keep_commits=1)

    newest = raw_log.head(Sleepy(lab.store), "t")
    assert newest is not None
    assert newest.seq == 13


def test_raw_retention_takes_only_old_trimmed_objects(lab: Lab) -> None:
    lab.now_ms += 10 * DAY_MS
    assert compact_log("t", lab.ports(), keep_commits=5).raw_removed == 0
    lab.send({"n": 50})
    lab.cycle()
    done = compact_log("t", lab.ports(), keep_commits=5, raw_retention_days=7)
    assert done.raw_removed == 8
    assert len(list(lab.store.list("raw/topic.t/"))) == 5


def test_a_snapshot_that_does_not_read_back_removes_nothing(lab: Lab) -> None:
    class Lossy:
        def __getattr__(self, name: str) -> Any:
            return getattr(lab.store, name)

        def get(self, key: str) -> bytes:
            data = lab.store.get(key)
            if "phase1-snapshots" not in key:
                return data
            import gzip

            return gzip.compress(gzip.decompress(data).split(b"\n")[0])

    told = r"phase1-snapshots/0*7\.json\.gz': it does not read back as the commits it was made of;"
    with pytest.raises(CorruptRawError, match=told):
        compact_log("t", lab.ports(store=Lossy()), keep_commits=5)
    assert commit_files(lab) == 12


def test_a_commit_removed_by_hand_is_found(lab: Lab) -> None:
    lab.store.delete([raw_log.commit_key("t", 6)])
    with pytest.raises(CorruptRawError, match="not in the log"):
        log(lab)


def test_old_claims_go_the_newest_stay(lab: Lab) -> None:
    for n in range(30):
        lab.send({"n": n})
        lab.cycle()
    compact_log("t", lab.ports())
    assert claims_of(lab) == list(range(1, 32))
    lab.now_ms += DAY_MS + 1
    compact_log("t", lab.ports())
    assert claims_of(lab) == list(range(12, 32))
    lab.send({"n": 99})
    lab.cycle()
    lab.account()


def claims_of(lab: Lab) -> list[int]:
    held = lab.store.list("checkpoints/t/phase2/claims/")
    return sorted({int(i.key.rsplit("/", 1)[1].split(".")[0]) for i in held})


def fences_of(lab: Lab) -> list[int]:
    return [int(i.key.split("/")[4]) for i in lab.store.list("checkpoints/t/phase2/locks/")]


class TestFences:
    """A claim goes when its writer has ended; the fence of one that never said so itself stays."""

    def killed(self, lab: Lab, times: int, host: str = "here") -> None:
        for n in range(times):
            lab.workers.current = Worker(host, 1_000 + n, 0.0)
            lab.send({"n": n})
            lab.dump()
            with pytest.raises(Fault):
                lab.load(engine=Faulty(Trap(1, frozenset(["write"])), MemoryEngine(lab.store)))
            lab.workers.dead.add(lab.workers.current)
        lab.workers.crash()

    def test_of_the_dead_stay_their_claims_go_after_a_day(self, lab: Lab) -> None:
        self.killed(lab, 30)
        lab.load()
        assert fences_of(lab) == list(range(2, 32))
        compact_log("t", lab.ports())
        assert len(fences_of(lab)) == 30
        lab.now_ms += DAY_MS + 1
        compact_log("t", lab.ports())
        assert claims_of(lab) == list(range(14, 34))
        assert fences_of(lab) == list(range(2, 32))
        lab.account()

    def test_of_writers_out_of_sight_stay_their_claims_go_after_a_week(self, lab: Lab) -> None:
        self.killed(lab, 30, "there")
        lab.load()
        lab.workers.unknown |= {Worker("there", 1_000 + n, 0.0) for n in range(30)}
        lab.now_ms += 7 * DAY_MS - 1
        compact_log("t", lab.ports())
        assert fences_of(lab) == list(range(2, 32))
        lab.now_ms += 2
        compact_log("t", lab.ports())
        assert claims_of(lab)[0] == 14
        assert fences_of(lab) == list(range(2, 32))


class TestRetention:
    WINDOW = "2026-11-01-00:00"

    def expired(self, lab: Lab) -> None:
        lab.now_ms += 10 * DAY_MS
        lab.send({"n": 50})
        lab.cycle()
        compact_log("t", lab.ports(), keep_commits=5, raw_retention_days=7)

    def test_a_replay_says_what_is_gone_and_writes_nothing(self, lab: Lab) -> None:
        self.expired(lab)
        rows = lab.rows()
        with pytest.raises(RawExpiredError) as caught:
            lab.load(replay=[self.WINDOW])
        assert (caught.value.first_seq, caught.value.last_seq) == (1, 8)
        assert self.WINDOW in str(caught.value)
        assert "outside the platform" not in str(caught.value)
        assert lab.rows() == rows
        assert lab.load(replay=["2026-11-11-00:00"])

    def test_a_window_is_verified_by_what_is_left(self, lab: Lab) -> None:
        self.expired(lab)
        report = next(verify_windows("t", lab.ports(), [self.WINDOW]))
        assert (report.objects, report.expired, report.problems) == (12, 8, ())

    def test_a_table_cannot_be_built_again_without_it(self, lab: Lab) -> None:
        self.expired(lab)
        lab.store.delete([i.key for i in lab.store.list("lake/t/")])
        lab.send({"n": 51})
        lab.dump()
        with pytest.raises(RawExpiredError):
            lab.load()

    def test_a_kill_after_the_mark_leaves_objects_for_the_next_day(self, lab: Lab) -> None:
        lab.now_ms += 10 * DAY_MS
        lab.send({"n": 50})
        lab.cycle()
        compact_log("t", lab.ports(), keep_commits=5)
        trap: Any = Faulty(Trap(3, frozenset(["delete"])), lab.store)
        with pytest.raises(Fault):
            compact_log("t", lab.ports(store=trap), keep_commits=5, raw_retention_days=7)
        assert len(list(lab.store.list("raw/topic.t/"))) == 13
        done = compact_log("t", lab.ports(), keep_commits=5, raw_retention_days=7)
        assert done.raw_removed == 8


def test_a_log_without_its_newest_commit_is_refused(lab: Lab) -> None:
    told = "log_keep_commits=0: below 1; the newest commit tells where to go on"
    with pytest.raises(InvalidFieldError, match=f"^{told}$"):
        compact_log("t", lab.ports(), keep_commits=0)
    assert compact_log("t", lab.ports(), keep_commits=1).snapshot_seq == 11


def test_two_cleaners_at_once_are_no_damage(lab: Lab) -> None:
    """The other one writes a newer snapshot while this one has yet to read its own back."""

    class Sleepy(Meddling):
        def put(self, key: str, data: bytes) -> None:
            self._inner.put(key, data)
            self.once(lambda: compact_log("t", lab.ports(), keep_commits=1))

    before = log(lab)
    compact_log("t", lab.ports(store=Sleepy(lab.store)), keep_commits=5)
    assert log(lab) == before
    lab.account()


def test_a_mark_of_retention_is_not_lost_to_another_cleaner(lab: Lab) -> None:
    lab.now_ms += 10 * DAY_MS

    class Sleepy(Meddling):
        def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
            found = list(self._inner.list(prefix, after))
            if prefix.startswith("checkpoints/t/phase1/"):
                self.once(lambda: compact_log("t", lab.ports(), 5, raw_retention_days=7))
            return iter(found)

    compact_log("t", lab.ports(store=Sleepy(lab.store)), keep_commits=4)
    assert [c.seq for c in log(lab) if c.expired_at] == list(range(1, 8))


def test_a_mark_set_after_the_log_was_read_is_not_lost(lab: Lab) -> None:
    lab.now_ms += 10 * DAY_MS

    class Sleepy(Meddling):
        def progress(self, table: str) -> Any:
            self.once(lambda: compact_log("t", lab.ports(), 5, raw_retention_days=7))
            return self._inner.progress(table)

    compact_log("t", lab.ports(metastore=Sleepy(lab.metastore)), keep_commits=4)
    assert [c.seq for c in log(lab) if c.expired_at] == list(range(1, 8))


def test_a_mark_stays_what_it_was(lab: Lab) -> None:
    lab.now_ms += 10 * DAY_MS
    compact_log("t", lab.ports(), keep_commits=5, raw_retention_days=7)
    marks = [c.expired_at for c in log(lab)]
    assert marks == [lab.now_ms] * 7 + [None] * 5
    lab.now_ms += DAY_MS
    compact_log("t", lab.ports(), keep_commits=5, raw_retention_days=7)
    assert [c.expired_at for c in log(lab)] == marks


def test_raw_retention_lets_go_by_age(lab: Lab) -> None:
    lab.now_ms += 7 * DAY_MS
    for n in range(3):
        lab.send({"n": n})
        lab.dump()
    lab.load()
    assert compact_log("t", lab.ports(), 1, raw_retention_days=7).raw_removed == 0
    lab.now_ms += 1
    assert compact_log("t", lab.ports(), 1, raw_retention_days=7).raw_removed == 12
    assert [c.seq for c in log(lab) if c.expired_at] == list(range(1, 13))


def test_a_snapshot_that_is_replaced_while_it_is_read_is_read_again(lab: Lab) -> None:
    before = log(lab)
    compact_log("t", lab.ports(), keep_commits=8)

    class Sleepy(Meddling):
        def get(self, key: str) -> bytes:
            if "snapshots" in key:
                self.once(lambda: compact_log("t", lab.ports(), keep_commits=3))
            return bytes(self._inner.get(key))

    store: Any = Sleepy(lab.store)
    assert raw_log.read_snapshot(store, "t") == before[:9]


def test_a_claim_that_goes_while_it_is_looked_at_is_a_retry(lab: Lab) -> None:
    class Sleepy(Meddling):
        def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
            found = list(self._inner.list(prefix, after))
            if "phase2/claims" in prefix:
                self.once(lambda: self._inner.delete([i.key for i in found]))
            return iter(found)

    lab.send({"n": 1})
    lab.dump()
    with pytest.raises(Fault):
        lab.load(engine=Faulty(Trap(1, frozenset(["write"])), MemoryEngine(lab.store)))
    lab.workers.crash()
    with pytest.raises(CommitRaceError, match="removed by the cleaner"):
        lab.load(store=Sleepy(lab.store))
