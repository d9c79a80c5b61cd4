"""What every use case takes: the outside systems, and its bounds of memory and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lake_platform.domain.dataset import Format, OnConflict
from lake_platform.domain.offsets import Slice
from lake_platform.domain.pool import Pool
from lake_platform.domain.ports import Clock, Kafka, Metastore, TableEngine, Workers
from lake_platform.domain.storage import ObjectStore

EngineFor = Callable[[Format], TableEngine]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that `dump` and `load` touch. `engine` starts Spark on first use. Without
    a `pool` all is done in this process."""

    kafka: Kafka
    store: ObjectStore
    metastore: Metastore
    engine: EngineFor
    clock: Clock
    workers: Workers
    pool: Pool | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory and time. Bytes are uncompressed raw bytes. `dump_processes`: the most that
    read one topic; 0 is as many as the pool has. `on_conflict` is for datasets that do not say."""

    slice: Slice = field(default_factory=lambda: Slice(128 << 20, 1_000_000))
    dump_processes: int = 0
    batch_bytes: int = 512 << 20
    load_budget_seconds: float = 600.0
    claim_lease_seconds: float = 900.0
    on_conflict: OnConflict = "block"
