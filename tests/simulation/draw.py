"""Draws the schedule of a seed. The same seed gives the same schedule, on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TypeVar

from tests.simulation.plan import (
    Act,
    Deed,
    Engine,
    Evolution,
    Expire,
    Go,
    Kind,
    Mode,
    Produce,
    Run,
    Schedule,
    Seen,
    Setting,
    Step,
    Then,
    Tick,
    Tombstones,
    Work,
)

T = TypeVar("T")
_KINDS: dict[Kind, int] = {
    "value": 60, "tombstone": 8, "bad": 6, "no-key": 3, "column": 6, "late-clock": 5,
}  # fmt: skip
_FAULTS: dict[Then, int] = {
    "stand": 40, "kill": 25, "kill-after": 12, "fail": 12, "lost": 14, "cut": 4, "sleep": 3,
    "nap": 4,
}  # fmt: skip
_AGAIN: dict[Then, int] = {"": 50, "stand": 25, "kill": 12, "fail": 4, "lost": 5, "sleep": 2}
_WORK: dict[Work, int] = {"dump": 36, "load": 44, "replay": 12, "clean": 8}
_DEEDS: dict[Deed, int] = {
    "accept-gap": 4, "add-partition": 3, "recreate": 1, "pause": 1, "resume": 2, "add-column": 2,
}  # fmt: skip
_MOVES = {"produce": 26, "run": 24, "fault": 30, "go": 14, "tick": 7, "expire": 3, "act": 5}
_SEEN: dict[Seen, int] = {"dead": 6, "away": 3, "alive": 2}
_MODES: dict[Mode, int] = {"append": 2, "upsert": 1}
_ENGINES: dict[Engine, int] = {"memory": 1, "hudi-like": 1}
_EVOLUTIONS: dict[Evolution, int] = {"same_batch": 2, "next_batch": 1}
_TOMBSTONES: dict[Tombstones, int] = {"drop": 1, "quarantine": 1}
_MINUTES = (1, 16, 61, 13 * 60, 25 * 60, 8 * 24 * 60)
_LONGEST = {"dump": 22, "load": 45, "replay": 45, "clean": 20}  # port calls of a usual run


def draw(seed: int, engine: Engine | None = None) -> Schedule:
    rng = Random(seed)  # noqa: S311 - a schedule, no secret
    drawer = _Drawer(rng)
    setting = _setting(rng, engine)
    steps = [drawer.produce(), *(drawer.step() for _ in range(rng.randint(3, 9)))]
    return Schedule(setting, tuple(steps))


def _pick(rng: Random, weights: Mapping[T, int]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]


def _setting(rng: Random, engine: Engine | None) -> Setting:
    mode = _pick(rng, _MODES)
    chosen = engine or _pick(rng, _ENGINES)
    return Setting(
        mode="append" if chosen == "parquet" else mode,
        engine=chosen,
        evolution=_pick(rng, _EVOLUTIONS),
        tombstones=_pick(rng, _TOMBSTONES),
        partitions=rng.choice((1, 1, 2)),
        slice_records=rng.choice((1, 3, 100)),
        batch_bytes=rng.choice((1, 400, 1 << 20)),
        schema_known=rng.random() < 0.8,
        accepts_gaps=rng.random() < 0.8,
    )


class _Drawer:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._runs = 0
        self._standing: list[str] = []

    def step(self) -> Step:
        rng = self._rng
        move = _pick(rng, _MOVES)
        if move == "go" and not self._standing:
            move = "fault"
        if move == "produce":
            return self.produce()
        if move == "run":
            return self._run(-1, "")
        if move == "fault":
            return self._run(None, _pick(rng, _FAULTS))
        if move == "go":
            return self._go()
        if move == "tick":
            return Tick(rng.choice(_MINUTES))
        if move == "expire":
            return Expire(rng.randrange(2), rng.randint(1, 6))
        return Act(_pick(rng, _DEEDS))

    def produce(self) -> Produce:
        rng = self._rng
        count = rng.randint(1, 4)
        kinds = [_pick(rng, _KINDS) for _ in range(count)]
        if rng.random() < 0.02:
            kinds[-1] = "breaking"
        return Produce(tuple((kind, rng.randrange(4)) for kind in kinds))

    def _run(self, calls: int | None, then: Then) -> Run:
        rng = self._rng
        work = _pick(rng, _WORK)
        self._runs += 1
        name = f"w{self._runs}"
        if then == "stand":
            self._standing.append(name)
        option = rng.randint(1, 3) + 100 * (rng.random() < 0.4) if work == "clean" else 0
        if work == "replay":
            option = rng.randrange(3)
        at = rng.randrange(_LONGEST[work]) if calls is None else calls
        return Run(name, work, at, then, _pick(rng, _SEEN), option)

    def _go(self) -> Go:
        rng = self._rng
        name = rng.choice(self._standing)
        then = _pick(rng, _AGAIN)
        if then != "stand":
            self._standing.remove(name)
        return Go(name, rng.randrange(20) if then else -1, then)
