"""Reading a Hudi timeline without a JVM: which commits count, what they say, what adds up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lake_platform.adapters.hudi import timeline
from lake_platform.adapters.hudi.strays import strays
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import (
    AppliedBatch,
    BatchJob,
    BatchRange,
    Claim,
    TableState,
    Worker,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.domain.transform import Transform
from tests.cleaner_support import Meddling
from tests.hudi_commits import TIMELINE, commit, time

APPEND = Dataset(topic="t", table="t")
UPSERT = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",))
MOVING = Dataset(
    topic="t", table="t", mode="upsert", primary_key=("id",), partition_by=("day",)
)  # fmt: skip
MOVING_SQL = Dataset(
    topic="t", table="t", mode="upsert", primary_key=("id",), partition_by=("day",),
    delete_when="gone",
)  # fmt: skip
FILTERED = Dataset(
    topic="t", table="t", transforms=(Transform(sql="SELECT * FROM input WHERE id > 1"),)
)
UPSERT_FILTERED = Dataset(
    topic="t", table="t", mode="upsert", primary_key=("id",),
    transforms=(Transform(sql="SELECT * FROM input WHERE id > 1"),),
)  # fmt: skip


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory:///")


def batch(number: int, **values: Any) -> AppliedBatch:
    return AppliedBatch(BatchRange(number, number), number, number, "", 1, **values)


def test_only_completed_commits_of_the_active_timeline_count(store: ObjectStore) -> None:
    kept = [
        commit(store, 2, batch(2), action="deltacommit"),
        commit(store, 1, batch(1)),
        commit(store, 3, None, action="replacecommit"),
    ]
    for name in (
        "1.commit.requested", "1.inflight", "1.commit", "4_4.clean", "4_4.rollback",
        "history/5_5.commit", "6_6.deltacommit.inflight",
    ):  # fmt: skip
        store.put(TIMELINE + name, b"")
    store.put("lake/t/.hoodie/4_4.commit", b"")
    store.put("lake/tt/.hoodie/timeline/4_4.commit", b"")
    assert timeline.completed(store, "t") == [
        timeline.Instant(time(1), time(1), "commit", kept[1]),
        timeline.Instant(time(2), time(2), "deltacommit", kept[0]),
        timeline.Instant(time(3), time(3), "replacecommit", kept[2]),
    ]


def test_commits_are_in_the_order_in_which_they_ended(store: ObjectStore) -> None:
    """A compaction that began first may end last; its id stays the time at which it began."""
    store.put(f"{TIMELINE}1_9.commit", b"")
    store.put(f"{TIMELINE}2_3.deltacommit", b"")
    store.put(f"{TIMELINE}3_4.deltacommit", b"")
    found = timeline.completed(store, "t")
    assert [(i.requested, i.completed) for i in found] == [("2", "3"), ("3", "4"), ("1", "9")]


def test_a_table_exists_once_its_properties_do(store: ObjectStore) -> None:
    commit(store, 1, batch(1))
    assert not timeline.table_exists(store, "t")
    store.put("lake/t/.hoodie/hoodie.properties", b"x=y")
    assert timeline.table_exists(store, "t")


def test_what_is_written_into_a_commit_is_read_back(store: ObjectStore) -> None:
    written = batch(4, replay=True, reapply=True, quarantine_keys=("quarantine/a",))
    options = timeline.metadata_options(written, "nonce-1", ("20261101",))
    assert options.pop("hoodie.datasource.write.commitmeta.key.prefix") == "lake."
    assert all(name.startswith("lake.") for name in options), "Hudi keeps only names it is told"
    stats = {
        "day=a": [{"numWrites": 2, "totalWriteBytes": 30}, {"totalWriteBytes": 4}],
        "day=b": [{"numWrites": 1}],
    }
    commit(store, 4, None, stats, extra=options)
    found = timeline.read(store, APPEND, timeline.completed(store, "t")[0])
    assert found is not None
    assert (found.nonce, found.undone) == ("nonce-1", ("20261101",))
    assert (found.files, found.bytes) == (3, 34)
    assert (found.batch.batch, found.batch.epoch, found.batch.applied) == (BatchRange(4, 4), 4, 4)
    assert (found.batch.replay, found.batch.reapply) == (True, True)
    assert found.batch.quarantine_keys == ("quarantine/a",)
    assert found.batch.instant == time(4), "a batch is known by the commit it is in"


def test_without_undone_commits_the_metadata_says_so() -> None:
    options = timeline.metadata_options(batch(1), "n")
    assert json.loads(options["lake.undone"]) == []


def test_commits_of_an_older_release_have_neither_nonce_nor_undone(store: ObjectStore) -> None:
    old = {"lake.batch": json.dumps(batch(1).to_dict())}
    commit(store, 1, None, extra=old, operation=None)
    found = timeline.read(store, APPEND, timeline.completed(store, "t")[0])
    assert found is not None
    assert (found.nonce, found.undone, found.files, found.bytes) == ("", (), 0, 0)


@pytest.mark.parametrize("extra", [None, {}, {"schema": "{}"}])
def test_a_commit_of_hudi_itself_is_not_ours(
    store: ObjectStore, extra: Mapping[str, str] | None
) -> None:
    commit(store, 1, None, extra=extra)
    assert timeline.read(store, APPEND, timeline.completed(store, "t")[0]) is None


def test_only_the_newest_dozen_commits_are_read(store: ObjectStore) -> None:
    for number in range(1, 16):
        commit(store, number, batch(number))
    found = timeline.recent(store, APPEND, timeline.completed(store, "t"))
    assert [c.batch.epoch for c in found] == list(range(15, 3, -1))


def test_behind_compactions_the_last_commit_of_ours_is_looked_for(store: ObjectStore) -> None:
    commit(store, 1, batch(1))
    commit(store, 2, batch(2))
    for number in range(3, 20):
        commit(store, number, None)
    found = timeline.recent(store, APPEND, timeline.completed(store, "t"))
    assert [c.batch.epoch for c in found] == [2]


def test_a_commit_archived_after_the_list_is_passed_over(store: ObjectStore) -> None:
    keys = [commit(store, number, batch(number)) for number in (1, 2, 3)]
    instants = timeline.completed(store, "t")
    store.delete([keys[1]])
    found = timeline.recent(store, APPEND, instants)
    assert [c.batch.epoch for c in found] == [3, 1]
    with pytest.raises(KeyError, match=keys[1]):
        timeline.read(store, APPEND, instants[1])


class TestState:
    def test_before_the_first_write(self, store: ObjectStore) -> None:
        assert timeline.state(store, APPEND) == TableState(False, 0)
        store.put("lake/t/.hoodie/hoodie.properties", b"x=y")
        assert timeline.state(store, APPEND) == TableState(True, 0)

    def test_with_commits_of_hudi_alone(self, store: ObjectStore) -> None:
        commit(store, 1, None)
        assert timeline.state(store, APPEND) == TableState(True, 0)

    def test_the_checkpoint_is_the_highest_and_the_last_that_of_the_newest_claim(
        self, store: ObjectStore
    ) -> None:
        commit(store, 1, AppliedBatch(BatchRange(1, 4), 4, 1, "", 1))
        commit(store, 2, AppliedBatch(BatchRange(2, 3), 4, 3, "", 1, replay=True))
        commit(store, 3, AppliedBatch(BatchRange(5, 6), 6, 2, "", 1))
        state = timeline.state(store, APPEND)
        assert (state.exists, state.applied, state.doubled) == (True, 6, ())
        assert state.last is not None
        assert (state.last.epoch, state.last.instant) == (3, time(2))

    def test_late_commits_are_found_in_a_row(self, store: ObjectStore) -> None:
        for number, seq in enumerate([1, 2, 3, 4, 5, 3, 4, 6], 1):
            commit(store, number, batch(seq))
        state = timeline.state(store, APPEND)
        assert [b.instant for b in state.doubled] == [time(6), time(7)]

    def test_a_late_commit_behind_a_replay_is_found(self, store: ObjectStore) -> None:
        """All the timeline still has is a replay, whose checkpoint says how far the table was."""
        replay = AppliedBatch(BatchRange(2, 3), 9, 5, "", 1, replay=True)
        commit(store, 1, replay)
        commit(store, 2, batch(7))
        assert [b.batch.first_seq for b in timeline.state(store, APPEND).doubled] == [7]

    def test_a_batch_written_without_its_new_columns_is_there(self, store: ObjectStore) -> None:
        for number in (1, 2):
            late = AppliedBatch(BatchRange(5, 6), 4, number, "", 1, reapply=True)
            commit(store, number, late)
        assert [b.instant for b in timeline.state(store, APPEND).doubled] == [time(2)]

    def test_what_was_undone_is_not_doubled_any_more(self, store: ObjectStore) -> None:
        commit(store, 1, batch(1))
        commit(store, 2, batch(1))
        undone = {"lake.undone": json.dumps([time(2)])}
        commit(store, 3, batch(1, replay=True), extra=undone)
        assert timeline.state(store, APPEND).doubled == ()


def test_a_commit_is_ours_by_the_nonce_of_the_claim(store: ObjectStore) -> None:
    commit(store, 1, batch(1))
    commit(store, 2, batch(1))
    claim = Claim(1, "n1", BatchRange(1, 1), Worker("here", 1, 0.0), 0)
    job = BatchJob(APPEND, claim, (), Struct(()), Struct(()), 1, 1)
    found = timeline.committed(store, job)
    assert found is not None
    assert (found.nonce, found.batch.instant) == ("n1", time(1))
    assert timeline.committed(store, replace(job, claim=replace(claim, nonce="n9"))) is None


Stat = Mapping[str, int | str]
PARTS: list[tuple[str, Dataset, str, Sequence[Stat], Balance, tuple[int, int, int, int]]] = [
    # what, dataset, operation, counts of Hudi, known before;
    # then: written, deduplicated, deleted, dropped
    ("an append counts what was written", APPEND, "bulk_insert",
     [{"numWrites": 5, "numInserts": 4}, {"numWrites": 2}, {}],
     Balance(records=10, quarantined=2, dropped=1), (7, 0, 0, 1)),
    ("a plain append that lacks rows shows it", APPEND, "BULK_INSERT",
     [{"numWrites": 5}], Balance(records=10, quarantined=2, dropped=1), (5, 0, 0, 1)),
    ("a replay writes by upsert", APPEND, "UPSERT",
     [{"numWrites": 90, "numInserts": 3, "numUpdateWrites": 4}, {"numInserts": 1}],
     Balance(records=8), (8, 0, 0, 0)),
    ("rows that a WHERE left out are dropped", FILTERED, "BULK_INSERT",
     [{"numWrites": 4}], Balance(records=10, quarantined=1, dropped=2), (4, 0, 0, 5)),
    ("a step that makes rows leaves nothing over", FILTERED, "BULK_INSERT",
     [{"numWrites": 12}], Balance(records=10, dropped=2), (12, 0, 0, 2)),
    ("older records of a key are deduplicated", UPSERT, "UPSERT",
     [{"numWrites": 90, "numInserts": 2, "numUpdateWrites": 3, "numDeletes": 1},
      {"numUpdateWrites": 1, "numDeletes": 1}],
     Balance(records=12, quarantined=1, dropped=1, deleted=2), (6, 2, 2, 1)),
    ("more than was sent is not deduplicated", UPSERT, "UPSERT",
     [{"numInserts": 5}], Balance(records=4), (5, 0, 0, 0)),
    ("left out and older are one in an upsert", UPSERT_FILTERED, "UPSERT",
     [{"numInserts": 5}], Balance(records=9, dropped=1), (5, 3, 0, 1)),
    ("a row that moved is no delete", MOVING, "UPSERT",
     [{"numInserts": 3, "numDeletes": 2}], Balance(records=5, deleted=1), (3, 1, 1, 0)),
    ("with delete_when deletes are what is left", MOVING_SQL, "UPSERT",
     [{"numInserts": 3, "numDeletes": 5}],
     Balance(records=6, quarantined=1, deleted=9), (3, 0, 2, 0)),
    ("never less than none", MOVING_SQL, "UPSERT",
     [{"numInserts": 3, "numDeletes": 5}], Balance(records=2), (3, 0, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case[0])
def test_the_balance_of_a_commit(
    store: ObjectStore,
    case: tuple[str, Dataset, str, Sequence[Stat], Balance, tuple[int, int, int, int]],
) -> None:
    _, dataset, operation, stats, known, expected = case
    commit(store, 1, batch(1, balance=known), {"": stats}, operation)
    found = timeline.read(store, dataset, timeline.completed(store, "t")[0])
    assert found is not None
    balance = found.batch.balance
    parts = (balance.written, balance.deduplicated, balance.deleted, balance.dropped)
    assert parts == expected
    assert (balance.records, balance.quarantined) == (known.records, known.quarantined)


@pytest.mark.parametrize("dataset", [UPSERT, MOVING, MOVING_SQL], ids=["upsert", "moving", "sql"])
def test_deletes_that_were_counted_before_the_write_are_taken_as_they_are(
    store: ObjectStore, dataset: Dataset
) -> None:
    """Hudi counts those of unknown keys, and rows that moved, too."""
    stats = [{"numInserts": 3, "numDeletes": 5}]
    known = Balance(records=9, quarantined=1, deleted=2)
    counted = {"lake.counted": "true"}
    commit(store, 1, batch(1, balance=known), {"": stats}, "UPSERT", extra=counted)
    found = timeline.read(store, dataset, timeline.completed(store, "t")[0])
    assert found is not None
    balance = found.batch.balance
    assert (balance.written, balance.deleted, balance.deduplicated) == (3, 2, 3)
    assert balance.difference == 0


def test_properties_are_read_as_java_writes_them(store: ObjectStore) -> None:
    assert timeline.properties(store, "t") == {}
    text = "#Mon\nhoodie.table.recordkey.fields=a,\\u043a\\u043b\nx=file\\:/a\\=b\n"
    store.put("lake/t/.hoodie/hoodie.properties", text.encode())
    found = timeline.properties(store, "t")
    assert found == {"hoodie.table.recordkey.fields": "a,кл", "x": "file:/a=b"}


def test_the_partitions_of_the_newest_commit_with_any(store: ObjectStore) -> None:
    assert timeline.newest_partitions(store, "t") == []
    commit(store, 1, None, {"at=1": [{"numInserts": 1}]})
    commit(store, 2, None, {"at=2": [{"numInserts": 1}], "at=3": []})
    commit(store, 3, None, {})
    assert timeline.newest_partitions(store, "t") == ["at=2", "at=3"]


class TestStrays:
    ROOT = "lake/t/"

    def put(self, store: ObjectStore, *names: str) -> None:
        for name in names:
            store.put(self.ROOT + name, b"PAR1")

    def committed(self, store: ObjectStore, number: int, *paths: str, **values: Any) -> None:
        commit(store, number, None, {"": [{"path": p} for p in paths]}, **values)

    def test_base_files_that_their_completed_commit_does_not_name(self, store: ObjectStore) -> None:
        ours, theirs = f"g-0_1-2-3_{time(2)}.parquet", f"g-0_7-8-9_{time(2)}.parquet"
        other = f"day=a%2Fb/h-0_1-2-3_{time(2)}.parquet"
        self.put(store, ours, theirs, other)
        self.committed(store, 2, ours, other)
        assert strays(store, "t") == [self.ROOT + theirs]

    def test_in_partitions_too(self, store: ObjectStore) -> None:
        named, stray = f"day=x/g-0_1-2-3_{time(1)}.parquet", f"day=x/g-0_4-2-3_{time(1)}.parquet"
        self.put(store, named, stray)
        self.committed(store, 1, named, action="deltacommit")
        assert strays(store, "t") == [self.ROOT + stray]

    def test_all_else_is_left_alone(self, store: ObjectStore) -> None:
        self.committed(store, 2, f"g-0_1-2-3_{time(2)}.parquet")
        self.put(
            store,
            f"g-0_1-2-3_{time(2)}.parquet",
            f"g-0_1-2-3_{time(1)}.parquet",  # archived
            f"g-0_1-2-3_{time(3)}.parquet",  # at work
            f".g-0_{time(2)}.log.1_0-1-2",  # a commit names one log file of a group, not all
            f".g-0_9-9-9_{time(2)}.parquet.crc",
            f".hoodie/metadata/g-0_9-9-9_{time(2)}.parquet",
            ".hoodie_partition_metadata",
        )
        store.put(f"lake/t2/g-0_9-9-9_{time(2)}.parquet", b"PAR1")
        assert strays(store, "t") == []

    def test_a_commit_archived_meanwhile_names_nothing(self, store: ObjectStore) -> None:
        self.put(store, f"g-0_9-9-9_{time(1)}.parquet")
        self.committed(store, 1)

        class Archiving(Meddling):
            def get(self, key: str) -> bytes:
                self.once(lambda: self._inner.delete([key]))
                return bytes(self._inner.get(key))

        assert strays(Archiving(store), "t") == []
        self.committed(store, 1)
        assert len(strays(store, "t")) == 1
