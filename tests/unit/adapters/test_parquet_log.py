"""The batch log of Parquet tables, on the local disk: no Spark, no stand-ins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.offsets import Slice
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.errors import (
    CommitRaceError,
    LakeError,
    StorageUnavailableError,
    TableDamagedError,
)
from lake_platform.maintain.cleaner import compact_log
from tests.sleepers import Holding, Overtaken
from tests.support import HOUR_MS, STORE_CALLS, Fault, Faulty, Lab, Trap

SOURCE = Struct((Field("id", Scalar("long")), Field("day", Scalar("string"))))


def folder(column: str, value: str | None) -> str:
    return f"lake_part_{column}={quote(value or '', safe=' ') or '__HIVE_DEFAULT_PARTITION__'}"


def read_rows(root: Path) -> list[dict[str, Any]]:
    files = (root / "storage/lake/t").rglob("*.parquet")
    return [row for f in files for row in pq.read_table(f, partitioning=None).to_pylist()]


def no_session() -> Any:
    raise AssertionError("a Parquet table without transforms needs no Spark")


def make(home: Path) -> Lab:
    home.mkdir(exist_ok=True)
    lab = Lab(home)
    lab.store = open_store((home / "storage").as_uri())
    lab.engine = engine(lab.store)
    lab.read_rows = lambda _: read_rows(home)
    lab.register(
        source=SOURCE, format="parquet", partition_by=("day",), max_quarantine_ratio=1.0
    )  # fmt: skip
    return lab


def engine(store: Any) -> ParquetEngine:
    return ParquetEngine(no_session, store)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = make(tmp_path)
    yield lab
    lab.close()


AWKWARD = ["a/b", "..", "../../x", "x=y", "new\nline", "🙂", "", "a b%2f", "%2e%2e", "'; --",
           "a~b|c<d>`", "q" * 200]  # fmt: skip


def test_awkward_partition_values_move_from_staging_into_the_table(
    lab: Lab, tmp_path: Path
) -> None:
    for n, day in enumerate(AWKWARD):
        lab.send({"id": n, "day": day})
    lab.send({"id": 99, "day": "q" * 201}, reason="partition value longer than 200 bytes")
    lab.cycle()
    lab.account()
    folders = {p.name for p in (tmp_path / "storage/lake/t").iterdir()}
    assert folders == {folder("day", day) for day in AWKWARD}
    assert {p.name for p in (tmp_path / "storage").iterdir()} == {
        "checkpoints", "lake", "quarantine", "raw", "staging",
    }  # fmt: skip
    lab.load(replay=["2026-11-01-00:00"])
    lab.account()


def test_the_newest_record_is_found_without_a_listing(lab: Lab) -> None:
    calls: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(lab.store, name)

    warm = engine(Counting())
    for n in range(40):
        lab.send({"id": n, "day": "d"})
        lab.cycle(engine=warm)
        calls.clear()
        assert warm.state(lab.dataset()).applied == n + 1
        assert calls == ["head", "get", "head"]
        calls.clear()
        assert engine(Counting()).state(lab.dataset()).applied == n + 1
        assert "list" not in calls
        assert len(calls) <= 14
    lab.account()


def test_a_table_that_was_removed_whole_is_new_to_a_warm_engine_too(lab: Lab) -> None:
    for n in range(3):
        lab.send({"id": n, "day": "d"})
        lab.cycle()
    for prefix in ("lake/t/", "checkpoints/t/phase2/"):
        lab.store.delete([i.key for i in lab.store.list(prefix)])
    assert not lab.engine.state(lab.dataset()).exists
    lab.send({"id": 9, "day": "d"})
    lab.cycle()
    lab.account()


def test_a_replay_killed_before_its_files_moved_is_finished_though_nothing_is_new(
    lab: Lab,
) -> None:
    lab.send({"id": 1, "day": "d"})
    lab.cycle()
    with pytest.raises(Fault):
        lab.load(replay=["2026-11-01-00:00"], **killed_at(lab, "move"))
    assert read_rows(lab.home) == []
    lab.workers.crash()
    assert lab.load() == []
    lab.account()
    calls = Trap(0, STORE_CALLS)
    store: Any = Faulty(calls, lab.store)
    assert lab.load(store=store, engine=engine(store)) == []
    assert calls.seen == 2  # and once only: two LISTs, no engine


def test_a_record_without_its_files_names_them(lab: Lab) -> None:
    lab.send({"id": 1, "day": "d"})
    lab.dump()
    with pytest.raises(Fault):
        lab.load(**killed_at(lab, "move"))
    lab.store.delete([i.key for i in lab.store.list("staging/t/")])
    with pytest.raises(TableDamagedError, match="day=d"):
        lab.engine.state(lab.dataset())


def killed_at(lab: Lab, call: str, at: int = 1) -> dict[str, Any]:
    store: Any = Faulty(Trap(at, frozenset([call])), lab.store)
    return {"store": store, "engine": engine(store)}


def _story(lab: Lab) -> None:
    for n in range(6):
        lab.send({"id": n, "day": f"d/{n % 2}"})
    lab.send(b"{", reason="not one valid JSON document")
    lab.now_ms += HOUR_MS
    lab.send({"id": 7, "day": "d/1", "extra": 5})
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 5), batch_bytes=500)


def _run(lab: Lab, trap: Trap) -> None:
    store: Any = Faulty(trap, lab.store)
    ports = {"store": store, "engine": engine(store)}
    lab.dump(**ports)
    lab.load(**ports)
    lab.load(replay=["2026-11-01-00:00"], **ports)


@pytest.mark.slow
@pytest.mark.parametrize("error", [None, "before", "after"])
def test_a_fault_at_every_storage_call_loses_and_doubles_nothing(
    tmp_path: Path, error: str | None
) -> None:
    """A kill before every change, no answer before every call, a lost reply after every change."""
    changes = frozenset(["put", "put_new", "delete", "move"])
    for at in range(1, 500):
        lab = make(tmp_path / str(at))
        trap = Trap(at, STORE_CALLS if error == "before" else changes, error or "before")
        if error:
            trap.error = StorageUnavailableError("no answer")
        _story(lab)
        try:
            _run(lab, trap)
        except Fault:
            lab.workers.crash()
        except LakeError:
            lab.workers.dead.add(lab.workers.current)
        lab.cycle()
        try:
            lab.account()
        except AssertionError as problem:
            raise AssertionError(f"{trap.where} (call {at}): {problem}") from None
        lab.close()
        if not trap.where:
            break
    assert at > 15


class TestStaging:
    """What Spark wrote for batches that were killed before their commit."""

    DAY_MS = 86_400_000

    def staged(self, lab: Lab) -> list[str]:
        return [i.key for i in lab.store.list("staging/t/") if i.key.endswith(".parquet")]

    def clean(self, lab: Lab, days: float) -> None:
        # Objects are stamped by the real clock, so the laboratory's goes by it here.
        lab.now_ms = int((time.time() + days * 86_400) * 1000)
        compact_log("t", lab.ports())

    def test_of_the_dead_goes_after_a_day_when_a_later_batch_is_in_the_table(
        self, lab: Lab
    ) -> None:
        lab.send({"id": 1, "day": "d"})
        lab.dump()
        with pytest.raises(Fault):
            lab.load(**killed_at(lab, "put_new", 2))
        assert len(self.staged(lab)) == 1
        self.clean(lab, 2)
        assert len(self.staged(lab)) == 1  # its writer may only be taken for dead
        lab.workers.crash()
        lab.load()
        self.clean(lab, 0.9)
        assert len(self.staged(lab)) == 1
        self.clean(lab, 2)
        assert list(lab.store.list("staging/t/")) == []
        lab.account()

    def test_of_a_committed_batch_is_moved_first(self, lab: Lab) -> None:
        lab.send({"id": 1, "day": "d"})
        lab.dump()
        with pytest.raises(Fault):
            lab.load(**killed_at(lab, "move"))
        self.clean(lab, 2)
        assert self.staged(lab) == []
        assert len(read_rows(lab.home)) == 1


def engine_of(lab: Lab) -> ParquetEngine:
    """One that knows nothing yet."""
    return ParquetEngine(no_session, lab.store)


def test_a_late_commit_without_its_new_columns_is_not_written_beside(lab: Lab) -> None:
    """Such a batch is in the table, and its checkpoint does not say so."""
    lab.metastore.update("t", {"evolution": "next_batch"}, 1, "test")
    lab.send({"id": 1, "day": "d", "extra": 5})
    lab.dump()
    sleeper = Holding(engine_of(lab))
    with pytest.raises(Fault):
        lab.load(engine=sleeper)
    lab.workers.crash()
    with pytest.raises(CommitRaceError):
        lab.load(engine=Overtaken(engine_of(lab), lab, sleeper))
    assert sleeper.held == []
    assert len(read_rows(lab.home)) == 1
    lab.cycle()
    lab.account()


def test_a_replay_never_takes_the_checkpoint_back(lab: Lab) -> None:
    """A writer taken for dead, past its own look at the fence, commits while a replay, behind its
    fence and its second look, is about to write."""
    lab.send({"id": 1, "day": "d"})
    lab.cycle()
    lab.send({"id": 2, "day": "d"})
    lab.dump()
    sleeper = Holding(engine_of(lab))
    with pytest.raises(Fault):
        lab.load(engine=sleeper)
    lab.workers.crash()
    with pytest.raises(CommitRaceError):
        overtaken = Overtaken(engine_of(lab), lab, sleeper)
        lab.load(replay=["2026-11-01-00:00"], engine=overtaken)
    assert sleeper.held == []
    lab.send({"id": 3, "day": "d"})
    lab.cycle()
    lab.account()
