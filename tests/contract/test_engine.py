"""What every TableEngine promises, on the one in memory and on Hudi and Parquet with real Spark.

Driven through `load`, as in production; each test accounts for every record it sent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.hudi import engine as hudi
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.batches import BatchJob, BatchRange
from lake_platform.domain.layout import lock_prefix
from lake_platform.domain.ports import TableEngine
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import CommitRaceError
from tests.spark_support import spark, table_rows
from tests.support import HOUR_MS, Fault, Lab

__all__ = ["spark"]
# What py4j leaves open when Spark sends rows to Python is closed by the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SOURCE = Struct(
    (Field("id", Scalar("long")), Field("name", Scalar("string")), Field("day", Scalar("string")))
)
KINDS: dict[str, dict[str, Any]] = {
    "memory-append": {},
    "memory-upsert": {"mode": "upsert", "primary_key": ("id",)},
    "hudi-append": {"partition_by": ("day",)},
    "hudi-upsert": {"mode": "upsert", "primary_key": ("id",)},
    "hudi-moving": {"mode": "upsert", "primary_key": ("id",), "partition_by": ("day",)},
    "parquet": {"format": "parquet", "partition_by": ("day",)},
}
APPENDS = ["memory-append", "hudi-append", "parquet"]
UPSERTS = ["hudi-upsert", "hudi-moving"]
_MARKS = {"memory": [], "moving": [pytest.mark.spark, pytest.mark.deep]}
REAL = [
    pytest.param(k, marks=next((m for n, m in _MARKS.items() if n in k), [pytest.mark.spark]))
    for k in KINDS
]


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    if "memory" not in kind:
        session = request.getfixturevalue("spark")
        lab.store = open_store((tmp_path / "storage").as_uri())
        lab.engine = spark_engines(lambda: session, lab.store)(
            "parquet" if kind == "parquet" else "hudi"
        )
        lab.read_rows = table_rows(session, lab.store)
    lab.register(source=SOURCE, max_quarantine_ratio=1.0, **KINDS[kind])
    yield lab
    lab.close()


def fill(lab: Lab, first: int, count: int, day: str = "d1") -> None:
    for n in range(first, first + count):
        lab.send({"id": n % 4, "name": f"v{n}", "day": day}, key=str(n % 4))


class Holding:
    """An engine that keeps the job instead of writing it, as a writer that stands still."""

    def __init__(self, inner: TableEngine) -> None:
        self._inner = inner
        self.jobs: list[BatchJob] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, job: BatchJob) -> Any:
        self.jobs.append(job)
        raise Fault("stands still")


def held_job(lab: Lab) -> BatchJob:
    holding = Holding(lab.engine)
    lab.dump()
    with pytest.raises(Fault):
        lab.load(engine=holding)
    return holding.jobs[0]


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_life_of_a_table(lab: Lab) -> None:
    dataset = lab.dataset()
    assert lab.engine.state(dataset).exists is False
    assert lab.read_rows(dataset) == []

    fill(lab, 0, 8)
    lab.send(b"{", reason="not one valid JSON document")
    (first,) = lab.cycle()
    assert first.applied.balance.difference == 0
    lab.account()
    state = lab.engine.state(dataset)
    assert (state.exists, state.applied) == (True, 1)
    assert state.last == first.applied
    assert state.doubled == ()

    lab.now_ms += HOUR_MS
    fill(lab, 8, 3, "d2")  # a partition of the table that is new; in upsert the keys move there
    lab.send(None, key="3")
    lab.send({"id": 9, "name": 'Ünï "q" \\ \n', "day": None, "extra": {"a": [{"k": 1}]}})
    (second,) = lab.cycle()
    assert second.applied.balance.difference == 0
    assert [c.path for c in second.changes] == ["extra"]
    lab.account()

    rows = len(lab.rows())
    assert lab.load(replay=["2026-11-01-00:00"])
    lab.account()
    assert lab.engine.state(dataset).applied == 2

    profile = lab.engine.profile(dataset)
    assert (profile.rows, profile.keys, profile.null_keys) == (rows, rows, 0)
    newest = lab.engine.newest_rows(dataset, ["id", "name"], 3)
    assert 0 < len(newest) <= 3
    assert set(newest[0]) == {"id", "name"}


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_a_fenced_writer_leaves_nothing(lab: Lab) -> None:
    dataset = lab.dataset()
    fill(lab, 0, 4)
    lab.cycle()
    before = lab.rows()
    fill(lab, 4, 4)
    job = held_job(lab)
    lab.engine.fence(dataset, job.claim.epoch)
    with pytest.raises(CommitRaceError):
        lab.engine.write(job)
    with pytest.raises(CommitRaceError):  # nor on a retry
        lab.engine.write(job)
    assert lab.rows() == before
    assert lab.engine.state(dataset).applied == 1
    lab.workers.crash()
    assert len(lab.load()) == 1
    lab.account()


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_a_zombie_that_wakes_after_the_takeover_changes_nothing(lab: Lab) -> None:
    fill(lab, 0, 4)
    job = held_job(lab)
    lab.workers.crash()
    assert len(lab.load()) == 1
    with pytest.raises(CommitRaceError):
        lab.engine.write(job)
    lab.account()
    fill(lab, 4, 2)
    lab.cycle()
    lab.account()


@pytest.mark.parametrize("kind", [p for p in REAL if p.values[0] in APPENDS], indirect=True)
def test_a_batch_written_twice_is_refused_or_undone(lab: Lab) -> None:
    fill(lab, 0, 4)
    job = held_job(lab)
    lab.engine.write(job)
    try:
        lab.engine.write(job)
    except CommitRaceError:
        assert lab.engine.state(lab.dataset()).doubled == ()
    else:
        (double,) = lab.engine.state(lab.dataset()).doubled
        assert double.batch == BatchRange(1, 1)
    lab.workers.crash()
    fill(lab, 4, 2)
    lab.cycle()
    lab.account()


@pytest.mark.parametrize("kind", [p for p in REAL if p.values[0] in UPSERTS], indirect=True)
def test_a_late_commit_does_not_bring_back_what_was_deleted(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zombie that held the lock of its commit all the time, while the keys it wrote were deleted
    and the tombstones compacted away. Here its fence is lifted, which comes to the same."""
    monkeypatch.setattr(hudi, "_COMPACT_OVERDUE", 1)
    fill(lab, 0, 4)
    job = held_job(lab)
    lab.workers.crash()
    lab.load()
    for n in range(3):
        lab.send(None, key=str(n))
    lab.cycle()
    fence = tmp_path / "storage" / lock_prefix("t", job.claim.epoch) / "lock"
    shutil.rmtree(fence)
    lab.engine.write(job)
    fill(lab, 3, 1)
    lab.cycle()
    lab.account()
    assert lab.engine.state(lab.dataset()).doubled == ()


