"""Kafka's edges on a real broker: nothing is skipped silently, nothing alien is taken."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import Gap, OffsetRange, Slice
from lake_platform.domain.progress import time_to_data_loss_seconds
from lake_platform.dump.dump import dump, missing_ranges
from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from lake_platform.errors import KafkaUnavailableError, OffsetsMissingError, TopicRecreatedError
from lake_platform.raw import log as raw_log
from tests.integration.real_kafka import Config, RealKafka, re_create, set_retention, wait_until
from tests.support import NOW_MS, Lab, Sent, check_raw, raw_lines

pytestmark = pytest.mark.stack
# More than the client holds ahead (16 MiB), so that a broker is still asked in the second half.
_MANY, _LARGE = 3_000, "x" * 10_000


@pytest.fixture(scope="module")
def node(
    jars_dir: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A broker that these tests may stop; it compacts at once."""
    jars = ensure_jars(jars_dir, ["kafka"])[0].directory
    overrides = {
        "log.cleaner.backoff.ms": "100",
        "log.cleaner.dedupe.buffer.size": str(4 << 20),
        "log.cleaner.min.cleanable.ratio": "0.01",
    }
    home = tmp_path_factory.mktemp("edges")
    with Broker(home, jars=jars, java_home=java_home, overrides=overrides) as running:
        yield running


@pytest.fixture
def lab(node: Broker, tmp_path: Path) -> Iterator[Lab]:
    node.start()  # a test before this one may have stopped it
    kafka = RealKafka(node.bootstrap)
    # A client that has read the whole topic ahead would not notice what happens to it.
    kafka._common["queued.max.messages.kbytes"] = 1_024
    lab = Lab(tmp_path, kafka=kafka)  # type: ignore[arg-type]
    yield lab
    lab.close()


@pytest.fixture
def table() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


def config(lab: Lab) -> Config:
    return {"bootstrap.servers": real(lab)._bootstrap, "log_level": 0}


def real(lab: Lab) -> RealKafka:
    assert isinstance(lab.kafka, RealKafka)
    return lab.kafka


def produce(lab: Lab, table: str, values: list[bytes], partition: int = 0, **options: str) -> None:
    """Sends in batches; `Lab.send` waits for each record. `options` are the producer's."""
    from confluent_kafka import Producer

    producer = Producer({**config(lab), "linger.ms": 5, "enable.idempotence": True, **options})
    for value in values:
        producer.produce(f"topic.{table}", value, b"k", partition=partition, timestamp=NOW_MS)
        producer.poll(0)
    assert producer.flush(30) == 0


def fill(lab: Lab, table: str, records: int = _MANY, name: str = "n", first: int = 0) -> None:
    values = [b'{"%b":%d,"x":"%b"}' % (name.encode(), n, _LARGE.encode()) for n in range(records)]
    produce(lab, table, values)
    lab.sent[table] += [Sent(0, first + n, NOW_MS, b"k", v, "") for n, v in enumerate(values)]


def expire(lab: Lab, table: str, before: int) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin, place = AdminClient(config(lab)), TopicPartition(f"topic.{table}", 0, before)
    admin.delete_records([place])[place].result(20)


def slices(lab: Lab, table: str, records: int = 500) -> Iterator[Any]:
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, records))
    return dump(table, lab.ports(), lab.limits)


def committed(lab: Lab, table: str) -> int:
    """The next offset of partition 0."""
    head = raw_log.head(lab.store, table)
    return head.next_offsets[0] if head else 0


def check(lab: Lab, table: str, keep: Callable[[Sent], bool] = lambda _: True) -> None:
    check_raw(lab.store, table, [r for r in lab.sent[table] if keep(r)])


def test_retention_deletes_unread_records(lab: Lab, table: str) -> None:
    lab.register(table)
    fill(lab, table, 40)
    lab.dump(table)
    fill(lab, table, 60, first=40)
    expire(lab, table, 70)
    with pytest.raises(OffsetsMissingError) as caught:
        lab.dump(table)
    assert caught.value.ranges == {0: (40, 70)}
    missing = missing_ranges(table, lab.ports())
    assert missing == {0: OffsetRange(40, 70)}
    lab.metastore.accept_gaps(table, [Gap(p, r.start, r.end, "me") for p, r in missing.items()])
    lab.dump(table)
    check(lab, table, lambda r: not 40 <= r.offset < 70)


def test_retention_deletes_unread_records_during_a_dump(lab: Lab, table: str) -> None:
    lab.register(table)
    fill(lab, table)
    running = slices(lab, table)
    next(running)
    expire(lab, table, _MANY - 1)
    with pytest.raises(OffsetsMissingError) as caught:
        list(running)
    (start, end) = caught.value.ranges[0]
    assert end == _MANY - 1
    assert start >= committed(lab, table)
    with pytest.raises(OffsetsMissingError) as caught:
        lab.dump(table)
    assert caught.value.ranges == {0: (committed(lab, table), _MANY - 1)}
    check(lab, table, lambda r: r.offset < committed(lab, table))


