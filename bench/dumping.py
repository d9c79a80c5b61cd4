"""Rows 1 and 2: phase 1, and the floor below it."""

from __future__ import annotations

from typing import Any

from bench.audit import audit_raw, check
from bench.meter import Meter, Reading
from bench.order import Order, ports, register
from lake_platform import compose
from lake_platform.ingest.dump import dump

_MESSAGES, _SECONDS = 5_000, 0.05
# What adapters/kafka.py gives its consumer: the floor must not read in an easier way.
_CONSUMER: dict[str, str | int | float | bool] = {
    "queued.max.messages.kbytes": 16_384,
    "fetch.message.max.bytes": 1 << 20,
    "log_level": 3,
    "group.id": "bench-floor",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "check.crcs": True,
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
}


def prepare(order: Order) -> int:
    """Registers and dumps what the load rows read; returns the newest raw commit's seq."""
    tables = {"t": order.topic}
    if order.warm_topic:
        tables["warm"] = order.warm_topic
    register(order, tables)
    opened, limits = ports(order), compose.build_limits(order.settings)
    for table in tables:
        for _ in dump(table, opened, limits):
            pass
    return opened.metastore.progress("t").head_seq


def measure_dump(order: Order) -> Reading:
    register(order, {"t": order.topic})
    opened, limits = ports(order), compose.build_limits(order.settings)
    with Meter() as meter:
        for _ in dump("t", opened, limits):
            pass
    audit_raw(opened.store, "t", order.topic, order.expected)
    return meter.reading


def measure_floor(order: Order) -> Reading:
    """librdkafka's consume and gzip level 1 of the value bytes; nothing is kept."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
    from isal import isal_zlib

    records = value_bytes = 0
    with Meter() as meter:
        consumer = Consumer({**_CONSUMER, "bootstrap.servers": order.bootstrap})
        found: Any = consumer.list_topics(order.topic, timeout=15).topics[order.topic]
        consumer.assign(
            [TopicPartition(order.topic, p, OFFSET_BEGINNING) for p in found.partitions]
        )
        gzip: Any = isal_zlib.compressobj(level=1, wbits=31)
        while records < order.expected.records:
            batch = consumer.consume(_MESSAGES, timeout=_SECONDS)
            values = [m.value() or b"" for m in batch if not m.error()]
            joined = b"\n".join(values)
            gzip.compress(joined)
            records += len(values)
            value_bytes += len(joined) - max(0, len(values) - 1)
        gzip.flush()
        consumer.close()
    check("records read", records, order.expected.records)
    check("value bytes read", value_bytes, order.expected.value_bytes)
    return meter.reading
