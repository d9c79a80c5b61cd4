"""The real Kafka adapter with what `Lab` needs to fill topics, and second readers of tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.domain.offsets import Retention
from lake_platform.embedded.kafka import MAX_MESSAGE_BYTES
from lake_platform.errors import InvalidFieldError, KafkaUnavailableError

_DEADLINE_SECONDS = 30.0
Config = dict[str, str | int | float | bool]


class RealKafka(ConfluentKafka):
    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka import Producer

        super().__init__(bootstrap)
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 0,
             "message.max.bytes": MAX_MESSAGE_BYTES}
        )  # fmt: skip

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        admin = AdminClient(self._common)
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
        wait_until_known(self, topic)

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = 0,
        timestamp_ms: int = 0,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> int:
        """Returns the record's offset, after the broker acknowledged it."""
        done: list[Any] = []
        self._producer.produce(
            topic, value, key, partition=partition, timestamp=timestamp_ms,
            headers=list(headers or []), on_delivery=lambda e, m: done.append((e, m)),
        )  # fmt: skip
        assert self._producer.flush(20) == 0
        error, message = done[0]
        assert error is None, error
        return int(message.offset())


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Asks until it is so; the deadline is for a broker that never gets there.

    A broker that is not there yet, or moves its leaders, is no answer.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS

    def so() -> bool:
        try:
            return holds()
        except KafkaUnavailableError:
            return False

    while not so():
        assert time.monotonic() < deadline, f"waited {_DEADLINE_SECONDS:.0f} s for {what}"


def wait_until_known(kafka: ConfluentKafka, topic: str) -> None:
    """The broker says that a topic is created before all of it knows."""

    def known() -> bool:
        try:
            return bool(kafka.describe(topic).ranges)
        except InvalidFieldError:
            return False

    wait_until(known, f"topic {topic}")


def re_create(kafka: ConfluentKafka, config: Config, topic: str, partitions: int = 1) -> None:
    """Deletes the topic and makes a new one of the same name."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin, before = AdminClient(config), kafka.topic_id(topic)
    admin.delete_topics([topic])[topic].result(20)

    def made() -> bool:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
        except KafkaException:  # the old one is still going
            return False
        return True

    wait_until(made, f"a new topic {topic}")
    wait_until_known(kafka, topic)
    assert kafka.topic_id(topic) != before


def set_retention(kafka: ConfluentKafka, config: Config, topic: str, ms: int, size: int) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._config import AlterConfigOpType as Op
    from confluent_kafka.admin._config import ConfigEntry, ConfigResource
    from confluent_kafka.admin._resource import ResourceType

    entries = [
        ConfigEntry("retention.ms", str(ms), incremental_operation=Op.SET),
        ConfigEntry("retention.bytes", str(size), incremental_operation=Op.SET),
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient(config)  # held: without it what was asked is cancelled
    admin.incremental_alter_configs([resource])[resource].result(20)
    wanted = Retention(ms if ms >= 0 else None, size if size >= 0 else None)
    wait_until(lambda: kafka.describe(topic).retention == wanted, f"the settings of {topic}")


def hudi_rs_rows(path: Path) -> list[dict[str, Any]]:
    """A Hudi table as hudi-rs reads it, without Spark or a JVM."""
    import pyarrow as pa
    from hudi import HudiTableBuilder

    batches = HudiTableBuilder.from_base_uri(str(path)).build().read()
    return [row for batch in batches for row in pa.record_batch(batch).to_pylist()]


def duckdb_rows(path: Path) -> list[dict[str, Any]]:
    """A Parquet table as duckdb reads it."""
    import duckdb

    with duckdb.connect() as database:
        cursor = database.execute(
            "SELECT * FROM read_parquet($1, hive_partitioning = true, union_by_name = true)",
            [f"{path}/**/*.parquet"],
        )
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    # The folders' columns, which the files have too.
    return [{n: v for n, v in r.items() if not n.startswith("lake_part_")} for r in rows]
