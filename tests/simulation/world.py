"""One simulated life: runs the steps of a schedule, recovers, and has the account closed."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.batches import Worker
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import Gap, Slice
from lake_platform.domain.resolutions import Asked
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.dump.dump import missing_ranges
from lake_platform.errors import (
    CheckpointLostError,
    CorruptRawError,
    LakeError,
    OffsetsMissingError,
    OffsetsWentBackError,
    RetryableError,
    SchemaBlockedError,
    TableDamagedError,
    TopicRecreatedError,
)
from lake_platform.metastore import resolving
from tests.simulation.hudi_like import HudiLikeEngine
from tests.simulation.ledger import HOUR_MS, Sent, value_of
from tests.simulation.metastore import DictMetastore
from tests.simulation.plan import Act, Expire, Go, Produce, Run, Schedule, Seen, Step, Tick, Work
from tests.simulation.storage import DictStore
from tests.simulation.works import READER, TABLE, TOPIC, reader_of, table_of, work_of
from tests.simulation.writers import KafkaOf, MetastoreOf, StoreOf, WorkersOf, Writer

NOW_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC
if TYPE_CHECKING:
    from lake_platform.metastore.repository import Repository

_SOURCE = Struct((Field("id", Scalar("long")), Field("n", Scalar("long"))))
_TRIES = 8
# No schedule damages anything, so nothing may ever say it is damaged.
_NEVER = (CheckpointLostError, TableDamagedError, OffsetsWentBackError)
Hits = Counter[tuple[str, str]]


class Broken(AssertionError):
    """The protocol did not hold."""


class World:
    def __init__(self, schedule: Schedule, hits: Hits | None = None) -> None:
        self.setting, self.steps = schedule.setting, schedule.steps
        self.hits: Hits = hits if hits is not None else Counter()
        self.now_ms = NOW_MS
        self.kafka = MemoryKafka()
        self.store = DictStore(self.clock)
        self.metastore = DictMetastore(self.clock)
        self.sent: list[Sent] = []
        self.partitions = self.setting.partitions
        self.recreated = self.retention = self.mended = self.slept = False
        self.stopped: dict[Work, Exception] = {}
        self._numbers, self._pids = 0, 0
        self._writers: dict[Worker, Writer] = {}
        self._standing: dict[str, Writer] = {}
        setting = self.setting
        dataset = Dataset(
            topic=TOPIC, table=TABLE, mode=setting.mode, evolution=setting.evolution,
            tombstones=setting.tombstones, max_quarantine_ratio=1.0,
            primary_key=("id",) if setting.mode == "upsert" else (),
        )  # fmt: skip
        self.limits = Limits(
            slice=Slice(1 << 20, setting.slice_records), batch_bytes=setting.batch_bytes
        )
        self.kafka.create_topic(TOPIC, setting.partitions)
        source = _SOURCE if setting.schema_known else None
        self.metastore.register(dataset, source, "simulation")
        self.tables = [TABLE]
        if setting.reader is not None:
            self.metastore.register(reader_of(dataset, setting.reader), source, "simulation")
            self.tables.append(READER)

    @property
    def dataset(self) -> Dataset:
        """As it is defined now."""
        return self.dataset_of(TABLE)

    def dataset_of(self, table: str) -> Dataset:
        return self.metastore.get(table).dataset

    def clock(self) -> int:
        return self.now_ms

    def engine(self, store: ObjectStore, writer: Writer | None = None) -> MemoryEngine:
        if self.setting.engine != "hudi-like":
            return MemoryEngine(store)
        if writer is None:
            return HudiLikeEngine(store)
        stays = partial(setattr, writer, "firm")
        if self.setting.firm:
            return HudiLikeEngine(store, stays)
        return HudiLikeEngine(store, at_once=stays)

    # -- steps

    def run(self) -> None:
        try:
            for step in self.steps:
                self.step(step)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Nothing stays suspended."""
        for writer in self._standing.values():
            writer.kill()
        self._standing.clear()

    def step(self, step: Step) -> None:
        self.hits["step", _name(step)] += 1
        match step:
            case Produce():
                for kind, id_ in step.records:
                    self.produce(kind, id_)
            case Run():
                self._turn(self._start(step), step.calls, step.then)
            case Go():
                if step.name in self._standing:
                    self.slept = True
                    self._turn(self._standing.pop(step.name), step.calls, step.then)
            case Tick():
                self._sleep(step.minutes * 60_000)
            case Expire():
                self._expire(step)
            case Act(what) if what.split("-")[0] in ("rescue", "quarantine", "reject"):
                self._resolve(*what.split("-"))
            case Act():
                getattr(self, "_" + step.what.replace("-", "_"))()

    def produce(self, kind: Any, id_: int) -> None:
        self._numbers += 1
        self.now_ms += 1
        at = self.now_ms - (HOUR_MS if kind == "late-clock" else 0)
        partition = id_ % self.partitions
        key = None if kind == "no-key" else str(id_).encode()
        value = value_of(kind, id_, self._numbers)
        offset = self.kafka.produce(TOPIC, key, value, partition=partition, timestamp_ms=at)
        if not self.recreated:  # what comes after belongs to another topic
            self.sent.append(Sent(kind, id_, self._numbers, partition, offset, at, value))

    def _sleep(self, ms: int) -> None:
        self.now_ms += ms

    def _start(self, step: Run) -> Writer:
        self._pids += 1
        writer = Writer(step.name, self._pids, step.seen, self._sleep, self.hits)
        writer.table = table_of(step.work)
        self._writers[writer.worker] = writer
        writer.start(work_of(self, step, self._ports(writer)))
        return writer

    def _ports(self, writer: Writer) -> Ports:
        store = StoreOf(writer, self.store)
        engine = self.engine(store, writer)
        return Ports(
            kafka=KafkaOf(writer, self.kafka),
            store=store,
            metastore=MetastoreOf(writer, self.metastore),
            engine=lambda _: engine,
            clock=self.clock,
            workers=WorkersOf(writer, self._writers),
        )

    def _turn(self, writer: Writer, calls: int, then: Any) -> None:
        writer.turn(calls, then)
        if not writer.ended:
            self._standing[writer.name] = writer
        elif writer.error is not None:
            self._judge(writer, writer.error)
        if self.setting.engine == "hudi-like" and self.setting.firm:
            for table in self.tables:
                double = self.engine(self.store).state(self.dataset_of(table)).doubled
                if double:
                    self.broken(f"batch {double[0].batch} is in {table} twice")

    def _judge(self, writer: Writer, error: Exception) -> None:
        self.hits["error", type(error).__name__] += 1
        if writer.lied_to and isinstance(error, ValueError | OSError | EOFError | CorruptRawError):
            return  # half an object was refused
        if not isinstance(error, LakeError) or isinstance(error, _NEVER):
            self.broken(f"{writer.name} ended with {error!r}", error)
        blocked = self.blocked_of(writer.table)
        if isinstance(error, SchemaBlockedError) and writer.turns == 1 and not blocked:
            self.broken(f"{writer.name} says BLOCKED of what was decided: {error}", error)
        if isinstance(error, CorruptRawError):
            self.broken(f"{writer.name} found damage nobody did: {error}", error)
        if isinstance(error, TopicRecreatedError) and not self.recreated:
            self.broken(f"{writer.name}: the topic is the same, but: {error}", error)
        if isinstance(error, OffsetsMissingError):
            held = self.kafka.describe(TOPIC).ranges
            if not all(b <= held[p].start for p, (_, b) in error.ranges.items()):
                self.broken(f"{writer.name}: offsets are there, but: {error}", error)

    def broken(self, why: str, error: BaseException | None = None) -> NoReturn:
        raise Broken(why) from error

    def _expire(self, step: Expire) -> None:
        held = self.kafka.describe(TOPIC).ranges.get(step.partition)
        if held is not None:
            before = min(held.end, held.start + step.count)
            self.kafka.expire(TOPIC, step.partition, before)

    def _recreate(self) -> None:
        if self.metastore.progress(TABLE).head_seq == 0:
            return  # nothing was read of the old one, so there is none to tell it from
        self.kafka.create_topic(TOPIC, self.partitions)
        self.recreated = True

    def _add_partition(self) -> None:
        self.partitions += 1
        self.kafka.add_partitions(TOPIC, self.partitions)

    def _accept_gap(self) -> None:
        if self.recreated:
            return
        ports = self._ports(Writer("operator", 0, "alive", self._sleep, self.hits))
        gone = missing_ranges(TABLE, ports)
        self.metastore.accept_gaps(TABLE, [Gap(p, r.start, r.end, "me") for p, r in gone.items()])

    def _pause(self) -> None:
        self.metastore.pause(TABLE, "operator")

    def _resume(self) -> None:
        self.metastore.resume(TABLE, "operator")

    def _add_column(self) -> None:
        active = self.metastore.active_schema(TABLE)
        if active is not None and active.source.get("extra") is None:
            wider = Struct((*active.source.fields, Field("extra", Scalar("long"))))
            self.metastore.add_schema_version(TABLE, active.version, wider, wider, ["ADD COLUMN"])

    def _let_tombstones_go(self) -> None:
        """What is in quarantine for it comes out by a re-drive."""
        record = self.metastore.get(TABLE)
        if record.dataset.tombstones == "quarantine" and self.metastore.rebuild(TABLE) is None:
            self.metastore.update(TABLE, {"tombstones": "drop"}, record.version, "operator")
            self.mended = True

    def _resolve(self, resolution: str, always: str = "") -> None:
        store = cast("Repository", self.metastore)
        for incident in self.metastore.incidents(None, "OPEN"):
            asked = Asked(resolution, always=bool(always))
            outcome = resolving.outcome(store, incident, asked)
            self.metastore.settle(incident.id, outcome, "operator")

    # -- recovery

    @property
    def standing(self) -> int:
        return len(self._standing)

    def wake(self, *seen: Seen) -> None:
        """Whoever still stands goes on to its end: it may do no harm."""
        for name, writer in list(self._standing.items()):
            if writer.seen in seen:
                self.step(Go(name))

    def recover(self) -> None:
        """What the schedules of the platform do until nothing is left to do."""
        self.metastore.resume(TABLE, "operator")
        if self.metastore.rebuild(TABLE) is not None:
            self._sleep(16 * 60_000)  # the lease of a swap that was cut off elsewhere
        self._until_quiet("end-left")  # who looks after a table whose rebuild was cut off
        self._until_quiet("dump")
        self._until_quiet("load")
        if self.setting.reader is not None:
            self._until_quiet("read")
        if self.mended and not self.blocked:
            self._until_quiet("redrive")

    def _until_quiet(self, work: Work) -> None:
        for n in range(_TRIES):
            writer = self._start(Run(f"recover-{work}-{n}", work))
            writer.turn(-1, "")
            self.stopped.pop(work, None)
            if writer.error is None:
                return
            self._judge(writer, writer.error)
            if isinstance(writer.error, OffsetsMissingError) and self.setting.accepts_gaps:
                self._accept_gap()
            elif not isinstance(writer.error, RetryableError):
                self.stopped[work] = writer.error  # a named state; the account looks at it
                return
            self._sleep(16 * 60_000)
        self.broken(f"{work} did not come to rest in {_TRIES} tries: {writer.error}")

    def now(self, work: Work, option: int = 0) -> Exception | None:
        """One writer, to its end; what it ended with."""
        writer = self._start(Run("now", work, option=option))
        self._turn(writer, -1, "")
        return writer.error

    def calls_of(self, work: Work) -> int:
        """How many port calls the work takes now, to its end."""
        writer = self._start(Run("measured", work))
        writer.turn(-1, "")
        return writer.made

    @property
    def blocked(self) -> bool:
        return self.blocked_of(TABLE)

    def blocked_of(self, table: str) -> bool:
        return self.metastore.get(table).status is Status.BLOCKED


def _name(step: Step) -> str:
    if isinstance(step, Run):
        return f"{step.work}{' ' + step.then if step.then else ''}"
    if isinstance(step, Act):
        return step.what
    return type(step).__name__.lower() + (f" {step.then}" if isinstance(step, Go) else "")