@pytest.mark.parametrize("half_written", [False, True])
@pytest.mark.parametrize(
    "kind", [p for p in REAL if str(p.values[0]).startswith("hudi")], indirect=True
)
def test_a_table_whose_creation_was_cut_off_is_finished(
    lab: Lab, tmp_path: Path, half_written: bool
) -> None:
    """Hudi makes folders first, then hoodie.properties in place; each later write failed."""
    folder = tmp_path / "storage" / "lake" / "t" / ".hoodie"
    (folder / "timeline" / "history").mkdir(parents=True)
    if half_written:
        (folder / "hoodie.properties").touch()
        (folder / ".hoodie.properties.crc").touch()
    fill(lab, 0, 4)
    lab.cycle()
    lab.account()
    fill(lab, 4, 2)
    lab.cycle()
    lab.account()
    assert list(lab.store.list("staging/")) == []


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_a_batch_of_bad_records_only(lab: Lab) -> None:
    lab.send_all([b"x", b"[]"][:1], reason="not one valid JSON document")
    (done,) = lab.cycle()
    assert (done.applied.balance.quarantined, done.applied.balance.written) == (1, 0)
    assert lab.engine.state(lab.dataset()).applied == 1
    fill(lab, 0, 2)
    lab.cycle()
    lab.account()


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_next_batch_evolution(lab: Lab) -> None:
    lab.metastore.update("t", {"evolution": "next_batch"}, 1, "test")
    fill(lab, 0, 3)
    lab.cycle()
    lab.send({"id": 7, "name": "n", "day": "d1", "extra": 5}, key="7")
    done = lab.cycle()
    assert [r.applied.reapply for r in done] == [True, False]
    lab.account()


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_awkward_partition_values_stay_under_the_table(lab: Lab, kind: str) -> None:
    values = ["a/b", "..", "x=y", "new\nline", "🙂", "", "a b%2f", "'; --", "q" * 200]
    for n, day in enumerate(values):
        lab.send({"id": n, "name": "x", "day": day}, key=str(n))
    too_long = "partition value longer than 200 bytes"
    partitioned = bool(lab.dataset().partition_by)
    lab.send({"id": 99, "name": "x", "day": "q" * 300}, reason=too_long if partitioned else "")
    lab.cycle()
    found = {row["id"]: row["day"] for row in lab.rows()}
    expected: dict[int, str | None] = dict(enumerate(values))
    if "memory" in kind or not partitioned:
        assert found == {**expected, 99: "q" * 300}
        return
    # Hive-style folders have one name for both: Hudi's empty text reads back as null. The files of
    # Parquet tables have the column itself.
    assert found == (expected if kind == "parquet" else {**expected, 5: None})


PLAIN_NAMES = ["select", "order", "ключ", "_x", "value", "offset", "input"]
ODD_NAMES = ["a.b", "a b", "a`b", "a-b", "a/b", "a,b", "a;b", "a=b", "1a", 'a"b', "a(b)", "🙂"]


@pytest.mark.parametrize("kind", REAL, indirect=True)
def test_any_key_is_stored(lab: Lab, kind: str) -> None:  # noqa: ARG001 - the lab's
    def record(names: list[str], number: int) -> dict[str, Any]:
        nested: dict[str, Any] = {name: {"x": [1]} for name in names}
        return {"id": number, "name": "x", "day": "d", **dict.fromkeys(names, 5), "o": nested}

    for number, names in enumerate([PLAIN_NAMES, ODD_NAMES]):
        lab.send(record(names, number))
        lab.cycle()
        lab.account()
    odds: list[dict[str, Any]] = [{"_kafka_offset": 5}, {"p": [{"a b": 1}]}, {"A.B": 7}]
    for number, odd in enumerate(odds):
        lab.send({"id": 10 + number, "name": "x", "day": "d", **odd})
    lab.cycle()
    lab.account()
