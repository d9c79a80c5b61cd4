"""The real Kafka adapter with what `Lab` needs to fill topics, and second readers of tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lake_platform.adapters.kafka import ConfluentKafka
from lake_platform.embedded.kafka import MAX_MESSAGE_BYTES
from lake_platform.errors import InvalidFieldError, KafkaUnavailableError

_DEADLINE_SECONDS = 30.0


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
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:  # the broker says so before all of it knows
            try:
                self.describe(topic)
                return
            except (InvalidFieldError, KafkaUnavailableError):
                assert time.monotonic() < deadline

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
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
