"""Draws the schedule of a seed. The same seed gives the same schedule, on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
_WORK: dict[Work, int] = {
    "dump": 36, "load": 44, "replay": 12, "clean": 8, "redrive": 6, "build": 4, "swap": 3,
    "abort": 1,
}  # fmt: skip
_DEEDS: dict[Deed, int] = {
    "accept-gap": 4, "add-partition": 3, "recreate": 1, "pause": 1, "resume": 2, "add-column": 2,
    "let-tombstones-go": 2,
}  # fmt: skip
_RESOLUTIONS: dict[Deed, int] = {
    "rescue": 3, "quarantine": 3, "reject": 3,
    "rescue-always": 1, "quarantine-always": 1, "reject-always": 1,
}  # fmt: skip
_MOVES = {
    "produce": 7, "run": 12, "fault": 12, "cycle": 26, "pair": 16, "sleeper": 5,
    "go": 14, "tick": 6, "expire": 3, "act": 5, "break": 2, "rebuild": 4,
    "mend": 2,
}  # fmt: skip
_TAKEN_FOR: dict[Seen, int] = {"dead": 8, "away": 1, "alive": 1}
_FIRST: dict[Work, int] = {"dump": 1, "load": 4, "replay": 1, "clean": 1, "redrive": 1}
_SECOND: dict[Work, int] = {"dump": 1, "load": 3, "replay": 3, "clean": 1, "redrive": 1}
_BESIDE: dict[Work, int] = {"load": 4, "replay": 1, "redrive": 1, "clean": 1, "swap": 1, "abort": 1}
_SLEEPERS: dict[Work, int] = {"dump": 3, "load": 2, "replay": 1, "clean": 2}
_SEEN: dict[Seen, int] = {"dead": 6, "away": 3, "alive": 2}
_MODES: dict[Mode, int] = {"append": 2, "upsert": 1}
_ENGINES: dict[Engine, int] = {"memory": 1, "hudi-like": 1}
_EVOLUTIONS: dict[Evolution, int] = {"same_batch": 2, "next_batch": 1}
_TOMBSTONES: dict[Tombstones, int] = {"drop": 1, "quarantine": 1}
_MINUTES = (1, 16, 61, 13 * 60, 25 * 60, 8 * 24 * 60)
_LONGEST: dict[Work, int] = {  # port calls of a usual run
    "dump": 16, "load": 34, "replay": 34, "clean": 20, "redrive": 45, "build": 60, "swap": 110,
    "abort": 40, "read": 34, "reread": 34, "tidy": 10,
}  # fmt: skip
_WITH_READER = 0.35
_READS: dict[Work, int] = {"read": 12, "reread": 3, "tidy": 1}


def draw(seed: int, engine: Engine | None = None) -> Schedule:
    rng = Random(seed)  # noqa: S311 - a schedule, no secret
    drawer = _Drawer(rng)
    setting = _setting(rng, engine)
    steps: list[Step] = [drawer.produce()]
    for _ in range(rng.randint(2, 7)):
        steps += drawer.move()
    if rng.random() < _WITH_READER:
        mode = _pick(rng, _MODES)
        firm = setting.firm or mode == "upsert"
        setting, steps = replace(setting, reader=mode, firm=firm), drawer.with_reader(steps)
    return Schedule(setting, tuple(steps))


def _pick(rng: Random, weights: Mapping[T, int]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]


def _setting(rng: Random, engine: Engine | None) -> Setting:
    mode = _pick(rng, _MODES)
    drawn: Engine = _pick(rng, _ENGINES)
    chosen = drawn if engine is None else engine
    return Setting(
        mode=mode,
        engine=chosen,
        evolution=_pick(rng, _EVOLUTIONS),
        tombstones=_pick(rng, _TOMBSTONES),
        partitions=rng.choice((1, 1, 2)),
        slice_records=rng.choice((1, 3, 100)),
        batch_bytes=rng.choice((1, 400, 1 << 20)),
        schema_known=rng.random() < 0.8,
        accepts_gaps=rng.random() < 0.8,
        firm=mode == "upsert" or rng.random() < 0.7,
    )


class _Drawer:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._runs = 0
        self._standing: list[str] = []

    def move(self) -> list[Step]:
        move = _pick(self._rng, _MOVES)
        if move == "cycle":
            return self._cycle()
        if move == "pair":
            return self._pair()
        if move == "sleeper":
            return self._sleeper()
        if move == "break":
            return self._break()
        if move == "rebuild":
            return self._rebuild()
        if move == "mend":
            return self._mend()
        return [self._step("fault" if move == "go" and not self._standing else move)]

    def _cycle(self) -> list[Step]:
        """Something new through one phase or both, so that a fault falls into real work."""
        rng = self._rng
        phase = rng.random()
        dump = self._faulty("dump") if phase < 0.3 else self._run("dump", -1, "")
        if phase < 0.15:
            return [self.produce(), dump]
        load = self._faulty("load") if phase < 0.8 else self._run("load", -1, "")
        return [self.produce(), dump, load]

    def _pair(self) -> list[Step]:
        """Two writers in turns: one stands, the other comes and stands, both go on."""
        rng = self._rng
        first = _pick(rng, _FIRST)
        second = _pick(rng, _SECOND)
        prepared: list[Step] = [self.produce(), self._run("dump", -1, "")]
        early, late = self._standing_at(first), self._standing_at(second)
        turns = [Go(early.name, rng.randrange(12), "stand"), Go(late.name), Go(early.name)]
        return [*prepared, early, late, *turns]

    def _sleeper(self) -> list[Step]:
        """One stands while the others do all there is, for days; then it goes on."""
        rng = self._rng
        early = self._standing_at(_pick(rng, _SLEEPERS))
        steps: list[Step] = [self.produce(), early]
        for _ in range(rng.choice((0, 0, 1, 2))):
            steps += [self.produce(), self._run("dump", -1, ""), self._run("load", -1, "")]
        clean = Run(f"{early.name}-clean", "clean", option=1 + 100 * (rng.random() < 0.5))
        return [*steps, Tick(rng.choice(_MINUTES)), clean, Go(early.name)]

    def _break(self) -> list[Step]:
        """A record that stops the table, perhaps a writer that stands before it, and what an
        operator makes of it; sometimes more comes meanwhile."""
        rng = self._rng
        steps: list[Step] = [self.produce(), self._run("dump", -1, ""), self._run("load", -1, "")]
        steps += [Produce((("breaking", rng.randrange(4)),)), self._run("dump", -1, "")]
        early = self._standing_at("load") if rng.random() < 0.4 else None
        steps += [early] if early else []
        steps.append(self._faulty("load") if rng.random() < 0.4 else self._run("load", -1, ""))
        if rng.random() < 0.5:
            steps += [self.produce(), self._run("dump", -1, "")]
        steps.append(Act(_pick(rng, _RESOLUTIONS)))
        if rng.random() < 0.3:
            steps += [Produce((("breaking", rng.randrange(4)),)), self._run("dump", -1, "")]
        steps.append(self._faulty("load") if rng.random() < 0.6 else self._run("load", -1, ""))
        steps += [Go(early.name)] if early else []
        return [*steps, *([self._run("replay", -1, "")] if rng.random() < 0.4 else [])]

    def _rebuild(self) -> list[Step]:
        """A shadow table beside the live one, which goes on, perhaps with a break that only the
        new one holds, or a writer that stands; then it takes its place, or not."""
        rng = self._rng
        steps: list[Step] = [self.produce(), self._run("dump", -1, ""), self._run("load", -1, "")]
        if rng.random() < 0.3:
            steps += [Produce((("breaking", rng.randrange(4)),)), self._run("dump", -1, "")]
        early = self._standing_at(_pick(rng, _BESIDE)) if rng.random() < 0.5 else None
        steps += [early] if early else []
        steps.append(self._faulty("build") if rng.random() < 0.4 else self._run("build", -1, ""))
        if rng.random() < 0.5:
            steps += [self.produce(), self._run("dump", -1, ""), self._run("load", -1, "")]
        if rng.random() < 0.2:
            steps.append(self._run("build", -1, ""))
        if rng.random() < 0.5:
            late = self._standing_at("swap")
            steps += [late, self._run(_pick(rng, _BESIDE), -1, ""), Go(late.name)]
        else:
            steps.append(self._faulty("swap") if rng.random() < 0.6 else self._run("swap", -1, ""))
        steps += [Go(early.name)] if early else []
        if rng.random() < 0.6:
            steps += [self.produce(), self._run("dump", -1, ""), self._run("load", -1, "")]
        return steps

    def _mend(self) -> list[Step]:
        """Records in quarantine that a re-drive takes out, with somebody beside it."""
        rng = self._rng
        bad = Produce((("tombstone", rng.randrange(4)), ("bad", 0), ("value", rng.randrange(4))))
        steps: list[Step] = [bad, self._run("dump", -1, ""), self._run("load", -1, "")]
        early = self._standing_at(_pick(rng, _FIRST)) if rng.random() < 0.4 else None
        steps += [early] if early else []
        steps.append(Act("let-tombstones-go"))
        again = self._faulty("redrive") if rng.random() < 0.7 else self._run("redrive", -1, "")
        return [*steps, again, *([Go(early.name)] if early else [])]

    def with_reader(self, steps: list[Step]) -> list[Step]:
        """Whoever reads the raw of the table comes in between, anywhere; some stand for a while."""
        rng, steps = self._rng, list(steps)
        for _ in range(rng.randint(1, 5)):
            work, at = _pick(rng, _READS), rng.randrange(1, len(steps) + 1)
            fault = rng.random()
            if fault < 0.3:
                early = self._standing_at(work)
                steps.insert(at, early)
                steps.insert(rng.randrange(at + 1, len(steps) + 1), Go(early.name))
            else:
                steps.insert(at, self._faulty(work) if fault < 0.6 else self._run(work, -1, ""))
        return steps

    def _standing_at(self, work: Work) -> Run:
        at = self._rng.randrange(_LONGEST[work] // 4, _LONGEST[work])
        step = replace(self._run(work, at, "stand"), seen=_pick(self._rng, _TAKEN_FOR))
        self._standing.remove(step.name)  # whoever asked says when it goes on
        return step

    def _step(self, move: str) -> Step:
        rng = self._rng
        if move == "produce":
            return self.produce()
        if move == "run":
            return self._run(_pick(rng, _WORK), -1, "")
        if move == "fault":
            return self._faulty(_pick(rng, _WORK))
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

    def _faulty(self, work: Work) -> Run:
        return self._run(work, self._rng.randrange(_LONGEST[work]), _pick(self._rng, _FAULTS))

    def _run(self, work: Work, calls: int, then: Then) -> Run:
        rng = self._rng
        self._runs += 1
        name = f"w{self._runs}"
        if then == "stand":
            self._standing.append(name)
        option = rng.randint(1, 3) + 100 * (rng.random() < 0.4) if work == "clean" else 0
        if work in {"replay", "reread"}:
            option = rng.randrange(3)
        if work in {"redrive", "build"}:
            option = int(rng.random() < 0.3)
        return Run(name, work, calls, then, _pick(rng, _SEEN), option)

    def _go(self) -> Go:
        rng = self._rng
        name = rng.choice(self._standing)
        then = _pick(rng, _AGAIN)
        if then != "stand":
            self._standing.remove(name)
        return Go(name, rng.randrange(20) if then else -1, then)
