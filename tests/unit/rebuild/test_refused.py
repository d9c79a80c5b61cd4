"""What a rebuild refuses, and who may work beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.domain.batches import BatchJob, WriteResult
from lake_platform.domain.dataset import Status
from lake_platform.domain.fitness import check_against_schema
from lake_platform.domain.ports import TableEngine
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    InvalidFieldError,
    NotRunnableError,
    RawExpiredError,
    RebuildStoppedError,
)
from lake_platform.evolution.reshaped import reshaped
from lake_platform.maintain.cleaner import compact_log
from lake_platform.metastore.service import UseCases
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.sight.infer import look
from tests.audit_support import no_session
from tests.support import HOUR_MS, Fault, Lab
from tests.unit.rebuild.test_rebuild_kills import parquet_rows

UPSERT: dict[str, Any] = {"mode": "upsert", "primary_key": ["id"]}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def work(lab: Lab, **ports: Any) -> Rebuilder:
    def check(dataset: Any, source: Any) -> tuple[str, ...]:
        if source is not None:
            check_against_schema(dataset, source)
        return ()

    return Rebuilder(lab.metastore, lab.ports(**ports), lab.limits, check)


def build(rebuilder: Rebuilder, changes: dict[str, Any]) -> None:
    rebuilder.begin("t", changes, "ops")
    for _ in rebuilder.build("t"):
        pass


def loaded(lab: Lab, *values: Any, **definition: Any) -> None:
    lab.register(**definition)
    lab.send_all(values or ({"id": 1, "v": "a"}, {"id": 2, "v": "b"}))
    lab.cycle()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"topic": "other"}, "topic='other': a rebuild is made of the raw of t, of topic topic.t"),
        ({"table": "u"}, "table='u': a rebuild is made of the raw of t"),
        ({"value_format": "avro"}, "value_format='avro': a rebuild is made of the raw of t"),
        ({"mode": "upsert"}, "primary_key=.*: upsert needs a key"),
        ({"mode": "upsert", "primary_key": ["nope"]}, "primary_key='nope': no such column"),
        ({"columns.v": {"type": "nope"}}, "columns.v.type='nope': no type"),
        ({"columns.": {"type": "string"}}, "columns=.*: not a path"),
        ({"nope": 1}, "nope=1: unknown field"),
        ({"columns.v": {"name": "id"}}, "columns='id': would be two columns"),
        ({}, "change={}: nothing of the definition of t would differ"),
    ],
)
def test_a_definition_that_cannot_be(lab: Lab, changes: dict[str, Any], says: str) -> None:
    loaded(lab)
    with pytest.raises(InvalidFieldError, match=says):
        work(lab).begin("t", changes, "ops")
    assert lab.metastore.rebuild("t") is None
    assert lab.metastore.get("t").version == 1


def test_a_second_rebuild_goes_on_with_the_first_or_is_refused(lab: Lab) -> None:
    loaded(lab)
    rebuilder = work(lab)
    first = rebuilder.begin("t", UPSERT, "ops")
    assert not first.resumed
    for again in ({}, UPSERT):
        found = rebuilder.begin("t", again, "ops")
        assert found.resumed and found.rebuild == first.rebuild
        assert found.changes["mode"] == ("append", "upsert")
    with pytest.raises(InvalidFieldError, match="is being rebuilt with another mode, primary_key"):
        rebuilder.begin("t", {"partition_by": ["v"]}, "ops")
    with pytest.raises(InvalidFieldError, match="lake rebuild t --abort"):
        lab.metastore.update("t", {"owner": "x"}, 1, "ops")


def test_no_raw_and_a_retired_table(lab: Lab) -> None:
    lab.register()
    with pytest.raises(InvalidFieldError, match="no raw to be made of; dump it first: lake dump t"):
        work(lab).begin("t", UPSERT, "ops")
    lab.metastore.retire("t", "ops")
    with pytest.raises(NotRunnableError):
        work(lab).begin("t", UPSERT, "ops")
    with pytest.raises(InvalidFieldError, match="is not being rebuilt; begin: lake rebuild t"):
        work(lab).swap("t")


def test_a_table_that_was_retired_meanwhile_is_not_swapped(lab: Lab) -> None:
    loaded(lab)
    build(work(lab), UPSERT)
    lab.metastore.retire("t", "ops")
    with pytest.raises(NotRunnableError):
        work(lab).swap("t")
    assert work(lab).abort("t", "ops")
    assert len(lab.rows()) == 2


def test_raw_that_expired_is_named(lab: Lab) -> None:
    loaded(lab)
    lab.send({"id": 3, "v": "c"})
    lab.cycle()
    lab.now_ms += 100 * 24 * HOUR_MS
    compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1)
    with pytest.raises(RawExpiredError, match=r"raw commits 1 to 1 .* Register another"):
        work(lab).begin("t", UPSERT, "ops")


def test_raw_that_expires_while_a_rebuild_begins_is_named(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no damage: nothing outside the platform took it."""
    loaded(lab)
    lab.send({"id": 3, "v": "c"})
    lab.cycle()

    def slept(*given: Any) -> Any:
        lab.now_ms += 100 * 24 * HOUR_MS
        compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1)
        return reshaped(*given)

    monkeypatch.setattr("lake_platform.rebuild.rebuild.reshaped", slept)
    with pytest.raises(RawExpiredError, match=r"raw commits 1 to 1 .* Register another"):
        work(lab).begin("t", {"columns.v": {"type": "json"}}, "ops")
    assert lab.metastore.rebuild("t") is None


