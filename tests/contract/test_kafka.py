"""What every Kafka promises: the one in memory and a real broker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.offsets import OffsetRange, Retention
from lake_platform.domain.ports import KafkaReader
from lake_platform.embedded.ports import free_port
from lake_platform.errors import InvalidFieldError, KafkaUnavailableError, OffsetsMissingError
from tests.integration.real_kafka import re_create, set_retention, wait_until_known

if TYPE_CHECKING:
    from lake_platform.embedded.broker import Broker

_DEADLINE_SECONDS = 30.0


class World(Protocol):
    """A Kafka under test and what its users do to it."""

    kafka: Any

    def create(self, partitions: int = 1) -> str: ...
    def send(self, topic: str, values: list[bytes | None], partition: int = 0) -> None: ...
    def transaction(self, topic: str, values: list[bytes], *, commit: bool) -> None: ...
    def expire(self, topic: str, before: int) -> None: ...
    def retain(self, topic: str, ms: int, size: int) -> None: ...
    def re_create(self, topic: str) -> None: ...


class Memory:
    def __init__(self) -> None:
        self.kafka = MemoryKafka()

    def create(self, partitions: int = 1) -> str:
        topic = uuid.uuid4().hex
        self.kafka.create_topic(topic, partitions)
        return topic

    def send(self, topic: str, values: list[bytes | None], partition: int = 0) -> None:
        for value in values:
            self.kafka.produce(
                topic, b"k", value, partition=partition, timestamp_ms=1_793_491_200_000,
                headers=[("h", b"v")],
            )  # fmt: skip

    def transaction(self, topic: str, values: list[bytes], *, commit: bool) -> None:
        if commit:
            self.send(topic, list(values))
        else:
            self.kafka.leave_hole(topic, 0, len(values))
        self.kafka.leave_hole(topic)

    def expire(self, topic: str, before: int) -> None:
        self.kafka.expire(topic, 0, before)

    def retain(self, topic: str, ms: int, size: int) -> None:
        self.kafka.set_retention(topic, ms if ms >= 0 else None, size if size >= 0 else None)

    def re_create(self, topic: str) -> None:
        self.kafka.delete_topic(topic)
        self.kafka.create_topic(topic)


class Real:
    def __init__(self, bootstrap: str, make_topic: Callable[..., str]) -> None:
        self.kafka = ConfluentKafka(bootstrap)
        self._make_topic = make_topic
        self._config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
        }

    def create(self, partitions: int = 1) -> str:
        topic = self._make_topic(partitions)
        wait_until_known(self.kafka, topic)
        return topic

    def send(self, topic: str, values: list[bytes | None], partition: int = 0) -> None:
        from confluent_kafka import Producer

        producer = Producer({**self._config, "enable.idempotence": True})
        for value in values:
            producer.produce(
                topic, value, b"k", partition=partition, timestamp=1_793_491_200_000,
                headers=[("h", b"v")],
            )  # fmt: skip
        assert producer.flush(20) == 0

    def transaction(self, topic: str, values: list[bytes], *, commit: bool) -> None:
        from confluent_kafka import Producer

        end = self._end(topic) + len(values) + 1
        producer = Producer({**self._config, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(20)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, b"k", partition=0)
        producer.flush(20)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
        # The broker answers before the marker is in the log: what is sent next could overtake it.
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._end(topic) < end:
            assert time.monotonic() < deadline, f"no transaction marker before offset {end}"

    def _end(self, topic: str) -> int:
        return self.kafka.describe(topic).ranges[0].end

    def expire(self, topic: str, before: int) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import AdminClient

        admin = AdminClient(self._config)
        partition = TopicPartition(topic, 0, before)
        admin.delete_records([partition])[partition].result(20)

    def retain(self, topic: str, ms: int, size: int) -> None:
        set_retention(self.kafka, self._config, topic, ms, size)

    def re_create(self, topic: str) -> None:
        re_create(self.kafka, self._config, topic)


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.stack)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return Memory()
    broker: Broker = request.getfixturevalue("broker")
    return Real(broker.bootstrap, request.getfixturevalue("make_topic"))


def read(reader: KafkaReader) -> list[tuple[int, int, bytes | None]]:
    found = []
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not reader.finished():
        assert time.monotonic() < deadline, reader.positions()
        found += [(m.partition() or 0, m.offset() or 0, m.value()) for m in reader.poll()]
    return found


def read_all(
    world: World, topic: str, ranges: Mapping[int, OffsetRange] | None = None
) -> tuple[list[tuple[int, int, bytes | None]], Mapping[int, int]]:
    wanted = ranges or world.kafka.describe(topic).ranges
    with world.kafka.open(topic, wanted) as reader:
        return read(reader), dict(reader.positions())


def test_describe(world: World) -> None:
    topic = world.create(3)
    world.send(topic, [b"1", b"2"], 1)
    info = world.kafka.describe(topic)
    assert info.ranges == {0: OffsetRange(0, 0), 1: OffsetRange(0, 2), 2: OffsetRange(0, 0)}
    assert info.topic_id == world.kafka.describe(topic).topic_id
    assert info.topic_id != world.kafka.describe(world.create()).topic_id


@pytest.mark.parametrize("ask", ["describe", "topic_id"])
def test_a_topic_that_does_not_exist_is_named(world: World, ask: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        getattr(world.kafka, ask)("no-such-topic")
    assert (caught.value.field, caught.value.value) == ("topic", "no-such-topic")


def test_retention_is_told(world: World) -> None:
    topic = world.create()
    world.retain(topic, 3_600_000, 1 << 30)
    assert world.kafka.describe(topic).retention == Retention(3_600_000, 1 << 30)
    world.retain(topic, -1, -1)
    assert world.kafka.describe(topic).retention == Retention()


def test_a_re_created_topic_has_another_id(world: World) -> None:
    topic = world.create()
    before = world.kafka.topic_id(topic)
    assert before == world.kafka.describe(topic).topic_id
    world.re_create(topic)
    assert world.kafka.topic_id(topic) == world.kafka.describe(topic).topic_id != before


@pytest.mark.stack
def test_a_compacted_topic_keeps_no_time(broker: Broker, make_topic: Callable[..., str]) -> None:
    topic = make_topic(**{"cleanup.policy": "compact", "retention.ms": "1000"})
    real = Real(broker.bootstrap, make_topic)
    assert real.kafka.describe(topic).retention == Retention(tombstones_ms=86_400_000)


@pytest.mark.stack
@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete"])
def test_how_long_tombstones_stay_is_told(
    broker: Broker, make_topic: Callable[..., str], policy: str
) -> None:
    topic = make_topic(
        **{"cleanup.policy": policy, "delete.retention.ms": "1000", "retention.ms": "60000",
           "min.compaction.lag.ms": "500"}
    )  # fmt: skip
    real = Real(broker.bootstrap, make_topic)
    expected = Retention(
        60_000 if "delete" in policy else None, None, 1_500 if "compact" in policy else None
    )
    assert real.kafka.describe(topic).retention == expected


def test_messages_come_as_they_were_sent(world: World) -> None:
    topic = world.create()
    world.send(topic, [b"\xff\x00", None, b""])
    with world.kafka.open(topic, {0: OffsetRange(0, 3)}) as reader:
        messages: list[Any] = []
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not reader.finished() and time.monotonic() < deadline:
            messages += reader.poll()
    assert [m.value() for m in messages] == [b"\xff\x00", None, b""]
    assert [m.key() for m in messages] == [b"k"] * 3
    assert messages[0].timestamp() == (1, 1_793_491_200_000)
    assert list(messages[0].headers()) == [("h", b"v")]


def test_ranges_are_kept_exactly(world: World) -> None:
    topic = world.create(2)
    for partition in (0, 1):
        world.send(topic, [b"%d" % n for n in range(20)], partition)
    found, positions = read_all(world, topic, {0: OffsetRange(3, 7), 1: OffsetRange(19, 20)})
    assert sorted((p, o) for p, o, _ in found) == [(0, 3), (0, 4), (0, 5), (0, 6), (1, 19)]
    assert positions == {0: 7, 1: 20}


def test_end_offsets_are_fixed(world: World) -> None:
    topic = world.create()
    world.send(topic, [b"1", b"2"])
    ranges = world.kafka.describe(topic).ranges
    world.send(topic, [b"3"])
    found, positions = read_all(world, topic, ranges)
    assert [v for _, _, v in found] == [b"1", b"2"]
    assert positions == {0: 2}


def test_empty_ranges_are_finished_at_once(world: World) -> None:
    topic = world.create(2)
    with world.kafka.open(topic, world.kafka.describe(topic).ranges) as reader:
        assert reader.finished()
        assert dict(reader.positions()) == {0: 0, 1: 0}


def test_holes_of_transactions_are_passed(world: World) -> None:
    topic = world.create()
    world.transaction(topic, [b"aborted"], commit=False)  # offsets 0, 1
    world.send(topic, [b"plain"])  # 2
    world.transaction(topic, [b"x", b"y"], commit=True)  # 3, 4, 5
    world.transaction(topic, [b"aborted"] * 3, commit=False)  # 6 to 9
    assert world.kafka.describe(topic).ranges == {0: OffsetRange(0, 10)}
    found, positions = read_all(world, topic)
    assert [(o, v) for _, o, v in found] == [(2, b"plain"), (3, b"x"), (4, b"y")]
    assert positions == {0: 10}


def test_a_topic_of_holes_only_ends(world: World) -> None:
    topic = world.create()
    world.transaction(topic, [b"aborted"], commit=False)
    assert read_all(world, topic) == ([], {0: 2})


def test_expired_offsets_are_missing_and_never_skipped(world: World) -> None:
    topic = world.create()
    world.send(topic, [b"%d" % n for n in range(10)])
    world.expire(topic, 4)
    assert world.kafka.describe(topic).ranges == {0: OffsetRange(4, 10)}
    with pytest.raises(OffsetsMissingError) as caught:
        read_all(world, topic, {0: OffsetRange(0, 10)})
    start, end = caught.value.ranges[0]
    assert (start, end >= 4) == (0, True)
    assert [o for _, o, _ in read_all(world, topic)[0]] == [4, 5, 6, 7, 8, 9]


def test_thousands_of_records_in_order(world: World) -> None:
    topic = world.create(3)
    for partition in range(3):
        world.send(topic, [b"%d" % n for n in range(4_000)], partition)
    found, positions = read_all(world, topic)
    assert positions == {0: 4_000, 1: 4_000, 2: 4_000}
    for partition in range(3):
        offsets = [o for p, o, _ in found if p == partition]
        assert offsets == list(range(4_000))


def test_group_offsets_are_shown(world: World) -> None:
    topic = world.create()
    world.send(topic, [b"1"])
    world.kafka.report_offsets("lake-t", topic, {0: 1})


def test_a_dead_broker_is_an_error_of_ours() -> None:
    kafka = ConfluentKafka(f"127.0.0.1:{free_port()}")
    with pytest.raises(KafkaUnavailableError, match="did not answer"):
        kafka.describe("t")


@pytest.mark.parametrize(
    "name",
    [
        "sasl.jaas.config", "sasl.login.callback.handler.class", "plugin.library.paths",
        "ssl.engine.location", "ssl.providers", "SASL.JAAS.CONFIG", "oauth_cb",
        "key.deserializer.class.name",
    ],
)  # fmt: skip
def test_options_that_run_code_are_refused(name: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        ConfluentKafka("127.0.0.1:1", {name: "x"})
    assert caught.value.value == name
