"""Jobs done by processes of this machine, started for them and gone with them.

A process is a new Python that has nothing of its parent but what comes over a socket: a fork after
threads were started (Spark's gateway, the Kafka client, Dagster) may stand still for ever, and
`multiprocessing` would import the parent's main module again. Settings go over that socket, never
into a command line or an environment.
"""

from __future__ import annotations

import os
import pickle  # between processes of ours, over a socket they inherit  # nosec B403
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any, cast

from lake_platform.domain.pool import Answer, Asked, Crew, Job
from lake_platform.domain.ports import Kafka
from lake_platform.domain.registry import NoRegistry, Registry
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import WorkerLostError

# It finds this package where its parent does, then does what it is told.
_BOOT = (
    "import sys; from multiprocessing.connection import Connection; "
    "c = Connection(int(sys.argv[1])); sys.path[:] = c.recv(); c.recv()(c)"
)
_END_SECONDS = 5.0
_LOOK_SECONDS = 2.0
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Outside:
    """What a process opens for its job: settings as they are, with secrets by reference where they
    are so. The repr shows no secret."""

    bootstrap: str
    kafka_options: Mapping[str, str] = field(repr=False)
    storage_root: str
    storage_options: Mapping[str, str] = field(repr=False)
    registry_url: str = ""
    registry_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self) -> tuple[Kafka, ObjectStore]:
        return self.open_kafka(), self.open_store()

    def open_store(self) -> ObjectStore:
        from lake_platform.adapters.secrets.resolve import resolved_options
        from lake_platform.adapters.storage.object_store import open_store

        options = resolved_options(self.storage_options, "LAKE_STORAGE_OPTIONS")
        return open_store(self.storage_root, options)

    def open_kafka(self) -> Kafka:
        from lake_platform.adapters.kafka.client import ConfluentKafka

        registry = _registry(self.registry_url, self.registry_options)
        # The stub types a message's headers wider than confluent-kafka ever returns them.
        return cast(Kafka, ConfluentKafka(self.bootstrap, self.kafka_options, registry))


def _registry(url: str, options: Mapping[str, str]) -> Registry:
    if not url:
        return NoRegistry()
    from lake_platform.adapters.registry.client import ConfluentRegistry

    return ConfluentRegistry(url, options)


class ProcessPool:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    @property
    def size(self) -> int:
        return cores()

    @contextmanager
    def open(self, jobs: Sequence[Job[Asked, Answer]]) -> Iterator[Crew[Asked, Answer]]:
        members: list[_Member] = []
        try:
            for job in jobs:
                members.append(_Member(str(job)))
                members[-1].send(sys.path, partial(_serve, self._outside, job))
            yield _ProcessCrew(members)
        finally:
            for member in members:
                member.end()


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


class _Member:
    """The parent's end of one process. It lives as long as its standard input is open."""

    def __init__(self, work: str) -> None:
        self._work = work
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-c", _BOOT, str(there.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[there.fileno()],
            )  # fmt: skip
        self._lifeline = cast(IO[bytes], self.process.stdin)
        self.connection = Connection(here.detach())

    def send(self, *messages: object) -> None:
        with suppress(OSError):  # of one that ended, which `receive` tells with what it said last
            for message in messages:
                self.connection.send(message)

    def receive(self) -> Any:
        """Raises: what the job raised, WorkerLostError."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerLostError(self._work, self.process.pid, self._how()) from None
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def end(self) -> None:
        self.connection.close()
        self._lifeline.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _how(self) -> str:
        try:
            code = self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


class _ProcessCrew:
    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = members

    def each(
        self, asked: Sequence[object], meanwhile: Callable[[], object] = lambda: None
    ) -> list[Any]:
        pairs = zip(self._members, asked, strict=True)
        waiting = {m.connection: n for n, (m, one) in enumerate(pairs) if one is not None}
        for n in waiting.values():
            self._members[n].send(asked[n])
        meanwhile()
        answers: list[Any] = [None] * len(asked)
        while waiting:
            for connection in wait(list(waiting)):
                n = waiting.pop(cast(Connection, connection))
                answers[n] = self._members[n].receive()
        return answers


def cores() -> int:
    """Of those the machine has, what this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, _quota()))


def _quota() -> int:
    """Of a container: its CPU time in whole cores, rounded up."""
    try:
        most, period = _CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if most == "max" else -(-int(most) // int(period))


class _WithoutPandas:
    """pyarrow imports pandas at its first array, only to know one by sight: half of what a start
    costs, and no job has use for it."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError("left out: no job needs it", name=fullname)


def _serve(outside: Outside, job: Job[Any, Any], connection: Connection) -> None:
    """The process: answers until its parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, and that ends us
    sys.meta_path.insert(0, _WithoutPandas())
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        with job.open(*outside.open(), _clock) as work:
            while (asked := _next(connection)) is not None:
                connection.send(work(asked))
    except BaseException as error:
        with suppress(OSError):  # its parent must hear of everything, if it is there
            connection.send(_Raised(_portable(error)))


def _next(connection: Connection) -> Any:
    """None when the parent closed the connection."""
    try:
        return connection.recv()
    except EOFError:
        return None


def _end_with(parent: int) -> None:
    """Ends this process, whatever it is doing, as soon as its parent is gone or wants it to: what
    it uploaded is in no commit. A fork of the parent may hold our input open, its id may not."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if readable and not os.read(0, 1):
            break
    os._exit(0)


def _portable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _clock() -> int:
    return time.time_ns() // 1_000_000
