"""A consumer of the audit's own: it assigns, never commits, and shares no code with phase 1."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from lake_platform.audit.sources import TopicLook
from lake_platform.domain import kafka_access
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import KafkaMessage
from lake_platform.errors import KafkaUnavailableError

_TIMEOUT_SECONDS = 10.0
_STALL_SECONDS = 60.0
_MESSAGES = 5_000
_GROUP = "lake-platform-audit"


class KafkaTopic:
    """Reads whole topics. `options` are librdkafka's, as LAKE_KAFKA_OPTIONS has them."""

    def __init__(self, bootstrap: str, options: Mapping[str, str] | None = None) -> None:
        self._bootstrap = bootstrap
        self._options = dict(options or {})
        self._heard: dict[str, str] = {}
        self._common: dict[str, str | int | float | bool] = {
            "log_level": 0,
            **(options or {}),
            "bootstrap.servers": bootstrap,
        }

    def look(self, topic: str) -> TopicLook:
        self._heard.clear()
        options: dict[str, Any] = {**self._common, "error_cb": self._hear}
        admin = AdminClient(options)
        try:
            described = self._described(admin, topic)
            partitions = [p.id for p in described.partitions]
            ranges = self._ranges(topic, partitions)
            return TopicLook(str(described.topic_id), ranges, self._compacted(admin, topic))
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return TopicLook("", {})
            admin.poll(0)  # what it heard is told only then
            raise self._refused(error.args[0], topic) from None

    def _described(self, admin: AdminClient, topic: str) -> Any:
        asked = TopicCollection([topic])
        return admin.describe_topics(asked, request_timeout=_TIMEOUT_SECONDS)[topic].result()

    def _hear(self, error: KafkaError) -> None:
        self._heard.setdefault(error.name(), error.str())

    def read(
        self, topic: str, ranges: Mapping[int, OffsetRange]
    ) -> Iterator[Sequence[KafkaMessage]]:
        wanted = {p: r for p, r in ranges.items() if len(r)}
        if not wanted:
            return
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, p, r.start) for p, r in wanted.items()])
            yield from self._until_done(consumer, topic, wanted)
        except KafkaException as error:
            raise self._refused(error.args[0], topic) from None
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "queued.max.messages.kbytes": 32_768,
                **self._common,
                "group.id": _GROUP,  # required, never joined: nothing is committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "check.crcs": True,
            }
        )

    def _until_done(
        self, consumer: Consumer, topic: str, ranges: Mapping[int, OffsetRange]
    ) -> Iterator[Sequence[KafkaMessage]]:
        unread = set(ranges)
        heard = time.monotonic()
        while unread:
            messages = consumer.consume(_MESSAGES, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _STALL_SECONDS:
                raise self._unavailable(
                    f"topic {topic!r} gave nothing for {_STALL_SECONDS:.0f} s on {sorted(unread)}"
                )
            found = [m for m in messages if self._wanted(m, topic, ranges, unread)]
            if found:
                yield cast("list[KafkaMessage]", found)

    def _wanted(
        self, message: Message, topic: str, ranges: Mapping[int, OffsetRange], unread: set[int]
    ) -> bool:
        """Whether it is a record of its range; notes partitions that were read to their end."""
        partition, offset = cast(int, message.partition()), cast(int, message.offset())
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise self._refused(error, topic)
            # Also where the last offsets are transaction markers or were compacted away.
            if offset >= ranges[partition].end:
                unread.discard(partition)
            return False
        if offset >= ranges[partition].end - 1:
            unread.discard(partition)
        return offset < ranges[partition].end

    def _ranges(self, topic: str, partitions: Sequence[int]) -> dict[int, OffsetRange]:
        consumer = self._consumer()
        try:
            return {
                p: OffsetRange(*self._marks(consumer, TopicPartition(topic, p))) for p in partitions
            }
        finally:
            consumer.close()

    def _marks(self, consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
        # The stub leaves open that this may be None, which stands for "no answer in time".
        marks: Any = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)
        if marks is None:
            raise self._unavailable(f"no offsets of partition {place.partition} in time")
        return int(marks[0]), int(marks[1])

    def _compacted(self, admin: AdminClient, topic: str) -> bool:
        asked = ConfigResource(ResourceType.TOPIC, topic)
        future = admin.describe_configs([asked], request_timeout=_TIMEOUT_SECONDS)[asked]
        try:
            policy = future.result()["cleanup.policy"]
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            raise kafka_access.denied(
                self._bootstrap, "DescribeConfigs", "topic", topic, self._options
            ) from None
        return "compact" in str(policy.value)

    def _refused(self, error: KafkaError, topic: str) -> KafkaUnavailableError:
        """Where a right or what lets us in is missing, that; else that it did not answer."""
        kinds = {
            KafkaError.TOPIC_AUTHORIZATION_FAILED: ("topic", topic),
            KafkaError.GROUP_AUTHORIZATION_FAILED: ("group", _GROUP),
        }
        if found := kinds.get(error.code()):
            return kafka_access.denied(self._bootstrap, "Read", *found, self._options)
        said = kafka_access.unavailable(self._bootstrap, error.str(), self._heard, self._options)
        plain = type(said) is KafkaUnavailableError
        return self._unavailable(error.str()) if plain else said

    def _unavailable(self, why: str) -> KafkaUnavailableError:
        return KafkaUnavailableError(
            f"Kafka at {self._bootstrap} did not answer the audit: {why}; try again, or audit "
            f"without --deep, which reads no topic"
        )