def test_a_topic_re_created_between_dumps(lab: Lab, table: str) -> None:
    lab.register(table)
    fill(lab, table, 10)
    lab.dump(table)
    re_create(real(lab), config(lab), f"topic.{table}")
    produce(lab, table, [b'{"other":1}'] * 30)
    with pytest.raises(TopicRecreatedError):
        lab.dump(table)
    check(lab, table)


def test_a_topic_re_created_during_a_dump(lab: Lab, table: str) -> None:
    """The new one has as many records, so its offsets alone would not tell."""
    lab.register(table)
    fill(lab, table)
    running = slices(lab, table)
    next(running)
    re_create(real(lab), config(lab), f"topic.{table}")
    produce(lab, table, [b'{"other":%d,"x":"%b"}' % (n, _LARGE.encode()) for n in range(_MANY)])
    with pytest.raises(TopicRecreatedError):
        list(running)
    check(lab, table, lambda r: r.offset < committed(lab, table))
    with pytest.raises(TopicRecreatedError):
        lab.dump(table)


def test_partitions_are_added(lab: Lab, table: str) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewPartitions

    lab.register(table)
    fill(lab, table, 10)
    lab.dump(table)
    topic, admin = f"topic.{table}", AdminClient(config(lab))
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    wait_until(lambda: set(real(lab).describe(topic).ranges) == {0, 1, 2}, "two new partitions")
    for partition in (1, 2):
        lab.send({"n": partition}, table=table, partition=partition)
    lab.dump(table)
    assert dict(raw_log.commits_after(lab.store, table, 0)[-1].next_offsets) == {0: 10, 1: 1, 2: 1}
    check(lab, table)


def test_transactions_and_their_markers_leave_holes(lab: Lab, table: str) -> None:
    lab.register(table)

    def end_of() -> int:
        return real(lab).describe(f"topic.{table}").ranges[0].end

    def marked(end: int) -> Callable[[], bool]:
        return lambda: end_of() >= end

    for commit, value in ((False, b'{"aborted":1}'), (True, b'{"n":1}'), (False, b'{"aborted":2}')):
        end = end_of() + 4
        producer = transaction(lab)
        for _ in range(3):
            producer.produce(f"topic.{table}", value, b"k", partition=0, timestamp=NOW_MS)
        producer.flush(20)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
        wait_until(marked(end), "the marker")
    lab.dump(table)
    commits = raw_log.commits_after(lab.store, table, 0)
    lines = raw_lines(lab.store, commits)
    assert [(x["offset"], x["value"]) for x in lines] == [(n, {"n": 1}) for n in (4, 5, 6)]
    assert committed(lab, table) == 12


