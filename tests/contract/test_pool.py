"""What every pool promises: the one that needs no process and the one of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.pool import Outside, ProcessPool, cores
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.pool import InProcess, Pool
from lake_platform.domain.ports import Clock, Kafka
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import (
    BatchClaimedError,
    InvalidFieldError,
    OffsetsMissingError,
    WorkerLostError,
)

_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Work:
    """Does what it is asked: a word and its argument."""

    name: str

    @contextmanager
    def open(
        self,
        kafka: Kafka,  # noqa: ARG002 - as a job has it
        store: ObjectStore,
        clock: Clock,
    ) -> Iterator[Callable[[tuple[str, Any]], Any]]:
        if self.name == "does not open":
            raise InvalidFieldError("name", self.name, "is not open", "open it")
        store.put(f"opened/{self.name}", b"")
        yield lambda asked: self._do(store, clock, *asked)
        store.put(f"closed/{self.name}", b"")

    def _do(self, store: ObjectStore, clock: Clock, word: str, argument: Any) -> Any:
        if word == "put":
            store.put(f"{self.name}/{argument}", b"x")
            return f"{self.name}:{argument}"
        if word == "raise":
            raise argument
        if word == "foreign":
            raise ForeignError(1, 2)
        if word == "pid":
            return os.getpid()
        if word == "loaded by an array":
            pa.array([argument])
            return argument in sys.modules
        if word == "stay":
            store.put(f"stays/{self.name}", str(os.getpid()).encode())
            time.sleep(_DEADLINE_SECONDS * 2)
        return clock()

    def __str__(self) -> str:
        return f"work of {self.name}"


class ForeignError(Exception):
    """Cannot be rebuilt from what it was made of."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "storage").as_uri())


@pytest.fixture
def processes(tmp_path: Path) -> ProcessPool:
    root = (tmp_path / "storage").as_uri()
    return ProcessPool(Outside("127.0.0.1:1", {"sasl.password": "hunter2"}, root, {}))


