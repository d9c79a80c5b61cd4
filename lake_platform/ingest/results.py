"""What the use cases of `ingest` take and give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lake_platform.domain.batches import AppliedBatch
from lake_platform.domain.dataset import Format
from lake_platform.domain.offsets import Slice
from lake_platform.domain.ports import Clock, Kafka, Metastore, ObjectStore, TableEngine, Workers
from lake_platform.domain.schema import Change, Struct

EngineFor = Callable[[Format], TableEngine]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that `dump` and `load` touch. `engine` starts Spark on first use."""

    kafka: Kafka
    store: ObjectStore
    metastore: Metastore
    engine: EngineFor
    clock: Clock
    workers: Workers


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory and time. Bytes are uncompressed raw bytes."""

    slice: Slice = field(default_factory=lambda: Slice(128 << 20, 1_000_000))
    batch_bytes: int = 512 << 20
    load_budget_seconds: float = 600.0
    claim_lease_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One applied batch. `windows` maps each window of the batch to its records."""

    table: str
    applied: AppliedBatch
    windows: Mapping[str, int]
    changes: tuple[Change, ...]
    schema_version: int
    table_schema: Struct
    quarantined: Mapping[str, int]
    seconds: float
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WindowReport:
    """Whether an applied window still is what its commits say. `problems` is empty when it is;
    `expired` objects are older than the retention of raw and were not looked at."""

    table: str
    window: str
    objects: int
    records: int
    raw_bytes: int
    applied: bool
    problems: tuple[str, ...] = ()
    expired: int = 0


@dataclass(frozen=True, slots=True)
class CleanResult:
    """What the daily cleaner did to one dataset's commit log."""

    table: str
    snapshot_seq: int
    commits_removed: int
    orphans_removed: int
    raw_removed: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
