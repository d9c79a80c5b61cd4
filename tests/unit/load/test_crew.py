"""A batch that is shared out: this process does one share of each round, the pool the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.domain.batches import BatchJob, WriteResult
from lake_platform.domain.dataset import Format
from lake_platform.domain.pool import Crew, InProcess, Job
from lake_platform.domain.ports import TableEngine
from lake_platform.load import crew, stage
from tests.support import Lab


@dataclass(frozen=True, slots=True)
class Sized(InProcess):
    opened: list[int] = field(default_factory=list)
    open_now: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        return 3

    @contextmanager
    def open(self, jobs: Sequence[Job[Any, Any]]) -> Iterator[Crew[Any, Any]]:
        self.opened.append(len(jobs))
        self.open_now.append(len(jobs))
        with InProcess.open(self, jobs) as found:
            yield found
        self.open_now.pop()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.mark.parametrize("partitions", [1, 2, 3, 7])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_every_share_is_decoded_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, partitions: int, mode: str
) -> None:
    monkeypatch.setattr(crew, "_POOL_BYTES", 0)
    monkeypatch.setattr(stage, "_LEAST_BYTES", 1)
    monkeypatch.setattr(stage, "_TASK_BYTES", 1)
    upsert: dict[str, Any] = {"mode": "upsert", "primary_key": ("id",)}
    lab.register(partitions=partitions, **(upsert if mode == "upsert" else {}))
    for n in range(21):
        lab.send({"id": n, "v": "x" * n}, partition=n % partitions, key=str(n))
    pool = Sized(lab.kafka, lab.store, lambda: lab.now_ms)
    lab.dump()
    (result,) = lab.load(pool=pool)
    assert result.applied.balance.written == 21
    lab.account()
    assert pool.opened == ([] if partitions == 1 else [2])


def test_a_failure_of_the_own_share_ends_the_load(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_POOL_BYTES", 0)
    monkeypatch.setattr(stage, "_LEAST_BYTES", 1)
    lab.register(partitions=2)
    for n in range(2):
        lab.send({"id": n}, partition=n)
    lab.dump()
    real: Callable[..., Any] = crew._stage

    def fails_first(store: Any, task: Any) -> Any:
        if task.number == 0:
            raise OSError("no space left on device")
        return real(store, task)

    monkeypatch.setattr(crew, "_stage", fails_first)
    pool = Sized(lab.kafka, lab.store, lambda: lab.now_ms)
    with pytest.raises(OSError, match="no space"):
        lab.load(pool=pool)
    assert lab.rows() == []
    monkeypatch.setattr(crew, "_stage", real)
    lab.load(pool=pool)
    lab.account()


@pytest.mark.parametrize("format_", ["hudi", "parquet"])
def test_who_writes_what_is_staged_has_the_memory_of_the_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, format_: Format
) -> None:
    """Two batches, so that processes are started again. Of Parquet the staged files are the
    table's: nobody needs memory to write."""
    monkeypatch.setattr(crew, "_POOL_BYTES", 0)
    monkeypatch.setattr(stage, "_LEAST_BYTES", 1)
    lab.limits = replace(lab.limits, batch_bytes=1)
    if format_ == "parquet":
        lab.engine = spark_engines(lambda: pytest.fail("Spark"), lab.store)("parquet")
    lab.register(partitions=3, format=format_)
    pool = Sized(lab.kafka, lab.store, lambda: lab.now_ms)
    engine, seen = type(lab.engine), []
    write = engine.write

    def watched(self: TableEngine, job: BatchJob) -> WriteResult:
        seen.append(len(pool.open_now))
        return write(self, job)

    monkeypatch.setattr(engine, "write", watched)
    for batch in range(2):
        for n in range(9):
            lab.send({"id": n, "batch": batch}, partition=n % 3)
        lab.dump()
    assert len(lab.load(pool=pool)) == 2
    assert (seen, pool.opened) == (([1, 1], [2]) if format_ == "parquet" else ([0, 0], [2, 2]))
    assert pool.open_now == []
