"""Both phases at once: what is applied when, and what an error or an interrupt leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory import systems as memory
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.systems import MemoryKafka, MemoryReader
from lake_platform.domain.batches import BatchRange
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import RawCommit, Slice
from lake_platform.errors import (
    EngineError,
    KafkaUnavailableError,
    NotRunnableError,
    SchemaBlockedError,
)
from lake_platform.ingest.ingest import ingest
from tests.support import Lab, infer_now

_SECONDS = 30.0


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(memory, "_POLL_MESSAGES", 10)
    lab = Lab(tmp_path)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 10))
    lab.register(partitions=2)
    for n in range(60):
        lab.send({"n": n}, partition=n % 2)
    infer_now(lab)
    yield lab
    lab.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("dump ")]


class Stepped:
    """The memory Kafka, each poll of which waits for its permit."""

    def __init__(self, inner: MemoryKafka, before_poll: Callable[[int], None]) -> None:
        self._inner, self._before, self._polls = inner, before_poll, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def open(self, topic: str, ranges: Any) -> Any:
        return _Opened(self._inner.open(topic, ranges), self._poll)

    def _poll(self, reader: MemoryReader) -> Sequence[Any]:
        self._polls += 1
        self._before(self._polls)
        return reader.poll()


class _Opened:
    def __init__(self, inner: Any, poll: Callable[[MemoryReader], Sequence[Any]]) -> None:
        self._inner, self._poll = inner, poll

    def __enter__(self) -> Any:
        reader = self._inner.__enter__()
        poll = self._poll

        class Reader:
            def poll(self) -> Sequence[Any]:
                return poll(reader)

            def __getattr__(self, name: str) -> Any:
                return getattr(reader, name)

        return Reader()

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)


def told(done: list[Any]) -> list[str]:
    return ["slice" if isinstance(d, RawCommit) else _named(d.applied.batch) for d in done]


def _named(batch: BatchRange) -> str:
    return f"batch {batch.first_seq}-{batch.last_seq}"


def test_all_of_the_topic_is_in_the_table(lab: Lab) -> None:
    done = list(ingest("t", lab.ports(), lab.limits))
    assert told(done).count("slice") == 6
    lab.account()
    progress = lab.metastore.progress("t")
    assert (progress.backlog, progress.applied_seq, progress.head_seq) == (0, 6, 6)
    assert lab.metastore.get("t").status == Status.LIVE
    assert list(ingest("t", lab.ports(), lab.limits)) == []


def test_the_first_slice_is_applied_while_the_second_is_read(lab: Lab) -> None:
    applied = threading.Event()

    def before_poll(number: int) -> None:
        if number == 2:
            assert applied.wait(_SECONDS), "no batch came while the dump was going on"

    done = []
    for one in ingest("t", lab.ports(kafka=Stepped(lab.kafka, before_poll)), lab.limits):
        done.append(one)
        if not isinstance(one, RawCommit):
            applied.set()
    assert told(done)[:2] == ["slice", "batch 1-1"]
    lab.account()


def test_small_slices_are_applied_together(lab: Lab) -> None:
    """One batch as soon as there is anything, then all that came until the dump's end."""
    done = list(ingest("t", lab.ports(), lab.limits))
    batches = [d for d in done if not isinstance(d, RawCommit)]
    assert len(batches) <= 2
    assert batches[-1].applied.batch.last_seq == 6


class Heavy(MemoryEngine):
    """As an engine whose batches cost seconds."""

    warmed = 0

    def heavy(self, dataset: Dataset) -> bool:  # noqa: ARG002 - port
        return True

    def warm(self, dataset: Dataset) -> None:  # noqa: ARG002 - port
        self.warmed += 1


def test_heavy_batches_wait_for_a_full_one(lab: Lab) -> None:
    lab.engine = engine = Heavy(lab.store)
    done = list(ingest("t", lab.ports(), lab.limits))
    assert told(done)[-1] == "batch 1-6"
    assert engine.warmed == 1
    lab.account()
    assert list(ingest("t", lab.ports(), lab.limits)) == []
    assert engine.warmed == 1, "nothing new starts no engine"


def test_a_full_heavy_batch_is_not_kept_waiting(lab: Lab) -> None:
    lab.engine = Heavy(lab.store)
    lab.limits = replace(lab.limits, batch_bytes=1)  # any slice is a full batch
    applied = threading.Event()

    def before_poll(number: int) -> None:
        if number == 2:
            assert applied.wait(_SECONDS), "no batch came while the dump was going on"

    for one in ingest("t", lab.ports(kafka=Stepped(lab.kafka, before_poll)), lab.limits):
        if not isinstance(one, RawCommit):
            applied.set()
    lab.account()


