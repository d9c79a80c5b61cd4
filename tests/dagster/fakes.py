"""A whole platform in memory: real use cases and metastore, a table engine that counts."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.process import LocalWorkers
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.compose import build_metastore
from lake_platform.domain.batches import (
    AppliedBatch,
    BatchJob,
    BatchRange,
    Claim,
    Judgement,
    TableProfile,
    TableState,
    WriteResult,
)
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.windows import FIRST_WINDOW
from lake_platform.errors import EngineError
from lake_platform.metastore.repository import Repository
from lake_platform.settings import load_settings
from resources.platform import PlatformResource

HOUR_MS = 3_600_000
START_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC
SOURCE = Struct((Field("id", Scalar("long")), Field("name", Scalar("string"))))


@dataclass
class FakeEngine:
    """Keeps the applied batches of each table; `failing` tables raise EngineError."""

    states: dict[str, TableState] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    writes: Counter[str] = field(default_factory=Counter)
    profiles: dict[str, TableProfile] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)  # commits for a compaction

    def state(self, dataset: Dataset) -> TableState:
        return self.states.get(dataset.table, TableState(exists=False, applied=0))

    def derive(
        self,
        dataset: Dataset,  # noqa: ARG002
        source: Struct,
        seen: Struct | None = None,  # noqa: ARG002
    ) -> Struct:
        return source

    def check_steps(self, dataset: Dataset) -> None:
        """There is no code."""

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[tuple[str, ...]]:  # noqa: ARG002
        return frozenset()

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:  # noqa: ARG002
        return False

    def layout(self, dataset: Dataset) -> None:
        """Writes no files."""

    def judge(self, job: BatchJob) -> Judgement:  # noqa: ARG002
        return Judgement()

    def write(self, job: BatchJob) -> WriteResult:
        table = job.dataset.table
        if table in self.failing:
            raise EngineError(f"dataset {table!r}: the engine is made to fail")
        self.writes[table] += 1
        written = job.records - job.quarantined - job.dropped
        applied = AppliedBatch(
            batch=job.batch,
            applied=job.applied,
            epoch=job.claim.epoch,
            instant=f"{self.writes[table]:05d}",
            schema_version=job.schema_version,
            replay=job.replay,
            reapply=job.reapply,
            balance=Balance(job.records, written, quarantined=job.quarantined, dropped=job.dropped),
            quarantine_keys=job.quarantine_keys,
        )
        self.states[table] = TableState(True, job.applied, applied)
        return WriteResult(applied, job.table_schema, files=1, bytes=job.records * 10)

    def fence(self, dataset: Dataset, epoch: int) -> None:
        pass

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:  # noqa: ARG002
        return batch

    def profile(self, dataset: Dataset) -> TableProfile:
        return self.profiles.get(dataset.table, TableProfile(0, 0, 0))

    def newest_rows(self, dataset: Dataset, columns: Any, limit: int) -> list[dict[str, Any]]:  # noqa: ARG002
        return []

    def uncompacted(self, dataset: Dataset) -> int:
        return self.waiting.get(dataset.table, 0)

    def compact(self, dataset: Dataset, claim: Claim) -> bool:  # noqa: ARG002 - port
        if dataset.table in self.failing:
            raise EngineError(f"dataset {dataset.table!r}: the engine is made to fail")
        self.waiting[dataset.table] = 0
        return True

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the fake engine has no {name}: add it, the port grew")


class World:
    """Ports over memory, a metastore file, and a clock that only moves when told to."""

    def __init__(self, home: Path) -> None:
        # No run of a test has somebody's Dagster reload.
        self.settings = load_settings(home).model_copy(update={"dagster_port": 1})
        self.now_ms = START_MS
        self.first_window = FIRST_WINDOW  # of the code location that is loaded
        self.kafka = MemoryKafka()
        self.metastore: Repository = build_metastore(self.settings)
        self.engine = FakeEngine()
        self.opened = 0
        self.ports = Ports(
            kafka=self.kafka,
            store=open_store("memory:///"),
            metastore=self.metastore,
            engine=self._engine,
            clock=lambda: self.now_ms,
            workers=LocalWorkers(),
        )

    def _engine(self, format_: str) -> Any:  # noqa: ARG002
        self.opened += 1
        return self.engine

    def register(self, table: str, source: Struct | None = SOURCE, **values: Any) -> Dataset:
        dataset = Dataset(topic=values.pop("topic", f"topic.{table}"), table=table, **values)
        self.kafka.create_topic(dataset.topic)
        self.metastore.register(dataset, source, "test")
        return dataset

    def produce(self, table: str, *values: Any, at_ms: int | None = None) -> None:
        """Each value is JSON-able, or bytes as they are."""
        topic = self.metastore.get(table).dataset.topic
        for value in values:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            moment = self.now_ms if at_ms is None else at_ms
            self.kafka.produce(topic, None, data, timestamp_ms=moment)


_worlds: dict[str, World] = {}


def world_at(home: Path) -> World:
    return _worlds.setdefault(str(home), World(home))


class FakePlatform(PlatformResource):
    """The real resource with the world of its settings' home behind it."""

    def open_ports(self) -> Ports:
        return _worlds[str(self.settings.home)].ports

    def _with_spark(self, ports: Ports) -> Ports:
        return ports


def fake_platform(world: World) -> FakePlatform:
    return FakePlatform(settings=world.settings, first_window=world.first_window)


def definitions(world: World) -> dg.Definitions:
    from lake_platform.definitions import build_definitions

    return build_definitions(world.settings, platform=fake_platform(world))
