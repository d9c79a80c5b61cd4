"""Rows 1 and 2: phase 1, and the floor below it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isal import isal_zlib

from bench.audit import audit_raw, check
from bench.meter import Meter, Reading
from bench.order import Order, ports, register
from lake_platform import compose
from lake_platform.adapters.kafka.client import _POLL_MESSAGES, _POLL_SECONDS, ConfluentKafka
from lake_platform.dump.dump import dump

_WARM_SLICE = 25_000  # records of a raw commit of the table that warms the session up


def prepare(order: Order) -> int:
    """Registers and dumps what the load rows read; returns the newest raw commit's seq."""
    tables = {"t": order.topic}
    if order.warm_topic:
        tables["warm"] = order.warm_topic
    register(order, tables)
    opened, limits = ports(order), compose.build_limits(order.settings)
    for table in tables:
        small = replace(limits, slice=replace(limits.slice, max_records=_WARM_SLICE))
        for _ in dump(table, opened, small if table == "warm" else limits):
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
    """librdkafka's consume and gzip level 1 of the value bytes; nothing is kept.

    The consumer is the adapter's own, so the floor never reads in an easier way than the dump.
    """
    kafka = ConfluentKafka(order.bootstrap)
    records = value_bytes = 0
    with Meter() as meter, kafka.open(order.topic, kafka.describe(order.topic).ranges) as reader:
        gzip: Any = isal_zlib.compressobj(level=1, wbits=31)
        while records < order.expected.records:
            batch = reader._consumer.consume(_POLL_MESSAGES, timeout=_POLL_SECONDS)
            values = [m.value() or b"" for m in batch if not m.error()]
            joined = b"\n".join(values)
            gzip.compress(joined)
            records += len(values)
            value_bytes += len(joined) - max(0, len(values) - 1)
        gzip.flush()
    check("records read", records, order.expected.records)
    check("value bytes read", value_bytes, order.expected.value_bytes)
    return meter.reading