def test_raw_stays_while_a_rebuild_reads_it(lab: Lab) -> None:
    loaded(lab)
    lab.send({"id": 3, "v": "c"})
    lab.cycle()
    work(lab).begin("t", UPSERT, "ops")
    lab.now_ms += 100 * 24 * HOUR_MS
    assert compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1).raw_removed == 0
    for _ in work(lab).build("t"):
        pass
    work(lab).swap("t")
    lab.account()
    assert compact_log("t", lab.ports(), keep_commits=1, raw_retention_days=1).raw_removed == 1


def test_values_that_do_not_fit_stop_the_rebuild_and_nothing_else(lab: Lab) -> None:
    loaded(lab, {"id": 1, "v": 1}, on_conflict="rescue")
    lab.send({"id": 2, "v": "text"})
    lab.cycle()
    rebuilder = work(lab)
    rebuilder.begin("t", {"on_conflict": "block"}, "ops")
    for _ in range(4):
        with pytest.raises(RebuildStoppedError, match="column v: long became string") as caught:
            list(rebuilder.build("t"))
    assert "lake rebuild t --abort" in str(caught.value)
    assert lab.metastore.incidents() == []
    assert len(lab.rows()) == 2
    assert rebuilder.abort("t", "ops")
    assert not rebuilder.abort("t", "ops")
    build(rebuilder, {"on_conflict": "block", "columns.v": {"type": "string"}})
    rebuilder.swap("t")
    assert [r["v"] for r in lab.plain_rows()] == ["1", "text"]


def test_too_many_bad_records_stop_the_rebuild(lab: Lab) -> None:
    loaded(lab, *[{"id": n} for n in range(5)], max_quarantine_ratio=1.0)
    lab.send_all([b"{"] * 20)
    lab.cycle()
    rebuilder = work(lab)
    rebuilder.begin("t", {"max_quarantine_ratio": 0.1}, "ops")
    with pytest.raises(RebuildStoppedError, match="20 of 25 records of a batch would go to quara"):
        list(rebuilder.build("t"))


