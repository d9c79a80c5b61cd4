"""Kafka through confluent-kafka: explicit assignment, explicit offsets, no group management."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import Message as ConfluentMessage
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.admin._topic import TopicDescription

from lake_platform.adapters.kafka.admin import Access, asking
from lake_platform.adapters.secrets.resolve import resolved_options
from lake_platform.domain.kafka_access import check_options
from lake_platform.domain.offsets import OffsetRange, Retention, TopicInfo
from lake_platform.domain.registry import NoRegistry, Registry
from lake_platform.errors import (
    InvalidFieldError,
    KafkaUnavailableError,
    OffsetsMissingError,
)

_TIMEOUT_SECONDS = 6.0
# A run asks for each of its tables: where Kafka gave no answer just now, none waits as long again.
_SHORT_SECONDS = 1.5
_MUTE_SECONDS = 30.0
_COMMIT_SESSION_MS = 6_000
_POLL_SECONDS = 0.05  # consume() waits all of it when fewer messages than asked for arrive
_POLL_MESSAGES = 2_000
_READER_GROUP = "lake-platform-reader"
_DENIED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_VERSION,
)
_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


class ConfluentKafka:
    """The Kafka port. `options` are librdkafka's; ours win where correctness depends on them."""

    def __init__(
        self,
        bootstrap: str,
        options: Mapping[str, str] | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.registry: Registry = registry or NoRegistry()
        check_options(options or {})
        self._options = dict(options or {})
        self._bootstrap = bootstrap
        self._common: dict[str, str | int | float | bool] = {
            "log_level": 0,  # what goes wrong comes as our errors, not as lines on stderr
            "socket.timeout.ms": 10_000,
            "bootstrap.servers": bootstrap,
        }
        self._mute_at = -_MUTE_SECONDS

    def describe(self, topic: str) -> TopicInfo:
        with self._asking(topic) as (admin, seconds):
            described = self._described(admin, topic, seconds)
            partitions = [p.id for p in described.partitions]
            ends = self._offsets(admin, topic, partitions, OffsetSpec.latest())
            starts = self._offsets(admin, topic, partitions, OffsetSpec.earliest())
            retention = _retention(admin, topic)
        ranges = {p: OffsetRange(starts[p], ends[p]) for p in partitions}
        return TopicInfo(str(described.topic_id), ranges, retention)

    def topic_id(self, topic: str) -> str:
        with self._asking(topic) as (admin, seconds):
            return str(self._described(admin, topic, seconds).topic_id)

    @contextmanager
    def open(self, topic: str, ranges: Mapping[int, OffsetRange]) -> Iterator[ConfluentReader]:
        access, given = self._given()
        consumer = Consumer(
            {
                # What librdkafka holds ahead of us, decompressed: 270 MB of peak memory for the
                # whole dump, where 64 MB and 8 MB gave 620 MB and were slower.
                "queued.max.messages.kbytes": 16_384,
                "fetch.message.max.bytes": 1 << 20,
                # Once the queue is full librdkafka looks again after this; its 1,000 ms are longer
                # than we take to empty it: half of a dump's time was waiting.
                "fetch.queue.backoff.ms": 10,
                **given,
                "group.id": _READER_GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "check.crcs": True,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        try:
            yield ConfluentReader(consumer, topic, ranges, access)
        finally:
            consumer.close()

    def report_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        access, given = self._given()
        # Its session is how long a commit waits for a coordinator: 45 s, for a display.
        waits = {"session.timeout.ms": _COMMIT_SESSION_MS}
        consumer = Consumer({**given, **waits, "group.id": group, "enable.auto.commit": False})
        try:
            positions = [TopicPartition(topic, p, o) for p, o in offsets.items()]
            consumer.commit(offsets=positions, asynchronous=False)
        except KafkaException as error:
            raise access.named(error.args[0], topic, group) from None
        finally:
            consumer.close()

    def _described(self, admin: AdminClient, topic: str, seconds: float) -> TopicDescription:
        futures = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds)
        try:
            described: TopicDescription = futures[topic].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise InvalidFieldError(
                    "topic", topic, "does not exist", f"create it on {self._bootstrap}"
                ) from None
            raise
        return described

    def _offsets(
        self, admin: AdminClient, topic: str, partitions: Sequence[int], spec: OffsetSpec
    ) -> dict[int, int]:
        asked = {TopicPartition(topic, p): spec for p in partitions}
        # read_committed: an open transaction's records are not there yet, so they are no backlog.
        futures = admin.list_offsets(
            asked,
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_TIMEOUT_SECONDS,
        )
        return {tp.partition: future.result().offset for tp, future in futures.items()}

    @contextmanager
    def _asking(self, topic: str) -> Iterator[tuple[AdminClient, float]]:
        """With the seconds that the first question may take."""
        access, given = self._given()
        mute = time.monotonic() - self._mute_at < _MUTE_SECONDS
        try:
            with asking(access, given, topic) as admin:
                yield admin, _SHORT_SECONDS if mute else _TIMEOUT_SECONDS
        except KafkaUnavailableError as error:
            # A short wait that failed proves nothing of a broker that is slow.
            if type(error) is KafkaUnavailableError and not mute:
                self._mute_at = time.monotonic()
            raise
        self._mute_at = -_MUTE_SECONDS

    def _given(self) -> tuple[Access, dict[str, str | int | float | bool]]:
        """Options of a client that is made now; ours win where correctness depends on them."""
        options = resolved_options(self._options, "LAKE_KAFKA_OPTIONS")
        ours = {"bootstrap.servers": self._bootstrap}
        return Access(self._bootstrap, options), {**self._common, **options, **ours}


def _retention(admin: AdminClient, topic: str) -> Retention | None:
    """None when the broker does not let us read the topic's settings."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    futures = admin.describe_configs([resource], request_timeout=_TIMEOUT_SECONDS)
    try:
        settings = {name: entry.value for name, entry in futures[resource].result().items()}
    except KafkaException as error:
        if error.args[0].code() in _DENIED:
            return None
        raise
    policy = str(settings["cleanup.policy"])
    ms = size = tombstones = -1
    if "delete" in policy:  # a topic that is compacted only keeps what no later record replaces
        ms, size = int(settings["retention.ms"]), int(settings["retention.bytes"])
    if "compact" in policy:
        # From the first cleaning on, which may follow at once; not before the lag is over.
        lag = int(settings["min.compaction.lag.ms"])
        tombstones = lag + int(settings["delete.retention.ms"])
    limits = (limit if limit >= 0 else None for limit in (ms, size, tombstones))
    return Retention(*limits)


class ConfluentReader:
    """Reads `ranges`; partitions pause at their end so nothing past it is fetched for nothing."""

    def __init__(
        self, consumer: Consumer, topic: str, ranges: Mapping[int, OffsetRange], access: Access
    ) -> None:
        self._consumer, self._access = consumer, access
        self._topic = topic
        self._ends = {p: r.end for p, r in ranges.items()}
        self._positions = {p: r.start for p, r in ranges.items()}
        self._open = {p for p, r in ranges.items() if r.start < r.end}
        self._ranges = dict(ranges)
        consumer.assign([TopicPartition(topic, p, ranges[p].start) for p in sorted(self._open)])

    def poll(self) -> Sequence[ConfluentMessage]:
        try:
            polled = self._consumer.consume(_POLL_MESSAGES, timeout=_POLL_SECONDS)
        except KafkaException as error:
            raise self._access.named(error.args[0], self._topic, _READER_GROUP) from None
        # map() over the methods runs in C: this is paid for every record.
        if any(map(ConfluentMessage.error, polled)):
            polled = [m for m in polled if not self._event(m)]
        ends, late = self._ends, False
        # Offsets and partitions are set on every message that is no event.
        places = map(ConfluentMessage.partition, polled), map(ConfluentMessage.offset, polled)
        last = cast("dict[int, int]", dict(zip(*places, strict=True)))
        for partition, offset in last.items():
            self._positions[partition] = max(self._positions[partition], offset + 1)
            if offset + 1 >= ends[partition]:
                late = late or offset + 1 > ends[partition]
                self._close(partition)
        if late:
            polled = [m for m in polled if (m.offset() or 0) < ends[m.partition() or 0]]
        return polled

    def positions(self) -> Mapping[int, int]:
        return {p: min(at, self._ends[p]) for p, at in self._positions.items()}

    def finished(self) -> bool:
        return not self._open

    def _event(self, message: ConfluentMessage) -> bool:
        """Handles a non-message of the stream; False for a real message."""
        error = message.error()
        if error is None:
            return False
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF and partition is not None:
            # Also reached when the last offsets are holes: markers, compacted or aborted records.
            end = message.offset() or 0
            self._positions[partition] = max(self._positions[partition], end)
            if end >= self._ends[partition]:
                self._close(partition)
        elif error.code() in _GONE and partition is not None:
            known = self._ranges[partition]
            raise OffsetsMissingError("?", self._topic, {partition: (known.start, known.end)})
        elif error.fatal() or not error.retriable():
            raise self._access.named(error, self._topic, _READER_GROUP)
        return True

    def _close(self, partition: int) -> None:
        if partition in self._open:
            self._open.discard(partition)
            self._consumer.pause([TopicPartition(self._topic, partition, OFFSET_END)])
