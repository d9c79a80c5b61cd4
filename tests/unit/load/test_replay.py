"""Which commits a replay applies again, and what a load tells the metastore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.batches import BatchJob, BatchRange, Judgement, WriteResult
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import Slice
from lake_platform.domain.ports import TableEngine
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.dump.dump import dump
from lake_platform.errors import RawExpiredError
from lake_platform.load.load import load
from lake_platform.raw import log as raw_log
from tests.support import HOUR_MS, NOW_MS, Fault, Faulty, Lab, Trap

FIRST, SECOND = "2026-11-01-00:00", "2026-11-01-01:00"
Spans = list[tuple[int, int]]


class Noting:
    """An engine that keeps its jobs; `whole` are batches it holds as one piece, as Parquet does."""

    def __init__(self, inner: TableEngine, *whole: tuple[int, int]) -> None:
        self._inner, self._whole = inner, [BatchRange(*w) for w in whole]
        self.jobs: list[BatchJob] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:
        assert dataset.table == "t"
        held = [w for w in self._whole if w.first_seq <= batch.first_seq <= w.last_seq]
        return held[0] if held else batch

    def write(self, job: BatchJob) -> WriteResult:
        self.jobs.append(job)
        return self._inner.write(job)

    def spans(self) -> Spans:
        return [(j.batch.first_seq, j.batch.last_seq) for j in self.jobs]


class Unconditional(Noting):
    """The engine in memory has no SQL; these records meet no condition anyway."""

    def judge(self, job: BatchJob) -> Judgement:  # noqa: ARG002 - port
        return Judgement()

    def derive(
        self,
        dataset: Dataset,  # noqa: ARG002 - port
        source: Struct,
        seen: Struct | None = None,  # noqa: ARG002 - port
    ) -> Struct:
        return source

    def write(self, job: BatchJob) -> WriteResult:
        return super().write(replace(job, dataset=replace(job.dataset, delete_when="")))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def fill(lab: Lab, hours: Sequence[int], tombstone: int = 0, **values: Any) -> None:
    """Commit n has one record of the hour `hours[n - 1]`; commit `tombstone` also a tombstone."""
    lab.register(**values)
    lab.now_ms += HOUR_MS
    for number, hour in enumerate(hours, 1):
        at = NOW_MS + hour * HOUR_MS
        lab.send({"id": number, "name": "x"}, key=str(number), at_ms=at)
        if number == tombstone:
            lab.send(None, key="1", at_ms=lab.now_ms)
        lab.cycle()


def replayed(lab: Lab, *windows: str, whole: Spans | None = None) -> Spans:
    engine = Noting(lab.engine, *whole or [])
    lab.load(replay=windows, engine=engine)
    assert all(j.replay and j.applied == lab.engine.state(lab.dataset()).applied
               for j in engine.jobs)  # fmt: skip
    lab.account()
    return engine.spans()


UPSERT: dict[str, Any] = {"mode": "upsert", "primary_key": ("id",)}


@pytest.mark.parametrize(
    ("hours", "spans"),
    [
        ([1, 1, 1, 1], []),
        ([0, 0, 0, 0], [(1, 4)]),
        ([1, 0, 0, 1, 1, 0], [(2, 3), (6, 6)]),
        ([0, 1, 0, 1, 0], [(1, 1), (3, 3), (5, 5)]),
    ],
)
def test_only_commits_of_the_window_in_order(lab: Lab, hours: list[int], spans: Spans) -> None:
    fill(lab, hours)
    assert replayed(lab, FIRST) == spans


def test_of_several_windows(lab: Lab) -> None:
    fill(lab, [0, 1, 2, 0, 1])
    assert replayed(lab, FIRST, SECOND) == [(1, 2), (4, 5)]


def test_one_commit_a_batch_when_no_more_fit(lab: Lab) -> None:
    fill(lab, [0, 0, 1, 0])
    lab.limits = replace(lab.limits, batch_bytes=1)
    assert replayed(lab, FIRST) == [(1, 1), (2, 2), (4, 4)]


def test_whole_batches_where_the_engine_holds_whole_ones(lab: Lab) -> None:
    fill(lab, [0, 1, 1, 0, 0])
    assert replayed(lab, FIRST, whole=[(1, 4)]) == [(1, 4), (5, 5)]


@pytest.mark.parametrize(
    ("tombstone", "spans"),
    [
        (0, [(2, 2)]),
        (1, [(2, 2)]),  # before what is replayed: it deletes nothing of it
        (2, [(2, 5)]),
        (4, [(2, 5)]),
        (5, [(2, 5)]),
    ],
)
def test_behind_a_delete_it_goes_on_to_the_end(lab: Lab, tombstone: int, spans: Spans) -> None:
    fill(lab, [1, 0, 1, 1, 1], tombstone, **UPSERT)
    assert replayed(lab, FIRST) == spans


def test_a_condition_may_delete_anywhere(lab: Lab) -> None:
    lab.engine = Unconditional(lab.engine)
    fill(lab, [1, 0, 1, 1], delete_when="gone", **UPSERT)
    assert replayed(lab, FIRST) == [(2, 4)]


def test_tombstones_delete_nothing_in_an_append_table(lab: Lab) -> None:
    fill(lab, [1, 0, 1, 1], tombstone=3)
    assert replayed(lab, FIRST) == [(2, 2)]


def test_only_what_was_applied(lab: Lab) -> None:
    fill(lab, [0, 0], **UPSERT)
    lab.send(None, key="1", at_ms=NOW_MS)
    lab.dump()
    engine = Noting(lab.engine)
    lab.load(replay=[FIRST], engine=engine)
    assert engine.spans() == [(1, 2)]


@pytest.mark.parametrize(("gone", "told"), [(3, False), (2, True), (1, True)])
def test_what_raw_retention_took_is_told_before_anything_is_written(
    lab: Lab, gone: int, told: bool
) -> None:
    fill(lab, [0, 0, 1])
    lost = raw_log.commits_after(lab.store, "t", 0)[gone - 1]
    marked = replace(lost, expired_at=lab.now_ms).to_bytes()
    lab.store.put(raw_log.commit_key("t", gone), marked)
    lab.limits = replace(lab.limits, batch_bytes=1)
    engine = Noting(lab.engine)
    if not told:
        lab.load(replay=[FIRST], engine=engine)
        assert engine.spans() == [(1, 1), (2, 2)]
        return
    with pytest.raises(RawExpiredError, match=r"'t'") as caught:
        lab.load(replay=[FIRST], engine=engine)
    assert (caught.value.first_seq, caught.value.last_seq) == (gone, gone)
    assert engine.jobs == []


def test_it_stops_between_batches_when_told(lab: Lab) -> None:
    fill(lab, [0, 0, 0])
    lab.limits = replace(lab.limits, batch_bytes=1)
    answers = iter([False, True])
    stop: Callable[[], bool] = lambda: next(answers)  # noqa: E731
    results = list(load("t", lab.ports(), lab.limits, [FIRST], True, stop))
    assert [r.applied.batch for r in results] == [BatchRange(1, 1)]


class TestTold:
    """The metastore after a load."""

    def slices(self, lab: Lab) -> None:
        """A slice of each two records."""
        lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1), batch_bytes=1)

    def test_all_is_loaded(self, lab: Lab) -> None:
        lab.register()
        lab.send({"id": 1})
        lab.dump()
        lab.metastore.update_progress("t", load_error="of a load before")
        lab.now_ms += 5_000
        lab.load()
        progress = lab.metastore.progress("t")
        assert (progress.applied_seq, progress.complete_through) == (1, NOW_MS)
        assert (progress.loaded_at, progress.last_error) == (NOW_MS + 5_000, "")
        assert lab.metastore.get("t").status == Status.LIVE

    def test_part_of_it_is_loaded(self, lab: Lab) -> None:
        lab.register()
        for n in range(2):
            lab.send({"id": n})
            lab.dump()
            lab.now_ms += 1_000
        lab.limits = replace(lab.limits, batch_bytes=1)
        running = load("t", lab.ports(), lab.limits)
        next(running)
        progress = lab.metastore.progress("t")
        assert (progress.applied_seq, progress.complete_through) == (1, NOW_MS)
        assert lab.metastore.get("t").status == Status.BOOTSTRAPPING
        next(running)
        assert lab.metastore.progress("t").complete_through == NOW_MS + 1_000
        assert lab.metastore.get("t").status == Status.LIVE

    def test_a_topic_that_was_not_read_to_its_end_is_not_live(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lake_platform.adapters.memory.systems._POLL_MESSAGES", 1)
        self.slices(lab)
        lab.register()
        lab.send_all([{"id": n} for n in range(3)])
        running = dump("t", lab.ports(), lab.limits)
        next(running)
        lab.load()
        progress = lab.metastore.progress("t")
        assert (progress.applied_seq, progress.complete_through) == (1, 0)
        assert lab.metastore.get("t").status == Status.BOOTSTRAPPING
        list(running)
        lab.load()
        assert lab.metastore.get("t").status == Status.LIVE

    def test_a_replay_takes_nothing_back(self, lab: Lab) -> None:
        fill(lab, [0, 1])
        before = lab.metastore.progress("t")
        lab.now_ms += HOUR_MS
        lab.load(replay=[FIRST])
        after = lab.metastore.progress("t")
        assert (after.applied_seq, after.complete_through) == (2, before.complete_through)
        assert after.loaded_at == lab.now_ms

    def test_an_idle_load_of_a_complete_topic_is_complete(self, lab: Lab) -> None:
        fill(lab, [0])
        lab.now_ms += HOUR_MS
        lab.dump()
        lab.load()
        assert lab.metastore.progress("t").complete_through == lab.now_ms


ID = Field("id", Scalar("long"))


@pytest.mark.parametrize("derived", [None, Struct((Field("other", Scalar("string")), ID))])
def test_the_table_has_the_columns_of_its_schema_version(lab: Lab, derived: Struct | None) -> None:
    source = Struct((ID,))
    lab.register()
    lab.metastore.add_schema_version("t", 0, source, derived, ["test"])
    lab.send({"id": 1})
    engine = Noting(lab.engine)
    lab.cycle(engine=engine)
    (job,) = engine.jobs
    assert (job.source, job.table_schema) == (source, derived or source)


def test_a_batch_takes_what_fits_exactly(lab: Lab) -> None:
    lab.register()
    for n in range(3):
        lab.send({"id": n})
        lab.dump()
    sizes = [c.raw_bytes for c in raw_log.commits_after(lab.store, "t", 0)]
    lab.limits = replace(lab.limits, batch_bytes=sizes[0] + sizes[1])
    engine = Noting(lab.engine)
    lab.load(engine=engine)
    assert engine.spans() == [(1, 2), (3, 3)]


def test_all_that_retention_took_is_named(lab: Lab) -> None:
    fill(lab, [0, 1, 0, 2, 0])
    for commit in raw_log.commits_after(lab.store, "t", 0):
        if commit.seq in {2, 3, 4}:
            marked = replace(commit, expired_at=lab.now_ms).to_bytes()
            lab.store.put(raw_log.commit_key("t", commit.seq), marked)
    with pytest.raises(RawExpiredError, match=r"'t'") as caught:
        lab.load(replay=[FIRST, SECOND, "2026-11-01-02:00"])
    assert (caught.value.first_seq, caught.value.last_seq) == (2, 4)
    assert all(w in str(caught.value) for w in (FIRST, SECOND, "2026-11-01-02:00"))


class Books:
    """A metastore that keeps what it is told of batches."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.batches: list[tuple[str, WriteResult, dict[str, int]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def record_batch(
        self, table: str, result: WriteResult, windows: Any, *more: Any, **named: Any
    ) -> None:
        self.batches.append((table, result, dict(windows)))
        self._inner.record_batch(table, result, windows, *more, **named)