@pytest.fixture(params=["in process", "processes"])
def pool(request: pytest.FixtureRequest, store: ObjectStore) -> Pool:
    if request.param == "in process":
        return InProcess(MemoryKafka(), store, lambda: time.time_ns() // 1_000_000)
    found: Pool = request.getfixturevalue("processes")
    return found


def test_answers_come_in_the_order_of_the_jobs(pool: Pool, store: ObjectStore) -> None:
    with pool.open([Work("a"), Work("b"), Work("c")]) as crew:
        assert crew.each([("put", 1), ("put", 2), ("put", 3)]) == ["a:1", "b:2", "c:3"]
        assert crew.each([("put", 4), None, ("put", 5)]) == ["a:4", None, "c:5"]
    assert [i.key for i in store.list("") if not i.key.startswith(("opened", "closed"))] == [
        "a/1", "a/4", "b/2", "c/3", "c/5",
    ]  # fmt: skip


def test_a_job_has_a_clock(pool: Pool) -> None:
    with pool.open([Work("a")]) as crew:
        [now] = crew.each([("time", None)])
    assert now is not None
    assert abs(now - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    "error",
    [
        InvalidFieldError("topic", "x", "does not exist", "create it"),
        OffsetsMissingError("t", "topic", {3: (1, 9)}),
        BatchClaimedError("t", "somebody"),
        ValueError("plain"),
    ],
)
def test_what_a_job_raises_is_raised_with_all_it_carries(pool: Pool, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, pool.open([Work("a"), Work("b")]) as crew:
        crew.each([("put", 1), ("raise", error)])
    assert (str(caught.value), caught.value.args) == (str(error), error.args)
    assert vars(caught.value) == vars(error)


def test_a_job_that_does_not_open_says_why(pool: Pool) -> None:
    with (
        pytest.raises(InvalidFieldError, match="is not open"),
        pool.open([Work("a"), Work("does not open")]) as crew,
    ):
        crew.each([("put", 1), ("put", 1)])


def test_an_error_that_does_not_travel_comes_as_text(processes: ProcessPool) -> None:
    with (
        pytest.raises(RuntimeError, match="ForeignError: 1 and 2"),
        processes.open([Work("a")]) as crew,
    ):
        crew.each([("foreign", None)])


def test_every_job_has_a_process_which_serves_it_to_the_end(processes: ProcessPool) -> None:
    with processes.open([Work("a"), Work("b")]) as crew:
        first = crew.each([("pid", None), ("pid", None)])
        assert crew.each([("pid", None), ("pid", None)]) == first
        assert len({os.getpid(), *first}) == 3
    assert not any(map(_runs, first))


def test_a_process_has_no_pandas_for_pyarrow_to_load(processes: ProcessPool) -> None:
    with processes.open([Work("a")]) as crew:
        assert crew.each([("loaded by an array", "pandas")]) == [False]


def test_a_killed_process_is_told_with_what_it_did(processes: ProcessPool) -> None:
    with processes.open([Work("a"), Work("b")]) as crew:
        pids = crew.each([("pid", None), ("pid", None)])
        psutil.Process(pids[1]).kill()
        with pytest.raises(WorkerLostError, match=r"work of b.*SIGKILL.*nothing.*committed"):
            crew.each([("put", 1), ("put", 1)])
    assert not any(map(_runs, pids))


def test_the_end_ends_a_process_in_the_middle_of_its_work(
    processes: ProcessPool, store: ObjectStore
) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted), processes.open([Work("a")]) as crew:
            [pid] = crew.each([("pid", None)])
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            crew.each([("stay", None)])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not _runs(pid)
    assert store.head("closed/a") is None


_PARENT = """
import sys
from lake_platform.adapters.pool import Outside, ProcessPool
from tests.contract.test_pool import Work
with ProcessPool(Outside("127.0.0.1:1", {}, sys.argv[1], {})).open([Work("a"), Work("b")]) as crew:
    crew.each([("stay", None), None])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_a_parent_that_is_killed(
    tmp_path: Path, store: ObjectStore, number: signal.Signals
) -> None:
    """The one in the middle of its work, and the one that waits."""
    command = [sys.executable, "-c", _PARENT, (tmp_path / "storage").as_uri()]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _until(lambda: store.head("stays/a") is not None and store.head("opened/b") is not None)
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        parent.send_signal(number)
        parent.wait(_DEADLINE_SECONDS)
        _until(lambda: not any(_runs(c.pid) for c in children))
    finally:
        parent.kill()


def _until(moment: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not moment():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_secret_is_in_a_command_line_or_an_environment(processes: ProcessPool) -> None:
    with processes.open([Work("a")]) as crew:
        [pid] = crew.each([("pid", None)])
        process = psutil.Process(pid)
        shown = " ".join(process.cmdline()) + str(process.environ())
    assert "hunter2" not in shown
    assert "hunter2" not in repr(processes._outside)


def test_a_container_has_the_cores_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("lake_platform.adapters.pool._CPU_MAX", quota)
    unlimited = cores()
    assert unlimited >= 1
    quota.write_text("100000 100000\n")
    assert cores() == 1
    quota.write_text("max 100000\n")
    assert cores() == unlimited


def _runs(pid: Any) -> bool:
    """Also of one that somebody else has to collect."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_is_done_meanwhile_is_done_once_and_its_error_ends_the_crew(pool: Pool) -> None:
    done: list[int] = []
    with pool.open([Work("a")]) as crew:
        assert crew.each([("put", 1)], lambda: done.append(1)) == ["a:1"]
        assert crew.each([None], lambda: done.append(2)) == [None]
    assert done == [1, 2]

    def fail() -> None:
        raise BatchClaimedError("t", "somebody")

    with pytest.raises(BatchClaimedError), pool.open([Work("a")]) as crew:
        crew.each([("put", 1)], fail)
