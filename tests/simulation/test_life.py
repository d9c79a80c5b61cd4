"""A dataset's whole life, drawn by Hypothesis rule by rule, against a reference model.

The model is what an operator is told: what was sent, what was read of it, what the table must hold,
and what the dataset's status is. One writer at a time; writers that die come in through `killed`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lake_platform.domain.dataset import Status
from lake_platform.errors import NotRunnableError, OffsetsMissingError, SchemaBlockedError
from tests.simulation import account, ledger
from tests.simulation.patches import no_chance
from tests.simulation.plan import Act, Expire, Go, Kind, Mode, Produce, Run, Schedule, Setting, Tick
from tests.simulation.works import TABLE, TOPIC
from tests.simulation.world import World

_KINDS: list[Kind] = ["value", "value", "tombstone", "bad", "column", "no-key", "late-clock"]
_MODES: list[Mode] = ["append", "upsert"]


class Life(RuleBasedStateMachine):
    @initialize(mode=st.sampled_from(_MODES), partitions=st.integers(1, 2))
    def register(self, mode: Mode, partitions: int) -> None:
        self._patches = ExitStack()
        self._patches.enter_context(no_chance())
        setting = Setting(mode=mode, partitions=partitions, slice_records=3)
        self.world = World(Schedule(setting, ()))
        self.paused = self.blocked = False
        self.read: dict[int, int] = {}  # partition -> next offset
        self.skipped: set[ledger.Place] = set()
        self.raw: list[ledger.Sent] = []
        self.loaded: list[ledger.Sent] = []

    @rule(kinds=st.lists(st.sampled_from(_KINDS), min_size=1, max_size=4), key=st.integers(0, 3))
    def produce(self, kinds: list[Kind], key: int) -> None:
        self.world.step(Produce(tuple((k, (key + n) % 4) for n, k in enumerate(kinds))))

    @precondition(lambda self: self._breakable())
    @rule(key=st.integers(0, 3))
    def break_the_schema(self, key: int) -> None:
        self.world.step(Produce((("breaking", key),)))

    @rule()
    def dump(self) -> None:
        error = self.world.now("dump")
        if self.paused:
            assert isinstance(error, NotRunnableError)
        elif self._missing():
            assert isinstance(error, OffsetsMissingError)
            assert {p for p, _ in self._missing()} == set(error.ranges)
        else:
            assert error is None
            self._read_all()

    @rule()
    def load(self) -> None:
        error = self.world.now("load")
        pending = self.raw[len(self.loaded) :]
        if self.paused or self.blocked:
            assert isinstance(error, NotRunnableError)
        elif any(s.kind == "breaking" for s in pending):
            assert isinstance(error, SchemaBlockedError)
            self.blocked = True
        else:
            assert error is None
            self.loaded = list(self.raw)

    def _breakable(self) -> bool:
        """In the first batch of a table nothing breaks: the schema comes of it."""
        world = self.world
        active = world.metastore.active_schema(TABLE)
        kind = active and active.source.get("n")
        exists = world.engine(world.store).state(world.dataset).exists
        return exists and str(kind and kind.type) == "long"

    @rule(window=st.integers(0, 2))
    def replay(self, window: int) -> None:
        """Changes nothing, whatever it replays."""
        error = self.world.now("replay", window)
        assert error is None or (self.paused or self.blocked)

    @rule(work=st.sampled_from(["dump", "load"]), at=st.integers(0, 30))
    def killed(self, work: Any, at: int) -> None:
        """Whoever died, the next one goes on: what it did is not told from what it did not."""
        self.world.step(Run("killed", work, at, "kill"))
        self.world.step(Go("killed"))
        breaks = any(s.kind == "breaking" for s in self.raw[len(self.loaded) :])
        if self.world.blocked and breaks:
            self.blocked = True  # it had said so before it died
        if not self.paused and not self._missing():
            self.dump()
        self.load()

    @rule(keep=st.integers(1, 3))
    def clean(self, keep: int) -> None:
        assert self.world.now("clean", keep) is None

    @rule(minutes=st.sampled_from([1, 61, 1500]))
    def wait(self, minutes: int) -> None:
        self.world.step(Tick(minutes))

    @rule(partition=st.integers(0, 1), count=st.integers(1, 3))
    def retention(self, partition: int, count: int) -> None:
        self.world.step(Expire(partition, count))

    @rule()
    def accept_gap(self) -> None:
        gone = self._missing()
        self.world.step(Act("accept-gap"))
        self.skipped |= gone

    @precondition(lambda self: not self.paused)
    @rule()
    def pause(self) -> None:
        self.world.step(Act("pause"))
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def resume(self) -> None:
        self.world.step(Act("resume"))
        self.paused = False

    @rule()
    def add_column(self) -> None:
        self.world.step(Act("add-column"))

    @invariant()
    def table_is_what_was_loaded(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        rows = world.engine(world.store).rows(world.dataset)
        if world.setting.mode == "append":
            places = sorted((r["_kafka_partition"], r["_kafka_offset"]) for r in rows)
            assert places == sorted(ledger.rows_of_append(self.loaded, world.setting))
        else:
            expected = ledger.rows_of_upsert(self.loaded, world.setting)
            assert {r["id"]: r["n"] for r in rows} == {k: v["n"] for k, v in expected.items()}

    @invariant()
    def status_is_what_was_said(self) -> None:
        if hasattr(self, "world"):
            status = self.world.metastore.get(TABLE).status
            assert (status is Status.PAUSED) == self.paused
            assert (status is Status.BLOCKED) == (self.blocked and not self.paused)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.recover()
                account.close(self.world)
            finally:
                self.world.end()
                self._patches.close()

    def _missing(self) -> set[ledger.Place]:
        """Never read, no longer there, not given up. The first dump takes what is there."""
        if not self.read:
            return set()
        starts = {p: r.start for p, r in self.world.kafka.describe(TOPIC).ranges.items()}
        return {
            (p, offset)
            for p, start in starts.items()
            for offset in range(self.read.get(p, 0), start)
            if (p, offset) not in self.skipped
        }

    def _read_all(self) -> None:
        ranges = self.world.kafka.describe(TOPIC).ranges
        fresh = [
            s for s in self.world.sent
            if max(self.read.get(s.partition, 0), ranges[s.partition].start) <= s.offset
        ]  # fmt: skip
        self.raw += sorted(fresh, key=lambda s: s.place)
        if self.raw:  # without a commit the next dump is the first one again
            self.read = {p: r.end for p, r in ranges.items()}


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=100,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