def test_what_a_dead_writer_did_not_tell_is_told_by_the_next(lab: Lab) -> None:
    """Rows and columns come from the table and the schema; files and bytes are lost with it."""
    fill(lab, [0, 1])
    lab.send({"id": 3, "name": "y"}, at_ms=NOW_MS)
    lab.dump()
    trap = Trap(1, frozenset(["record_batch"]))
    with pytest.raises(Fault):
        lab.load(metastore=Faulty(trap, lab.metastore))
    lab.workers.crash()
    lab.now_ms += 1_000
    books = Books(lab.metastore)
    assert lab.load(metastore=books) == []
    last = lab.engine.state(lab.dataset()).last
    schema = lab.metastore.active_schema("t")
    assert schema is not None
    assert books.batches == [("t", WriteResult(last, schema.source, 0, 0), {FIRST: 1})]  # type: ignore[arg-type]
    progress = lab.metastore.progress("t")
    assert (progress.applied_seq, progress.loaded_at) == (3, lab.now_ms)
    assert lab.load(metastore=books) == []
    assert len(books.batches) == 1


def test_what_was_told_is_not_told_again(lab: Lab) -> None:
    fill(lab, [0, 1])
    lab.send({"id": 3, "name": "y"}, at_ms=NOW_MS)
    books = Books(lab.metastore)
    (result,) = lab.cycle(metastore=books)
    expected = WriteResult(result.applied, result.table_schema, result.files, result.bytes)
    assert books.batches == [("t", expected, {FIRST: 1})]
    assert (result.windows, result.seconds, result.quarantined) == ({FIRST: 1}, 0.0, {})


def test_a_result_says_what_was_done(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1})
    lab.cycle()
    lab.send({"id": 2, "late": "x"})
    lab.send(b"broken", reason="not one valid JSON document")

    class Slow(Noting):
        def write(self, job: BatchJob) -> WriteResult:
            lab.now_ms += 1_500
            return super().write(job)

    (result,) = lab.cycle(engine=Slow(lab.engine))
    assert (result.table, result.seconds, result.schema_version) == ("t", 1.5, 2)
    assert [c.path for c in result.changes] == ["late"]
    assert result.quarantined == {"not one valid JSON document": 1}
    assert {f.name for f in result.table_schema.fields} == {"id", "late"}
    lab.account()
