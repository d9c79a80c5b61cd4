"""Phase 2 on the engine in memory: batches, claims, schema life, and a crash at every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory_engine import MemoryEngine
from lake_platform.domain.batches import BatchJob, BatchRange, WriteResult
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import Slice
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    BatchClaimedError,
    CheckpointLostError,
    CommitRaceError,
    CorruptRawError,
    InvalidFieldError,
    LakeError,
    NotRunnableError,
    QuarantineRatioError,
    RawExpiredError,
    SchemaBlockedError,
    StorageUnavailableError,
)
from lake_platform.ingest import claims, raw_log
from lake_platform.ingest.compact_log import compact_log
from lake_platform.ingest.load import load
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
    assert "register a new table" in str(caught.value)  # a retired one is never resumed


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


class TestSchemaLife:
    def test_same_batch_adds_columns_at_any_depth(self, lab: Lab) -> None:
        lab.register(
            source=Struct((*SOURCE.fields, Field("o", Struct((Field("a", Scalar("long")),)))))
        )
        lab.send({"id": 1, "name": "a", "o": {"a": 1}})
        lab.cycle()
        lab.send({"id": 2, "name": "b", "extra": [{"k": 1}], "o": {"a": 1, "b": "x"}})
        lab.send({"id": 3})
        (done,) = lab.cycle()
        assert sorted(c.path for c in done.changes) == ["extra", "o.b"]
        assert done.schema_version == 2
        lab.account()

    def test_next_batch_loads_twice_and_once(self, lab: Lab) -> None:
        lab.register(source=SOURCE, evolution="next_batch")
        lab.send({"id": 1, "name": "a"})
        lab.cycle()
        lab.send({"id": 2, "extra": 5})
        lab.dump()
        first, second = lab.load()
        assert (first.applied.reapply, second.applied.reapply) == (True, False)
        assert second.applied.replay
        assert "extra" not in [f.name for f in first.table_schema.fields]
        assert [r.get("extra") for r in lab.rows()] == [None, 5]
        lab.account()
        assert lab.metastore.progress("t").records == 2

    def test_widening_is_automatic(self, lab: Lab) -> None:
        lab.register(source=Struct((Field("n", Scalar("int")),)))
        lab.send({"n": 1})
        lab.send({"n": 2**40})
        (done,) = lab.cycle()
        assert [str(c) for c in done.changes] == ["column n: int became long (widen)"]
        lab.account()

    def test_breaking_writes_nothing_and_phase_one_goes_on(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        before = lab.rows()
        lab.send({"id": 2})
        lab.send({"id": "three"})
        lab.dump()
        with pytest.raises(SchemaBlockedError) as caught:
            lab.load()
        assert caught.value.changes == ["column id: long became string (type)"]
        assert lab.rows() == before
        assert lab.metastore.get("t").status == Status.BLOCKED
        (incident,) = lab.metastore.incidents("t")
        assert incident.samples[0]["offset"] == 2
        with pytest.raises(NotRunnableError):
            lab.load()
        lab.send({"id": 4})
        assert len(lab.dump()) == 1
        assert lab.metastore.get("t").status == Status.BLOCKED

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ({"ID": 1}, "case"),
            ({"id": 2**63}, "decimal"),
            ({"id": 1.5}, "double"),
            ({"id": {"x": 1}}, "struct"),
            ({"id": [1]}, "array"),
            ({"name": 5}, "long"),
            ({"new": 1, "NEW": 2}, "case"),
        ],
    )
    def test_breaking_kinds(self, lab: Lab, value: object, kind: str) -> None:
        lab.register(source=SOURCE)
        lab.send(value)
        with pytest.raises(SchemaBlockedError) as caught:
            lab.cycle()
        assert kind in str(caught.value)
        assert lab.rows() == []

    def test_new_column_whose_records_disagree_is_breaking(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({"id": 1, "x": 1})
        lab.send({"id": 2, "x": "one"})
        with pytest.raises(SchemaBlockedError):
            lab.cycle()

    @pytest.mark.parametrize("values", [(1, 2.5), (2.5, 1)])
    def test_new_column_of_whole_numbers_and_fractions_is_a_double(
        self, lab: Lab, values: tuple[float, float]
    ) -> None:
        lab.register(source=SOURCE)
        for value in values:
            lab.send({"id": 1, "x": value})
        (done,) = lab.cycle()
        assert str(done.table_schema.fields[-1].type) == "double"
        lab.account()

    def test_absent_columns_are_no_change(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send({})
        lab.send({"name": None})
        (done,) = lab.cycle()
        assert done.changes == ()
        lab.account()


class TestQuarantineRatio:
    def test_too_many_bad_records_stop_and_write_nothing(self, lab: Lab) -> None:
        lab.register(source=SOURCE)
        lab.send_all([{"id": n} for n in range(50)])
        lab.send_all([b"{"] * 11)
        with pytest.raises(QuarantineRatioError) as caught:
            lab.cycle()
        assert (caught.value.bad, caught.value.total) == (11, 61)
        assert lab.rows() == []
        assert lab.quarantined() == []
        assert "11 of 61" in lab.metastore.progress("t").last_error

    def test_the_raised_limit_lets_them_through(self, lab: Lab) -> None:
        lab.register(source=SOURCE, max_quarantine_ratio=1.0)
        lab.send_all([b"{"] * 11, reason="not one valid JSON document")
        lab.cycle()
        lab.account()

    def test_ten_are_always_tolerated(self, lab: Lab) -> None:
        lab.register(source=SOURCE, max_quarantine_ratio=0.0)
        lab.send_all([b"{"] * 10, reason="not one valid JSON document")
        lab.cycle()
        lab.account()


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
        lab.send_all([{"id": 1}, {"id": "two"}])
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
        lab.metastore.resolve(lab.metastore.incidents("t")[0].id, "test", "ann")
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


def _dying(lab: Lab, trap: Trap):  # type: ignore[no-untyped-def]
    class Dying(MemoryEngine):
        def write(self, job):  # type: ignore[no-untyped-def]
            trap.step("write", "before")
            return super().write(job)

    return Dying(lab.store)


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
@pytest.mark.parametrize("evolution", ["same_batch", "next_batch"])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_kill_before_every_change_loses_and_doubles_nothing(
    make_lab: MakeLab, mode: str, evolution: str
) -> None:
    places = _every(make_lab, Trap, mode, evolution)
    changes = "put put_new write add_schema_version update_progress record_batch report_offsets"
    assert {f"before {name}" for name in changes.split()} <= places


@pytest.mark.slow
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
        held: list[BatchJob] = []

        class Holding(MemoryEngine):
            def write(self, job: BatchJob) -> WriteResult:
                held.append(job)
                raise Fault("stands still")

        class Late(MemoryEngine):
            def fence(self, dataset: Dataset, epoch: int) -> None:
                MemoryEngine(lab.store).write(held[0])
                super().fence(dataset, epoch)

        with pytest.raises(Fault):
            lab.load(engine=Holding(lab.store))
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


class TestSleepers:
    """Writers that stand still at the worst call; all found by tests/simulation."""

    def test_a_replay_never_takes_the_checkpoint_back(self, lab: Lab) -> None:
        """The dead one commits between the replay's look behind the fence and its write."""
        lab.register(source=SOURCE)
        lab.send({"id": 1})
        lab.cycle()
        lab.send({"id": 2})
        lab.dump()
        held: list[BatchJob] = []

        class Holding(MemoryEngine):
            def write(self, job: BatchJob) -> WriteResult:
                held.append(job)
                raise Fault("stands still")

        class Late(MemoryEngine):
            def write(self, job: BatchJob) -> WriteResult:
                lab.store.delete([i.key for i in lab.store.list("checkpoints/t/phase2/locks/")])
                MemoryEngine(lab.store).write(held[0])  # it had passed the fence before
                return super().write(job)

        with pytest.raises(Fault):
            lab.load(engine=Holding(lab.store))
        lab.workers.crash()
        with pytest.raises(CommitRaceError):
            lab.load(replay=["2026-11-01-00:00"], engine=Late(lab.store))
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
        with pytest.raises(InvalidFieldError, match="no such column"):
            lab.cycle()
        lab.send({"id": 2, "name": "x"})
        lab.cycle()
        lab.account()
        assert [row["id"] for row in lab.rows()] == [2]