def test_abort_drops_all_of_it(lab: Lab) -> None:
    loaded(lab)
    before = {i.key: lab.store.get(i.key) for i in lab.store.list("lake/")}
    rows = lab.rows()
    build(work(lab), UPSERT)
    assert work(lab).abort("t", "ops")
    assert {i.key: lab.store.get(i.key) for i in lab.store.list("lake/")} == before
    assert [i.key for i in lab.store.list("") if ".rebuild-" in i.key] == []
    lab.send({"id": 3, "v": "c"})
    lab.cycle()
    assert lab.rows()[:2] == rows
    lab.account()


def test_no_swap_and_no_abort_while_the_table_is_loaded(lab: Lab) -> None:
    loaded(lab)
    build(work(lab), UPSERT)
    lab.send({"id": 3, "v": "c"})
    lab.dump()

    class Stands(MemoryEngine):
        def write(self, job: BatchJob) -> WriteResult:
            raise Fault(f"stands still at {job.batch}")

    with pytest.raises(Fault):
        lab.load(engine=Stands(lab.store))
    sleeper = lab.workers.current
    lab.workers.current = replace(sleeper, pid=77)
    with pytest.raises(BatchClaimedError):
        work(lab).swap("t")
    with pytest.raises(BatchClaimedError):
        work(lab).abort("t", "ops")
    lab.workers.dead.add(sleeper)
    work(lab).swap("t")
    lab.account()
    assert len(lab.rows()) == 3


def test_no_load_while_the_table_is_swapped(lab: Lab) -> None:
    loaded(lab)
    build(work(lab), UPSERT)

    class Stands(MemoryEngine):
        def clear(self, *_: Any) -> None:
            raise Fault("stands still")

    with pytest.raises(Fault):
        work(lab, engine=Stands(lab.store)).swap("t")
    sleeper = lab.workers.current
    lab.workers.current = replace(sleeper, pid=77)
    lab.send({"id": 3, "v": "c"})
    lab.dump()
    with pytest.raises(BatchClaimedError):
        lab.load()
    with pytest.raises(BatchClaimedError):
        work(lab).swap("t")
    lab.workers.dead.add(sleeper)
    lab.load()
    assert lab.dataset().mode == "upsert"
    lab.account()


class Late:
    """An engine whose writer stands still before its commit and wakes later."""

    def __init__(self, inner: TableEngine) -> None:
        self._inner = inner
        self.job: BatchJob | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, job: BatchJob) -> WriteResult:
        self.job = job
        raise Fault("stands still")


def memory(lab: Lab) -> TableEngine:
    return MemoryEngine(lab.store)


def parquet(lab: Lab) -> TableEngine:
    lab.read_rows = parquet_rows(lab)
    lab.engine = ParquetEngine(no_session, lab.store)
    return lab.engine


@pytest.mark.parametrize("engine", [memory, parquet])
def test_who_wakes_after_the_swap_commits_nothing(
    lab: Lab, engine: Callable[[Lab], TableEngine]
) -> None:
    inner = engine(lab)
    loaded(lab, {"id": 1, "v": 1}, format="parquet")
    lab.send({"id": 2, "v": 2})
    lab.dump()
    late: Any = Late(inner)
    with pytest.raises(Fault):
        lab.load(engine=late)
    lab.workers.crash()
    build(work(lab), {"columns.v": {"type": "string"}})
    work(lab).swap("t")
    assert late.job is not None
    with pytest.raises(CommitRaceError):
        inner.write(late.job)
    lab.account()
    lab.send({"id": 3, "v": 3})
    lab.cycle()
    lab.account()
    with pytest.raises(CommitRaceError):
        inner.write(late.job)
    lab.account()