def transaction(lab: Lab) -> Any:
    from confluent_kafka import Producer

    producer = Producer({**config(lab), "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(20)
    producer.begin_transaction()
    return producer


def test_an_open_transaction_is_no_backlog_and_read_once_committed(lab: Lab, table: str) -> None:
    lab.register(table)
    fill(lab, table, 5)
    producer = transaction(lab)
    producer.produce(f"topic.{table}", b'{"n":5}', b"k", partition=0, timestamp=NOW_MS)
    producer.flush(20)
    fill(lab, table, 5, first=6)  # behind the open one: not readable before it ends
    lab.dump(table)
    assert committed(lab, table) == 5
    assert lab.metastore.progress(table).backlog == 0
    producer.commit_transaction(20)
    wait_until(lambda: real(lab).describe(f"topic.{table}").ranges[0].end == 12, "the marker")
    lab.dump(table)
    lab.sent[table].append(Sent(0, 5, NOW_MS, b"k", b'{"n":5}', ""))
    check(lab, table)
    assert committed(lab, table) == 12


def test_compaction_leaves_holes(lab: Lab, table: str) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    topic, admin = f"topic.{table}", AdminClient(config(lab))
    settings = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "segment.ms": "100"}
    admin.create_topics([NewTopic(topic, 1, 1, config=settings)])[topic].result(20)
    real(lab).create_topic = lambda *_: None  # type: ignore[method-assign]
    lab.register(table)
    fill(lab, table, 400)  # one key: only the newest of the closed segments stays
    kept: list[int] = []

    def compacted() -> bool:
        with real(lab).open(topic, {0: OffsetRange(0, 400)}) as reader:
            kept.clear()
            while not reader.finished():
                kept.extend(m.offset() or 0 for m in reader.poll())
        return len(kept) < 300

    wait_until(compacted, "the broker to compact")
    lab.dump(table)
    assert committed(lab, table) == 400
    (commit,) = raw_log.commits_after(lab.store, table, 0)
    offsets = [x["offset"] for x in raw_lines(lab.store, [commit])]
    assert offsets[-1] == 399
    assert set(offsets) <= set(kept)  # it may have compacted more since
    assert commit.ranges == {0: OffsetRange(0, 400)}
    check(lab, table, lambda r: r.offset in set(offsets))


def test_the_broker_is_killed_during_a_slice_and_comes_back(
    lab: Lab, table: str, node: Broker
) -> None:
    lab.register(table)
    fill(lab, table)
    running = slices(lab, table)
    next(running)
    node.kill()
    back = threading.Thread(target=node.start)
    back.start()
    try:
        list(running)
    except KafkaUnavailableError:  # the client may give up first; the next dump goes on
        back.join()
        lab.dump(table)
    finally:
        back.join()
    assert committed(lab, table) == _MANY
    check(lab, table)


def test_a_broker_that_stands_still_ends_the_dump_and_the_next_goes_on(
    lab: Lab, table: str, node: Broker
) -> None:
    lab.register(table)
    fill(lab, table)
    moments = iter(range(NOW_MS, NOW_MS + 10**9, 1_000))  # a second passes with each look
    lab.limits = replace(lab.limits, slice=Slice(1 << 30, 500))
    running = dump(table, lab.ports(clock=lambda: next(moments)), lab.limits)
    next(running)
    os.kill(node.pid, signal.SIGSTOP)
    try:
        with pytest.raises(KafkaUnavailableError, match="did not answer"):
            list(running)
        # What other tables of the run would ask; together less than one commit waited before.
        for ask in (
            lambda: real(lab).describe(f"topic.{table}"),
            lambda: real(lab).report_offsets("g", f"topic.{table}", {0: 1}),
        ):
            with pytest.raises(KafkaUnavailableError):
                ask()
    finally:
        os.kill(node.pid, signal.SIGCONT)
    part = committed(lab, table)
    assert 500 <= part < _MANY
    # Leaders and offsets too, not only that there is such a topic.
    wait_until(lambda: bool(real(lab).describe(f"topic.{table}").ranges), "the broker")
    lab.dump(table)
    check(lab, table)


def test_time_to_data_loss_from_the_topics_settings(lab: Lab, table: str) -> None:
    lab.register(table)
    set_retention(real(lab), config(lab), f"topic.{table}", 10**9, -1)
    fill(lab, table)
    next(slices(lab, table))
    record, progress = lab.metastore.get(table), lab.metastore.progress(table)
    assert progress.backlog == _MANY - committed(lab, table)
    assert time_to_data_loss_seconds(record, progress, lab.now_ms) == 10**6
    assert time_to_data_loss_seconds(record, progress, lab.now_ms + 600_000) == 10**6 - 600


def test_a_tombstone_that_compaction_took_was_told_of_before(lab: Lab, table: str) -> None:
    """Nobody can tell afterwards that it was there, so time must have run down to zero."""
    settings = {
        "cleanup.policy": "compact", "delete.retention.ms": "1000", "segment.ms": "1000",
        "min.cleanable.dirty.ratio": "0.01",
    }  # fmt: skip
    dataset = Dataset(
        topic=f"topic.{table}", table=table, mode="upsert", primary_key=("id",), max_lag_seconds=60
    )
    create(lab, dataset.topic, settings)
    lab.metastore.register(dataset, None, "test")
    lab.now_ms = int(time.time() * 1000)
    send(lab, dataset.topic, b"1", b'{"id":1}')
    lab.cycle(table)
    record = lab.metastore.get(table)

    def left() -> float | None:
        return time_to_data_loss_seconds(record, lab.metastore.progress(table), lab.now_ms)

    assert left() == math.inf
    lab.metastore.pause(table, "ann")
    send(lab, dataset.topic, b"1", None)

    def gone() -> bool:
        send(lab, dataset.topic, b"filler", b'{"id":2}')  # segments are rolled by what comes
        time.sleep(0.3)
        return b"1" not in {m.key() for m in held(lab, dataset.topic) if m.value() is None}

    wait_until(gone, "compaction to take the tombstone")
    lab.now_ms = int(time.time() * 1000)
    assert left() == 0.0
    lab.metastore.resume(table, "ann")
    lab.cycle(table)
    assert 1 in {r["id"] for r in lab.plain_rows(table)}  # the limit the docs name


def test_a_beginning_that_was_deleted_is_told_at_registration(lab: Lab, table: str) -> None:
    lab.register(table)
    fill(lab, table, 10)
    lab.dump(table)
    expire(lab, table, 4)
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka, store=lambda: lab.store)
    second = Dataset(topic=f"topic.{table}", table=f"{table}_2")
    (warning,) = use_cases.register_dataset(second, "test").warnings
    assert "p0 [0, 4) aged out" in warning
    assert f"raw of dataset {table} has p0 [0, 4)" in warning


def create(lab: Lab, topic: str, settings: dict[str, str]) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient(config(lab))  # held: without it what was asked is cancelled
    admin.create_topics([NewTopic(topic, 1, 1, config=settings)])[topic].result(20)
    wait_until(lambda: bool(real(lab).describe(topic).ranges), "the topic")


def send(lab: Lab, topic: str, key: bytes, value: bytes | None) -> None:
    lab.kafka.produce(topic, key, value, timestamp_ms=int(time.time() * 1000))


def held(lab: Lab, topic: str) -> list[Any]:
    found: list[Any] = []
    with lab.kafka.open(topic, lab.kafka.describe(topic).ranges) as reader:
        while not reader.finished():
            found += reader.poll()
    return found
