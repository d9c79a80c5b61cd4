"""Writers handed one token: each is a greenlet that runs until the port call its turn ends at.

Every call of every port passes `Writer.call`, so a writer can stand still, die or be lied to at any
of them, and nothing ever runs beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from greenlet import getcurrent, greenlet

from lake_platform.domain.batches import Worker
from lake_platform.domain.offsets import OffsetRange, TopicInfo
from lake_platform.domain.ports import Kafka, KafkaMessage, KafkaReader
from lake_platform.domain.storage import ObjectInfo, ObjectStore
from lake_platform.errors import (
    KafkaUnavailableError,
    LakeError,
    MetastoreUnavailableError,
    StorageUnavailableError,
)
from tests.simulation.plan import Seen, Then

_SLEEP_MS, _NAP_MS = 13 * 3_600_000, 16 * 60_000
_POLL_MS = 1_000
_NO_ANSWER: dict[str, type[LakeError]] = {
    "store": StorageUnavailableError,
    "kafka": KafkaUnavailableError,
    "metastore": MetastoreUnavailableError,
}


class Kill(BaseException):
    """The process is gone: no handler of the product may see this as an error."""


class Writer:
    """One process. `error` is what its work ended with, if anything."""

    def __init__(
        self,
        name: str,
        pid: int,
        seen: Seen,
        sleep: Callable[[int], None],
        hits: Counter[tuple[str, str]],
    ) -> None:
        self.name, self.seen, self.table = name, seen, ""
        self.worker = Worker("there" if seen == "away" else "here", pid, 0.0)
        self.error: Exception | None = None
        self.ended = self.killed = self.lied_to = False
        self._sleep, self._hits = sleep, hits
        self.made = 0
        """Port calls so far."""
        self.firm = False
        """It holds a lock within which it does not stand still (docs: what does not hold)."""
        self.turns = 0
        self._left, self._then = -1, ""
        self._scheduler = getcurrent()
        self._greenlet: greenlet | None = None

    def start(self, work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            except Kill:
                self.killed = True
            except Exception as error:  # judged by the world
                self.error = error
            self.ended = True

        self._greenlet = greenlet(run)

    def wait(self, ms: int) -> None:
        self._sleep(ms)

    def turn(self, calls: int, then: Then) -> None:
        """`calls` port calls, then `then`; -1: to the end."""
        assert self._greenlet is not None
        self.turns += 1
        self._left, self._then = calls, then
        self._scheduler = getcurrent()
        self._greenlet.switch()

    def kill(self) -> None:
        if not self.ended and self._greenlet is not None:
            self.killed = True
            self._scheduler = getcurrent()
            self._greenlet.throw(Kill)

    def call(self, port: str, name: str, act: Callable[..., Any], *args: Any) -> Any:
        if self.killed:
            raise Kill  # cleaning up behind a kill reaches nothing outside
        if self._left:
            self._left -= 1
            self.made += 1
            return act(*args)
        return self._at_fault(port, name, act, args)

    def _at_fault(self, port: str, name: str, act: Callable[..., Any], args: Any) -> Any:
        then, self._then, self._left = self._then, "", -1
        if then == "stand" and self.firm:
            then = ""
        self._hits[then, f"{port}.{name}"] += 1
        if then == "stand":
            self._scheduler.switch()
            return self.call(port, name, act, *args)
        if then == "kill":
            self.killed = True
            raise Kill
        if then == "fail":
            raise _NO_ANSWER[port]("no answer")
        if then in {"sleep", "nap"}:
            self._sleep(_SLEEP_MS if then == "sleep" else _NAP_MS)
        result = act(*args)
        if then == "kill-after":
            self.killed = True
            raise Kill
        if then == "lost":
            raise _NO_ANSWER[port]("reply lost")
        if then == "cut" and (port, name) == ("store", "get"):
            self.lied_to = True
            return result[: len(result) // 2]
        return result


class StoreOf:
    """The object store as one writer reaches it."""

    def __init__(self, writer: Writer, inner: ObjectStore) -> None:
        self._call, self._inner, self._writer = writer.call, inner, writer

    def get(self, key: str) -> bytes:
        found: bytes = self._call("store", "get", self._inner.get, key)
        return found

    def put(self, key: str, data: bytes) -> None:
        with self._at_once(key):
            self._call("store", "put", self._inner.put, key, data)

    @contextmanager
    def _at_once(self, key: str) -> Iterator[None]:
        """A writer asks whether its batch is still its own right before it changes quarantine, and
        does not stand still in between (docs: what does not hold)."""
        before = self._writer.firm
        self._writer.firm = before or key.startswith("quarantine/")
        try:
            yield
        finally:
            self._writer.firm = before

    def put_new(self, key: str, data: bytes) -> bool:
        return bool(self._call("store", "put_new", self._inner.put_new, key, data))

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        found: Iterator[ObjectInfo] = self._call("store", "list", self._inner.list, prefix, after)
        return found

    def head(self, key: str) -> ObjectInfo | None:
        found: ObjectInfo | None = self._call("store", "head", self._inner.head, key)
        return found

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:  # one request a key, as the real store does it
            with self._at_once(key):
                self._call("store", "delete", self._inner.delete, [key])

    def move(self, source: str, target: str) -> None:
        self._call("store", "move", self._inner.move, source, target)

    def url(self, key: str) -> str:
        return self._inner.url(key)


class _ReaderOf:
    def __init__(self, writer: Writer, inner: KafkaReader) -> None:
        self._writer, self._inner = writer, inner
        self.positions, self.finished = inner.positions, inner.finished

    def poll(self) -> Sequence[KafkaMessage]:
        found: Sequence[KafkaMessage] = self._writer.call("kafka", "poll", self._inner.poll)
        if not found:  # a topic made anew may never have what a dump waits for
            self._writer.wait(_POLL_MS)
        return found


class KafkaOf:
    """Kafka as one writer reaches it."""

    def __init__(self, writer: Writer, inner: Kafka) -> None:
        self._writer, self._inner = writer, inner
        self.registry = inner.registry

    def describe(self, topic: str) -> TopicInfo:
        found: TopicInfo = self._writer.call("kafka", "describe", self._inner.describe, topic)
        return found

    def topic_id(self, topic: str) -> str:
        return str(self._writer.call("kafka", "topic_id", self._inner.topic_id, topic))

    @contextmanager
    def open(self, topic: str, ranges: Mapping[int, OffsetRange]) -> Iterator[KafkaReader]:
        with self._inner.open(topic, ranges) as reader:
            yield _ReaderOf(self._writer, reader)

    def report_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        self._writer.call(
            "kafka", "report_offsets", self._inner.report_offsets, group, topic, offsets
        )


class MetastoreOf:
    """The metastore as one writer reaches it; each call is one transaction."""

    def __init__(self, writer: Writer, inner: Any) -> None:
        self._writer, self._inner = writer, inner

    def __getattr__(self, name: str) -> Any:
        act, call = getattr(self._inner, name), self._writer.call

        def passed(*args: Any, **values: Any) -> Any:
            if values:
                return call("metastore", name, lambda: act(*args, **values))
            return call("metastore", name, act, *args)

        self.__dict__[name] = passed
        return passed


class WorkersOf:
    """Who this writer is, and how it sees the others."""

    def __init__(self, writer: Writer, writers: Mapping[Worker, Writer]) -> None:
        self._me, self._writers = writer.worker, writers

    def me(self) -> Worker:
        return self._me

    def alive(self, worker: Worker) -> bool | None:
        if worker == self._me:
            return False  # an earlier try of this very process has ended
        other = self._writers[worker]
        if other.seen == "away":
            return None  # whether it ended or not
        return not other.ended and other.seen == "alive"
