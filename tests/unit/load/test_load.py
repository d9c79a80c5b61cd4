"""Phase 2 on the engine in memory: batches, claims, schema life, and a crash at every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Slice
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    CheckpointLostError,
    CorruptRawError,
    InvalidFieldError,
    LakeError,
    NotRunnableError,
    StorageUnavailableError,
)
from lake_platform.load.load import load
from lake_platform.raw import log as raw_log
from tests.support import HOUR_MS, STORE_CALLS, Fault, Lab, Trap, faulty_ports

SOURCE = Struct((Field("id", Scalar("long")), Field("name", Scalar("string"))))
MakeLab = Callable[[], Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[MakeLab]:
    made, labs = iter(range(10_000)), []

    def make() -> Lab:
        home = tmp_path / f"lab{next(made)}"
        home.mkdir()
        lab = Lab(home)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def test_nothing_new_opens_no_engine(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1})
    assert lab.cycle()
    engines: list[str] = []
    ports = replace(lab.ports(), engine=lambda f: engines.append(f) or lab.engine)  # type: ignore[func-returns-value]
    assert list(load("t", ports, lab.limits)) == []
    assert engines == []


def test_batches_are_bounded_by_bytes_and_keep_their_order(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 10))
    for n in range(60):
        lab.send({"id": n, "name": "x" * 50})
        if n % 10 == 9:
            lab.dump()
    size = raw_log.commits_after(lab.store, "t", 0)[0].raw_bytes
    lab.limits = replace(lab.limits, batch_bytes=int(2.5 * size))
    done = lab.load()
    assert [(r.applied.batch.first_seq, r.applied.batch.last_seq) for r in done] == [
        (1, 2),
        (3, 4),
        (5, 6),
    ]
    assert [r.applied.applied for r in done] == [2, 4, 6]
    lab.account()


def test_a_commit_larger_than_the_bound_is_a_batch_of_its_own(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.send({"id": 1, "name": "x" * 500})
    lab.limits = replace(lab.limits, batch_bytes=10)
    assert len(lab.cycle()) == 1
    lab.account()


def test_budget_ends_a_load_between_batches(lab: Lab) -> None:
    lab.register(source=SOURCE)
    for n in range(3):
        lab.send({"id": n})
        lab.dump()
    lab.limits = replace(lab.limits, batch_bytes=1, load_budget_seconds=0.5)
    seen = 0
    for _ in load("t", lab.ports(), lab.limits):
        seen += 1
        lab.now_ms += 400
    assert seen == 2
    assert len(lab.load()) == 1
    lab.account()


def test_status_forbids(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.send({"id": 1})
    lab.dump()
    for status in (Status.PAUSED, Status.RETIRED):
        lab.metastore.set_status("t", status)
        with pytest.raises(NotRunnableError) as caught:
            lab.load()
        assert caught.value.status == status
    assert "lake datasets unretire t" in str(caught.value)


def test_balance_of_an_append_closes(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.send_all([{"id": n} for n in range(20)])
    lab.send(b"{", reason="not one valid JSON document")
    lab.send(None)
    (done,) = lab.cycle()
    balance = done.applied.balance
    assert (balance.records, balance.written, balance.quarantined, balance.dropped) == (
        22,
        20,
        1,
        1,
    )
    assert balance.difference == 0
    assert done.quarantined == {"not one valid JSON document": 1}
    lab.account()
    progress = lab.metastore.progress("t")
    assert (progress.records, progress.quarantined, progress.dropped) == (20, 1, 1)


def test_tombstones_of_an_append_table_go_to_quarantine_when_told(lab: Lab) -> None:
    lab.register(source=SOURCE, tombstones="quarantine")
    lab.send({"id": 1})
    lab.send(None, key="1")
    (done,) = lab.cycle()
    assert done.applied.balance.quarantined == 1
    lab.account()


def test_upsert_keeps_the_last_and_deletes(lab: Lab) -> None:
    lab.register(mode="upsert", primary_key=("id",), source=SOURCE)
    for n in range(30):
        lab.send({"id": n % 5, "name": f"v{n}"}, key=str(n % 5))
    lab.send(None, key="3")
    lab.cycle()
    lab.send(None, key="99")
    lab.send({"id": 3, "name": "again"}, key="3")
    lab.send(None, key="4")
    lab.send(None, reason="the key of the tombstone does not give the primary key")
    lab.send(None, key="word", reason="the key of the tombstone does not give the primary key")
    (done,) = lab.cycle()
    assert done.applied.balance.difference == 0
    lab.account()
    assert {row["id"] for row in lab.rows()} == {0, 1, 2, 3}


@pytest.mark.parametrize("key", ["7", '"7"', '{"name":"7"}', '{"name":"7","more":1}'])
def test_tombstone_key_forms_of_a_text_key(lab: Lab, key: str) -> None:
    lab.register(mode="upsert", primary_key=("name",), source=SOURCE)
    lab.send({"id": 1, "name": "7"})
    lab.cycle()
    lab.send(None, key=key)
    lab.cycle()
    assert lab.rows() == []


def test_ordering_field_wins_over_arrival(lab: Lab) -> None:
    source = Struct((*SOURCE.fields, Field("at", Scalar("long"))))
    lab.register(mode="upsert", primary_key=("id",), ordering_field="at", source=source)
    lab.send({"id": 1, "name": "new", "at": 9})
    lab.send({"id": 1, "name": "late", "at": 3})
    lab.send({"id": 2, "name": "x", "at": None}, reason="ordering field is null or missing")
    lab.cycle()
    lab.send({"id": 1, "name": "later", "at": 4})
    lab.cycle()
    assert [row["name"] for row in lab.rows()] == ["new"]
    lab.account()


def test_a_key_that_moves_partition_keeps_kafka_order(lab: Lab) -> None:
    lab.register(partitions=2, mode="upsert", primary_key=("id",), source=SOURCE)
    for n in range(20):
        lab.send({"id": 1, "name": f"old{n}"}, partition=0)
    lab.now_ms += 1000
    lab.send({"id": 1, "name": "new"}, partition=1)
    lab.cycle()
    assert [row["name"] for row in lab.rows()] == ["new"]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_same_batch_again_changes_nothing(lab: Lab, mode: str) -> None:
    lab.register(mode=mode, primary_key=("id",), source=SOURCE)
    for n in range(3):
        lab.send_all([{"id": i, "name": f"{n}"} for i in range(4)])
        lab.send(b"[]", reason="not a JSON object")
        lab.dump()
        lab.now_ms += HOUR_MS
    lab.load()
    before = lab.rows()
    for window in ("2026-11-01-01:00", "2026-11-01-00:00"):
        assert lab.load(replay=[window])
        assert lab.rows() == before
    assert len(lab.quarantined()) == 3
    lab.account()


def test_replay_of_all_windows_at_once_changes_nothing(lab: Lab) -> None:
    lab.register(source=SOURCE)
    for _ in range(3):
        lab.send_all([{"id": 1}, {"id": 2}])
        lab.send(b"[]", reason="not a JSON object")
        lab.cycle()
        lab.now_ms += HOUR_MS
    windows = [f"2026-11-01-0{n}:00" for n in range(3)]
    (done,) = lab.load(replay=windows)
    assert (done.applied.batch.first_seq, done.applied.batch.last_seq) == (1, 3)
    assert done.applied.applied == 3
    assert lab.metastore.progress("t").records == 6
    lab.account()


def test_replay_does_not_bring_back_what_was_deleted(lab: Lab) -> None:
    lab.register(mode="upsert", primary_key=("id",), source=SOURCE)
    lab.send({"id": 1, "name": "a"})
    lab.cycle()
    lab.now_ms += HOUR_MS
    lab.send(None, key="1")
    lab.cycle()
    assert lab.rows() == []
    lab.load(replay=["2026-11-01-00:00"])
    assert lab.rows() == []
    lab.account()


def test_empty_topic_gets_its_schema_from_the_first_records(lab: Lab) -> None:
    lab.register(mode="upsert", primary_key=("id",))
    assert lab.cycle() == []
    lab.send({"id": 1, "o": {"x": [1.5]}})
    (done,) = lab.cycle()
    assert done.schema_version == 1
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert [str(f.type) for f in active.source.fields] == ["long", "struct<x:array<double>>"]
    lab.account()


def test_first_records_without_the_key_column_stop_with_its_name(lab: Lab) -> None:
    lab.register(mode="upsert", primary_key=("id",))
    lab.send({"other": 1})
    with pytest.raises(InvalidFieldError) as caught:
        lab.cycle()
    assert caught.value.value == "id"
    assert lab.metastore.active_schema("t") is None


def test_only_bad_records_and_no_schema_yet(lab: Lab) -> None:
    lab.register()
    lab.send(b"x", reason="not one valid JSON document")
    lab.send({}, table="t")
    lab.cycle()
    lab.send({"id": 1})
    lab.cycle()
    lab.account()


def test_changed_raw_object_stops_the_table(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.send({"id": 1})
    (commit,) = lab.dump()
    lab.store.put(commit.objects[0].key, b"other")
    with pytest.raises(CorruptRawError) as caught:
        lab.load()
    assert caught.value.key == commit.objects[0].key
    assert lab.rows() == []


def test_statistics_of_a_batch_whose_writer_died_are_caught_up(lab: Lab) -> None:
    lab.register(source=SOURCE)
    lab.send({"id": 1})
    lab.dump()

    class Dies(MemoryEngine):
        def write(self, job):  # type: ignore[no-untyped-def]
            super().write(job)
            raise Fault("after the commit")

    with pytest.raises(Fault):
        lab.load(engine=Dies(lab.store))
    assert lab.metastore.progress("t").applied_seq == 0
    lab.workers.crash()
    assert lab.load() == []
    progress = lab.metastore.progress("t")
    assert (progress.applied_seq, progress.records) == (1, 1)
    lab.account()


def _story(lab: Lab, mode: str) -> None:
    """Something of everything: two partitions, two hours, bad records, deletes, a new column."""
    lab.register(
        mode=mode, partitions=2, primary_key=("id",), source=SOURCE, max_quarantine_ratio=1.0
    )
    for n in range(6):
        lab.send({"id": n % 3, "name": f"v{n}"}, key=str(n % 3), partition=n % 3 % 2)
    lab.send(b"{", reason="not one valid JSON document")
    lab.send({"id": 3, "name": "x", "extra": n}, key="3", partition=1)
    lab.now_ms += HOUR_MS
    lab.send(None, key="1", partition=1)
    lab.send({"id": 4, "name": "y"}, key="4")


def _run_with(lab: Lab, trap: Trap) -> None:
    ports = faulty_ports(lab, trap)
    lab.dump(**ports)
    lab.load(**ports)
    lab.now_ms += HOUR_MS
    lab.load(replay=["2026-11-01-01:00"], **ports)


def _trapped(lab: Lab, trap: Trap, mode: str, evolution: str) -> bool:
    """Runs the story into the trap, then once more freely; False when the trap was not reached."""
    _story(lab, mode)
    lab.metastore.update("t", {"evolution": evolution}, 1, "test")
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 5), batch_bytes=500)
    try:
        _run_with(lab, trap)
    except Fault:
        lab.workers.crash()
    except LakeError:
        # The same process goes on: whatever it still claims, it did not die.
        lab.workers.dead.add(lab.workers.current)
    lab.cycle()
    try:
        lab.account()
    except AssertionError as error:
        raise AssertionError(f"{trap.where} (call {trap.at}): {error}") from None
    progress = lab.metastore.progress("t")
    assert progress.applied_seq == progress.head_seq
    assert lab.metastore.progress("t").backlog == 0
    return bool(trap.where)


def _every(
    make_lab: MakeLab, trap_at: Callable[[int], Trap], mode: str, evolution: str
) -> set[str]:
    places: set[str] = set()
    for at in range(1, 1_000):
        lab, trap = make_lab(), trap_at(at)
        reached = _trapped(lab, trap, mode, evolution)
        lab.close()
        if not reached:
            break
        places.add(trap.where)
    return places


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evolution", "mode"),
    [
        ("same_batch", "upsert"), ("next_batch", "append"),
        pytest.param("same_batch", "append", marks=pytest.mark.deep),
        pytest.param("next_batch", "upsert", marks=pytest.mark.deep),
    ],
)  # fmt: skip
def test_a_kill_before_every_change_loses_and_doubles_nothing(
    make_lab: MakeLab, mode: str, evolution: str
) -> None:
    places = _every(make_lab, Trap, mode, evolution)
    changes = "put put_new write add_schema_version update_progress record_batch report_offsets"
    assert {f"before {name}" for name in changes.split()} <= places


@pytest.mark.slow
@pytest.mark.deep
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_store_that_fails_at_every_call(make_lab: MakeLab, mode: str) -> None:
    def trap(at: int) -> Trap:
        return Trap(at, STORE_CALLS, "before", StorageUnavailableError("no answer"))

    places = _every(make_lab, trap, mode, "same_batch")
    assert {f"before {name}" for name in ("get", "list", "put", "put_new", "head")} <= places


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_store_whose_reply_is_lost_after_every_write(make_lab: MakeLab, mode: str) -> None:
    def trap(at: int) -> Trap:
        calls = frozenset(["put", "put_new", "delete"])
        return Trap(at, calls, "after", StorageUnavailableError("reply lost"))

    assert {"after put", "after put_new"} <= _every(make_lab, trap, mode, "same_batch")


def test_a_replay_goes_to_its_end_whatever_the_budget(lab: Lab) -> None:
    """Ended halfway it would leave rows in the table that later records deleted."""
    lab.register(mode="upsert", primary_key=("id",), source=SOURCE)
    lab.send({"id": 1, "name": "a"})
    lab.cycle()
    lab.send(None, key="1")
    lab.cycle()
    lab.limits = replace(lab.limits, batch_bytes=1, load_budget_seconds=0.5)
    done = 0
    for _ in load("t", lab.ports(), lab.limits, ["2026-11-01-00:00"], replay=True):
        done += 1
        lab.now_ms += 400_000
    assert done == 2
    assert lab.rows() == []


def test_a_table_behind_its_recorded_checkpoint_stops(lab: Lab) -> None:
    lab.register(source=SOURCE)
    for n in range(2):
        lab.send({"id": n})
        lab.cycle()
    newest = max(i.key for i in lab.store.list("lake/t/commits/"))
    lab.store.delete([newest])
    lab.send({"id": 2})
    lab.dump()
    with pytest.raises(CheckpointLostError) as caught:
        lab.load()
    assert (caught.value.recorded, caught.value.found) == (2, 1)
    assert len(lab.rows()) == 1


def test_a_table_removed_whole_is_built_again_from_raw(lab: Lab) -> None:
    lab.register(source=SOURCE)
    for n in range(2):
        lab.send({"id": n})
        lab.cycle()
    lab.store.delete([i.key for i in lab.store.list("lake/t/")])
    lab.store.delete([i.key for i in lab.store.list("checkpoints/t/phase2/")])
    lab.send({"id": 2})
    lab.cycle()
    lab.account()