def test_a_swap_that_was_taken_for_dead_is_not_decided_any_more(lab: Lab) -> None:
    loaded(lab)
    rebuilder = work(lab)
    build(rebuilder, UPSERT)
    lab.send({"id": 3, "v": "c"})
    lab.dump()
    sleeper = lab.workers.current

    class Sleeps(MemoryEngine):
        """Stands still while it catches up, until another process has loaded the live table."""

        def write(self, job: BatchJob) -> WriteResult:
            if ".rebuild-" in job.dataset.table:
                lab.workers.current = replace(sleeper, pid=77)
                lab.workers.dead.add(sleeper)
                lab.load(engine=MemoryEngine(lab.store))
                lab.workers.current = sleeper
            return super().write(job)

    with pytest.raises(CommitRaceError, match="nothing was swapped"):
        work(lab, engine=Sleeps(lab.store)).swap("t")
    lab.workers.crash()
    assert lab.dataset().mode == "append"
    lab.account()
    work(lab).swap("t")
    assert lab.dataset().mode == "upsert"
    lab.account()


def test_a_table_can_be_rebuilt_again_and_again(lab: Lab) -> None:
    loaded(lab, {"id": 1, "v": "a", "w": 1}, {"id": 1, "v": "b", "w": 2})
    changes: list[dict[str, Any]] = [
        UPSERT, {"mode": "append", "primary_key": []}, {"columns.w": {"drop": True}},
        {"columns.w": None}, {"names": "lower", **UPSERT}, {"primary_key": ["v"]},
    ]  # fmt: skip
    for number, change in enumerate(changes):
        build(work(lab), change)
        work(lab).swap("t")
        lab.account()
        lab.send({"id": number, "v": f"v{number}", "w": number})
        lab.cycle()
        lab.account()
    assert lab.metastore.get("t").version == 7
    assert lab.metastore.get("t").status is not Status.BLOCKED
    assert "w" in lab.plain_rows()[0]


@pytest.mark.parametrize("engine", [memory, parquet])
def test_nobody_builds_on_what_is_being_swapped_in(
    lab: Lab, engine: Callable[[Lab], TableEngine]
) -> None:
    inner = engine(lab)
    loaded(lab, {"id": 1, "v": 1}, format="parquet")
    build(work(lab), {"columns.v": {"type": "string"}})

    class Dies(Late):
        def move_in(self, *_: Any) -> None:
            raise Fault("dies")

    dying: Any = Dies(inner)
    with pytest.raises(Fault):
        work(lab, engine=dying).swap("t")
    lab.send({"id": 2, "v": 2})
    lab.dump()
    sleeper = lab.workers.current
    lab.workers.current = replace(sleeper, pid=77)
    with pytest.raises(BatchClaimedError):
        list(work(lab).build("t"))
    lab.workers.dead.add(sleeper)
    with pytest.raises(CommitRaceError):  # whose begin was before
        list(work(lab).build("t"))
    assert work(lab).swap("t").dataset.columns == {"v": {"type": "string"}}
    lab.load()
    lab.account()
    assert [r["v"] for r in lab.plain_rows()] == ["1", "2"]


def test_columns_by_hand_wait(lab: Lab) -> None:
    loaded(lab)
    work(lab).begin("t", UPSERT, "ops")
    use_cases = UseCases(lab.metastore, lab.kafka, look)
    with pytest.raises(InvalidFieldError, match="is being rebuilt; end that first"):
        use_cases.add_column("t", "w", "long", "ops")
    with pytest.raises(InvalidFieldError, match="is being rebuilt; end that first"):
        use_cases.drop_column("t", "v", "ops")


@pytest.mark.parametrize("engine", [memory, parquet])
def test_a_window_of_a_rebuilt_table_is_replayed(
    lab: Lab, engine: Callable[[Lab], TableEngine]
) -> None:
    engine(lab)
    loaded(lab, {"id": 1, "v": 1}, {"id": 2, "v": 2}, format="parquet")
    lab.now_ms += HOUR_MS
    lab.send({"id": 3, "v": 3})
    lab.cycle()
    lab.limits = replace(lab.limits, batch_bytes=1)
    build(work(lab), {"columns.v": {"type": "string"}})
    work(lab).swap("t")
    (done,) = lab.load(replay=["2026-11-01-00:00"])
    assert done.applied.balance.written == 2
    lab.account()
    assert lab.metastore.progress("t").records == 3
