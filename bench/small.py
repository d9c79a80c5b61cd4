"""Row 6: batches of 1,000 rows on a warm session, and a load that finds nothing new."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import bare
from bench.audit import audit_quarantine, check
from bench.order import Order, ports, register, spark_session
from bench.records import Events, produce
from lake_platform import compose
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.storage import ObjectInfo, ObjectStore
from lake_platform.dump.dump import dump
from lake_platform.load.load import load

ROWS = 1_000
_WARM_ROUNDS = 3
_COMPACTION_ROUNDS = 25  # an upsert table compacts within so many delta commits


@dataclass
class SmallBatches:
    """Seconds of each round; `nothing_new_*` of loads that find nothing, per load."""

    load_seconds: list[float] = field(default_factory=list)
    dump_seconds: list[float] = field(default_factory=list)
    slowest_seconds: float = 0.0
    nothing_new_ms: list[float] = field(default_factory=list)
    nothing_new_lists: int = 0
    nothing_new_jobs: int = 0


class CountingStore:
    """Counts the LISTs that reach the object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.lists = 0

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self.lists += 1
        return self._store.list(prefix, after)

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def put(self, key: str, data: bytes) -> None:
        self._store.put(key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        return self._store.put_new(key, data)

    def head(self, key: str) -> ObjectInfo | None:
        return self._store.head(key)

    def delete(self, keys: Iterable[str]) -> None:
        self._store.delete(keys)

    def move(self, source: str, target: str) -> None:
        self._store.move(source, target)

    def url(self, key: str) -> str:
        return self._store.url(key)


def measure_small(order: Order) -> SmallBatches:
    """`order.expected.records` rows are in the table before; `order.topic` is empty before."""
    base = order.expected.records
    events = Events(update_share=0.1 if order.kind == "upsert" else 0.0, spread_over=base)
    produce(order.bootstrap, order.topic, events, base)
    register(order, {"t": order.topic})
    counting = CountingStore(compose.build_store(order.settings))
    opened, limits = ports(order, counting), compose.build_limits(order.settings)
    found = SmallBatches()
    for number in range(-_WARM_ROUNDS - 1, order.rounds):
        dumped, loaded = _round(order, events, opened, limits, first=number < -_WARM_ROUNDS)
        if number >= 0:
            found.dump_seconds.append(dumped)
            found.load_seconds.append(loaded)
    found.slowest_seconds = max(found.load_seconds)
    _nothing_new(order, opened, limits, counting, found)
    if order.kind == "upsert":
        rest = range(_COMPACTION_ROUNDS - order.rounds - _WARM_ROUNDS)
        slow = [_round(order, events, opened, limits)[1] for _ in rest]
        found.slowest_seconds = max(found.slowest_seconds, *slow)
    audit_quarantine(opened.store, "t")
    url = opened.store.url(table_prefix("t"))
    bare.audit_path(spark_session(order), url, order.kind, events.expected)
    return found


def _round(
    order: Order, events: Events, opened: Ports, limits: Limits, first: bool = False
) -> tuple[float, float]:
    if not first:
        produce(order.bootstrap, order.topic, events, ROWS)
    started = time.perf_counter()
    for _ in dump("t", opened, limits):
        pass
    dumped = time.perf_counter()
    check("batches of a round", len(list(load("t", opened, limits))), 1)
    return round(dumped - started, 4), round(time.perf_counter() - dumped, 4)


def _nothing_new(
    order: Order, opened: Ports, limits: Limits, counting: CountingStore, found: SmallBatches
) -> None:
    jobs, lists = _jobs(order), counting.lists
    for _ in range(order.rounds):
        started = time.perf_counter()
        check("batches when nothing is new", len(list(load("t", opened, limits))), 0)
        found.nothing_new_ms.append(round((time.perf_counter() - started) * 1000, 2))
    found.nothing_new_lists = (counting.lists - lists) // order.rounds
    found.nothing_new_jobs = _jobs(order) - jobs


def _jobs(order: Order) -> int:
    """Spark jobs the session has started so far."""
    context: Any = spark_session(order).sparkContext
    return int(context._jsc.sc().dagScheduler().numTotalJobs())
