"""The batch log of Parquet tables: who wins a number, what a replay takes the place of."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lake_platform.adapters.parquet.log import BatchLog, BatchRecord
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import AppliedBatch, BatchJob, BatchRange, Claim, Worker
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import batch_log_prefix, lock_prefix, seq_name
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import CommitRaceError, StorageUnavailableError, TableDamagedError
from tests.cleaner_support import Meddling
from tests.support import Faulty, Trap

DATASET = Dataset(topic="t", table="t", format="parquet")
NOTHING_IN = "nothing of this attempt is in the table, load again"


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory:///")


@pytest.fixture
def log(store: ObjectStore) -> BatchLog:
    return BatchLog(store)


def job(first: int, last: int, epoch: int, **values: Any) -> BatchJob:
    batch = BatchRange(first, last)
    claim = Claim(epoch, f"n{epoch}", batch, Worker("here", 1, 0.0), 0)
    given = {"applied": last, **values}
    return BatchJob(DATASET, claim, (), Struct(()), Struct(()), 1, **given)


def record(
    number: int, first: int, last: int, *files: str, epoch: int = 0, **values: Any
) -> BatchRecord:
    """`files` are named alike in staging and table; they are not put there."""
    epoch = epoch or number
    applied = AppliedBatch(
        BatchRange(first, last), values.pop("applied", last), epoch, "", 1,
        reapply=values.pop("reapply", False),
    )  # fmt: skip
    names = {f"staging/t/{f}": f"lake/t/{f}" for f in files}
    return BatchRecord(number, f"n{epoch}", applied, names, values.pop("replaces", ()), 1)


def put(store: ObjectStore, *records: BatchRecord, published: bool = True) -> None:
    for held in records:
        name = f"{batch_log_prefix('t')}{seq_name(held.number)}"
        store.put(f"{name}.json", held.to_bytes())
        if published:
            store.put(f"{name}.published", b"")


class TestCommit:
    def test_puts_the_record(self, log: BatchLog) -> None:
        log.commit(job(1, 2, 1), record(1, 1, 2))
        assert log.last("t") == record(1, 1, 2)

    def test_one_writer_wins_a_number(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, record(1, 1, 2, epoch=7))
        told = f"^table 't': another writer committed batch record 1 first; {NOTHING_IN}$"
        with pytest.raises(CommitRaceError, match=told):
            log.commit(job(1, 2, 8), record(1, 1, 2, epoch=8))
        assert log.last("t") == record(1, 1, 2, epoch=7)

    def test_a_put_that_the_client_sent_twice_is_ours(
        self, store: ObjectStore, log: BatchLog
    ) -> None:
        """The first try was applied, its reply was lost, the second finds the number taken."""
        put(store, record(1, 1, 2))
        log.commit(job(1, 2, 1), record(1, 1, 2))

    @pytest.mark.parametrize("ours", [True, False])
    def test_a_put_without_an_answer_is_settled_by_reading(
        self, store: ObjectStore, ours: bool
    ) -> None:
        if not ours:
            put(store, record(1, 1, 2, epoch=7))
        trap = Trap(1, frozenset(["put_new"]), "after", StorageUnavailableError("no answer"))
        faulty: Any = Faulty(trap, store)
        if ours:
            BatchLog(faulty).commit(job(1, 2, 8), record(1, 1, 2, epoch=8))
        else:
            with pytest.raises(CommitRaceError):
                BatchLog(faulty).commit(job(1, 2, 8), record(1, 1, 2, epoch=8))
        assert BatchLog(store).last("t") == record(1, 1, 2, epoch=8 if ours else 7)

    def test_a_put_that_did_not_arrive_is_an_error(self, store: ObjectStore) -> None:
        trap = Trap(1, frozenset(["put_new"]), "before", StorageUnavailableError("no answer"))
        faulty: Any = Faulty(trap, store)
        with pytest.raises(StorageUnavailableError, match="no answer"):
            BatchLog(faulty).commit(job(1, 2, 1), record(1, 1, 2))

    def test_who_was_fenced_does_not_commit(self, store: ObjectStore, log: BatchLog) -> None:
        log.fence(DATASET.table, 1)
        assert store.head(f"{lock_prefix('t', 1)}fenced") is not None
        told = f"^table 't': another writer took over batch .*0002; {NOTHING_IN}$"
        with pytest.raises(CommitRaceError, match=told):
            log.commit(job(1, 2, 1), record(1, 1, 2))
        assert log.last("t") is None
        log.commit(job(1, 2, 2), record(1, 1, 2, epoch=2))


class TestCheckNext:
    """A batch may follow the last record when its claim is newer and nothing of it is there."""

    LAST = record(1, 1, 4, epoch=3)

    @pytest.mark.parametrize(
        ("next_job", "last", "passes"),
        [
            (job(5, 6, 4), LAST, True),
            (job(1, 4, 4), None, True),
            (job(5, 6, 3), LAST, False),  # the same claim, or an older one
            (job(5, 6, 2), LAST, False),
            (job(4, 6, 4), LAST, False),  # commit 4 is in the table
            (job(5, 6, 4, applied=3), LAST, False),  # would take the checkpoint back
            (job(2, 3, 4, applied=4, replay=True), LAST, True),
            (job(2, 3, 4, applied=3, replay=True), LAST, False),
            (job(5, 6, 4), record(1, 5, 6, epoch=3, applied=4, reapply=True), False),
            (job(5, 6, 4, replay=True), record(1, 5, 6, epoch=3, applied=4, reapply=True), True),
        ],
    )
    def test_what_may_follow(
        self, log: BatchLog, next_job: BatchJob, last: BatchRecord | None, passes: bool
    ) -> None:
        if passes:
            log.check_next(next_job, last)
        else:
            with pytest.raises(CommitRaceError, match=f"^table 't': another.*; {NOTHING_IN}$"):
                log.check_next(next_job, last)


class TestLast:
    def test_nothing_yet(self, log: BatchLog) -> None:
        assert log.last("t") is None
        assert log.published("t") is None

    @pytest.mark.parametrize("count", range(1, 18))
    def test_of_any_number_of_records(self, store: ObjectStore, log: BatchLog, count: int) -> None:
        for number in range(1, count + 1):
            put(store, record(number, number, number))
            if number % 3 == 0:
                log.last("t")  # what is known by now must not mislead
        assert log.last("t") == record(count, count, count)
        assert log.last("t") == record(count, count, count)

    def test_of_each_table_by_itself(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, *(record(n, n, n) for n in range(1, 6)))
        assert log.last("t") is not None
        assert log.last("u") is None

    def test_of_a_table_that_was_removed_whole(self, store: ObjectStore, log: BatchLog) -> None:
        """What is known of it by now must not stand in the way of building it again."""
        put(store, *(record(n, n, n) for n in range(1, 6)))
        assert log.last("t") == record(5, 5, 5)
        store.delete([i.key for i in store.list(batch_log_prefix("t"))])
        assert log.last("t") is None
        put(store, record(1, 1, 5))
        assert log.last("t") == record(1, 1, 5)

    def test_of_a_long_log_takes_few_looks(self, store: ObjectStore) -> None:
        put(store, *(record(n, n, n) for n in range(1, 201)))
        looks: list[str] = []

        class Looking(Meddling):
            def head(self, key: str) -> Any:
                looks.append(key)
                return self._inner.head(key)

        log = BatchLog(cast(ObjectStore, Looking(store)))
        assert log.last("t") == record(200, 200, 200)
        assert len(looks) <= 2 * 8  # doubling up to 256, and halving
        looks.clear()
        assert log.last("t") == record(200, 200, 200)
        assert len(looks) == 1


class TestClosed:
    """Of a table that a rebuilt one took the place of."""

    @pytest.mark.parametrize("held", [0, 1, 5])
    def test_nobody_gets_a_number_that_a_sleeper_may_have_chosen(
        self, store: ObjectStore, log: BatchLog, held: int
    ) -> None:
        put(store, *(record(n, n, n) for n in range(1, held + 1)))
        other = BatchLog(store)  # of a process that knows the newest number
        assert (other.last("t") is None) == (held == 0)
        log.close("t", lambda: None)
        assert log.last("t") is other.last("t") is None
        assert log.live_files("t") == []
        for number in range(1, held + 2):
            with pytest.raises(CommitRaceError, match=NOTHING_IN):
                other.commit(job(number, number, 9), record(number, number, number, epoch=9))
        assert log.last("t") is None

    def test_what_was_committed_is_published_before(
        self, store: ObjectStore, log: BatchLog
    ) -> None:
        """So that who slept after its commit finds nothing left to move."""
        store.put("staging/t/a", b"rows")
        put(store, record(1, 1, 1, "a"), published=False)
        log.close("t", lambda: None)
        assert store.head("staging/t/a") is None
        store.delete(["lake/t/a"])  # with all of the old table
        log.publish("t", record(1, 1, 1, "a"))
        assert store.head("lake/t/a") is None

    def test_a_commit_in_between_is_closed_too(self, store: ObjectStore) -> None:
        put(store, record(1, 1, 1))
        late = record(2, 2, 2)

        class Overtaken(Meddling):
            def put_new(self, key: str, data: bytes) -> bool:
                if not data and store.head(key) is None and key.endswith(f"{seq_name(2)}.json"):
                    put(store, late)
                return bool(self._inner.put_new(key, data))

        BatchLog(cast(ObjectStore, Overtaken(store))).close("t", lambda: None)
        log = BatchLog(store)
        assert log.last("t") is None
        with pytest.raises(CommitRaceError):
            log.commit(job(3, 3, 3), record(3, 3, 3))

    def test_who_slept_in_it_until_the_new_table_was_there_does_not_touch_that(
        self, store: ObjectStore, log: BatchLog
    ) -> None:
        put(store, *(record(n, n, n) for n in range(1, 4)))
        first, second = record(1_000_000_001, 1, 3), record(1_000_000_002, 4, 4)
        woke: list[bool] = []

        def sleeps() -> None:
            if not woke:
                woke.append(True)
                BatchLog(store).close("t", lambda: None)
                put(store, first)

        log.close("t", sleeps)
        assert BatchLog(store).last("t") == first
        log.commit(job(4, 4, 1_000_000_002), second)
        assert BatchLog(store).last("t") == second

    def test_again_after_it_was_cut_off(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, *(record(n, n, n) for n in range(1, 4)))
        store.put(f"{batch_log_prefix('t')}{seq_name(4)}.json", b"")
        store.put(f"{batch_log_prefix('t')}{seq_name(1)}.json", b"")
        log.close("t", lambda: None)
        log.close("t", lambda: None)
        assert log.last("t") is None

    @pytest.mark.parametrize("held", [0, 1, 3])
    def test_a_new_table_without_a_batch_begins_behind_what_is_taken(
        self, store: ObjectStore, log: BatchLog, held: int
    ) -> None:
        assert log.free("t", 0) == 1
        put(store, *(record(n, n, n) for n in range(1, held + 1)))
        log.close("t", lambda: None)
        assert log.free("t", 0) == held + 2
        assert log.free("t", 1_000_000_000) == 1_000_000_001
        log.commit(job(1, 2, 9), record(held + 2, 1, 2, epoch=9))
        assert log.last("t") == record(held + 2, 1, 2, epoch=9)

    def test_the_new_table_has_numbers_of_its_own(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, *(record(n, n, n) for n in range(1, 4)))
        log.close("t", lambda: None)
        first, second = record(1_000_000_001, 1, 3), record(1_000_000_002, 4, 4)
        put(store, first)
        assert log.last("t") == first
        put(store, second)
        assert log.last("t") == BatchLog(store).last("t") == second
        assert log.aligned("t", BatchRange(2, 2)) == BatchRange(1, 3)


class TestReplaced:
    RECORDS = (
        record(1, 1, 2, "a", "b"),
        record(2, 3, 5, "c"),
        record(3, 3, 5, "d", replaces=("lake/t/c",)),
        record(4, 6, 6, "e"),
    )

    @pytest.mark.parametrize(
        ("first", "last", "files"),
        [
            (1, 6, ["a", "b", "d", "e"]),
            (3, 5, ["d"]),
            (1, 2, ["a", "b"]),
            (6, 6, ["e"]),
            (2, 4, []),
            (3, 4, []),
            (4, 5, []),
        ],
    )
    def test_living_files_of_whole_batches(
        self, store: ObjectStore, log: BatchLog, first: int, last: int, files: list[str]
    ) -> None:
        put(store, *self.RECORDS)
        assert log.replaced(job(first, last, 9)) == [f"lake/t/{f}" for f in files]

    @pytest.mark.parametrize(
        ("first", "last", "whole"),
        [
            (1, 1, (1, 2)),
            (2, 2, (1, 2)),
            (2, 3, (1, 5)),
            (4, 4, (3, 5)),
            (5, 6, (3, 6)),
            (6, 6, (6, 6)),
            (7, 8, (7, 8)),
        ],
    )
    def test_a_range_is_widened_to_whole_batches(
        self, store: ObjectStore, log: BatchLog, first: int, last: int, whole: tuple[int, int]
    ) -> None:
        put(store, *self.RECORDS)
        for number in range(1, 9):  # another table's do not matter
            store.put(f"{batch_log_prefix('u')}{seq_name(number)}.json", record(1, 1, 9).to_bytes())
        assert log.aligned("t", BatchRange(first, last)) == BatchRange(*whole)


class TestPublish:
    def test_moves_and_marks_what_was_committed(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, record(1, 1, 2, "a", "b", replaces=("lake/t/old",)), published=False)
        for name in ("staging/t/a", "staging/t/b", "lake/t/old"):
            store.put(name, name.encode())
        store.delete(["staging/t/b"])
        store.put("lake/t/b", b"moved by who died in between")
        done = log.published("t")
        assert done is not None
        assert done.number == 1
        assert store.head(f"{batch_log_prefix('t')}{seq_name(1)}.published") is not None
        held = {i.key: store.get(i.key) for i in store.list("lake/t/")}
        assert held == {"lake/t/a": b"staging/t/a", "lake/t/b": b"moved by who died in between"}
        assert list(store.list("staging/")) == []

    def test_does_it_once(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, record(1, 1, 2, "a", replaces=("lake/t/old",)))
        store.put("lake/t/old", b"of a later one")
        log.published("t")
        assert store.head("lake/t/old") is not None

    def test_a_file_that_is_nowhere_is_named(self, store: ObjectStore, log: BatchLog) -> None:
        put(store, record(1, 1, 2, "a"), published=False)
        with pytest.raises(TableDamagedError, match=r"'t'.*'lake/t/a'.*record 1 .*'staging/t/a'"):
            log.published("t")

    def test_a_file_of_a_record_that_another_published_may_be_gone(
        self, store: ObjectStore, log: BatchLog
    ) -> None:
        """A later record has taken its place since."""
        put(store, record(1, 1, 2, "a"))
        log.publish("t", record(1, 1, 2, "a"))