def test_enough_for_a_batch_is_not_kept_waiting(lab: Lab) -> None:
    lab.limits = replace(lab.limits, batch_bytes=8)  # an eighth of it is any slice
    steps = [threading.Event() for _ in range(7)]

    def before_poll(number: int) -> None:
        if number > 1:
            assert steps[number - 1].wait(_SECONDS), f"slice {number - 1} was kept waiting"

    done = []
    for one in ingest("t", lab.ports(kafka=Stepped(lab.kafka, before_poll)), lab.limits):
        done.append(one)
        if not isinstance(one, RawCommit):
            steps[one.applied.applied].set()
    assert told(done) == [t for n in range(1, 7) for t in ("slice", f"batch {n}-{n}")]
    lab.account()


def test_what_an_earlier_dump_left_is_applied_too(lab: Lab) -> None:
    lab.dump()
    done = list(ingest("t", lab.ports(), lab.limits))
    assert [d for d in told(done) if d == "slice"] == []
    assert lab.metastore.progress("t").applied_seq == 6
    lab.account()


def test_an_error_of_the_dump_ends_both(lab: Lab) -> None:
    def before_poll(number: int) -> None:
        if number == 3:
            raise KafkaUnavailableError("gone")

    with pytest.raises(KafkaUnavailableError, match="gone"):
        list(ingest("t", lab.ports(kafka=Stepped(lab.kafka, before_poll)), lab.limits))
    assert lab.metastore.progress("t").head_seq == 2
    list(ingest("t", lab.ports(), lab.limits))
    lab.account()


def test_an_error_of_the_load_ends_both(lab: Lab) -> None:
    failed = threading.Event()

    class Failing(MemoryEngine):
        def write(self, job: Any) -> Any:  # noqa: ARG002 - as the engine has it
            failed.set()
            raise EngineError("no more memory")

    def before_poll(number: int) -> None:
        if number == 3:
            assert failed.wait(_SECONDS)

    ports = lab.ports(kafka=Stepped(lab.kafka, before_poll), engine=Failing(lab.store))
    with pytest.raises(EngineError):
        list(ingest("t", ports, lab.limits))
    assert lab.metastore.progress("t").applied_seq == 0
    list(ingest("t", lab.ports(), lab.limits))
    lab.account()


def test_a_schema_break_stops_both(lab: Lab) -> None:
    lab.send({"n": "text"}, partition=0)
    first = threading.Event()

    def before_poll(number: int) -> None:
        if number == 2:  # in the first batch it were no break: first sight holds all of that
            assert first.wait(_SECONDS)

    running = ingest("t", lab.ports(kafka=Stepped(lab.kafka, before_poll)), lab.limits)
    with pytest.raises(SchemaBlockedError):
        for one in running:
            if not isinstance(one, RawCommit):
                first.set()
    with pytest.raises(NotRunnableError):
        list(ingest("t", lab.ports(), lab.limits))


def test_what_comes_with_the_first_batch_is_no_break(lab: Lab) -> None:
    lab.send({"n": "text"}, partition=0)
    lab.dump()
    list(ingest("t", lab.ports(), lab.limits))
    assert lab.metastore.get("t").status == Status.LIVE
    lab.account()


def test_stop_ends_both_behind_what_they_are_at(lab: Lab) -> None:
    told_one = threading.Event()

    def before_poll(number: int) -> None:
        if number == 2:
            assert told_one.wait(_SECONDS)

    ports = lab.ports(kafka=Stepped(lab.kafka, before_poll))
    for _ in ingest("t", ports, lab.limits, stop=told_one.is_set):
        told_one.set()
    assert lab.metastore.progress("t").head_seq < 6
    list(ingest("t", lab.ports(), lab.limits))
    lab.account()


def test_an_interrupt_leaves_no_thread_and_whole_slices(lab: Lab) -> None:
    running = ingest("t", lab.ports(), lab.limits)
    with pytest.raises(KeyboardInterrupt):
        for _ in running:
            raise KeyboardInterrupt
    running.close()  # type: ignore[attr-defined]
    list(ingest("t", lab.ports(), lab.limits))
    lab.account()
