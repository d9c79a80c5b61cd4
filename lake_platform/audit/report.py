"""What an audit found: lost, duplicated and alien records per window, and what it cannot prove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

NO_WINDOW = "(not known)"
Verdict = Literal["sound", "unsound", "pending", "needs --deep"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Records of one window (or of all), and where they are.

    `records` is P: what Kafka holds, or raw where Kafka no longer does. `lost`, `duplicated` and
    `alien` hold table + quarantine + drops against P, `raw_*` hold raw against P. `pending`: raw
    commits that wait for phase 2. In an upsert table `dropped` are the records that a later one of
    their key replaced or deleted, and a row with other values than its record must have counts as
    one lost and one alien. `filtered` are records a SQL step left out; which, only it can say.
    """

    records: int = 0
    raw: int = 0
    table: int = 0
    quarantined: int = 0
    dropped: int = 0
    filtered: int = 0
    pending: int = 0
    lost: int = 0
    duplicated: int = 0
    alien: int = 0
    raw_lost: int = 0
    raw_duplicated: int = 0
    raw_alien: int = 0

    @property
    def sound(self) -> bool:
        table = self.lost or self.duplicated or self.alien
        return not (table or self.raw_lost or self.raw_duplicated or self.raw_alien)

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class WindowLine:
    window: str
    counts: Counts
    undecided: str = ""

    @property
    def verdict(self) -> Verdict:
        if not self.counts.sound:
            return "unsound"
        if self.undecided:
            return "needs --deep"
        return "pending" if self.counts.pending else "sound"


@dataclass(frozen=True, slots=True)
class Finding:
    """One record (or row) that is not where it must be, for an operator to look at."""

    place: Literal["table", "raw", "quarantine"]
    kind: Literal["lost", "duplicated", "alien"]
    partition: int | None
    offset: int | None
    window: str


@dataclass(frozen=True, slots=True)
class Unprovable:
    """Offsets `[start, end)` of a partition that Kafka cannot vouch for, and what did instead."""

    partition: int
    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something found damaged that is no single record; `window` is empty when it has none."""

    window: str
    text: str


@dataclass(frozen=True, slots=True)
class AcceptedGap:
    partition: int
    start: int
    end: int
    accepted_by: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    table: str
    topic: str
    mode: str
    deep: bool
    applied: int
    head: int
    lines: tuple[WindowLine, ...]
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()
    unprovable: tuple[Unprovable, ...] = ()
    gaps: tuple[AcceptedGap, ...] = ()
    notes: tuple[str, ...] = ()
    backlog: int | None = None

    @property
    def total(self) -> Counts:
        return sum((line.counts for line in self.lines), Counts())

    @property
    def sound(self) -> bool:
        return self.total.sound and not self.problems

    @property
    def undecided(self) -> tuple[WindowLine, ...]:
        return tuple(line for line in self.lines if line.undecided)

    @property
    def verdict(self) -> Verdict:
        if not self.sound:
            return "unsound"
        if self.undecided:
            return "needs --deep"
        return "pending" if self.total.pending else "sound"

    def of_window(self, window: str) -> AuditReport:
        """The part of the report that is about one window, or about none that is known."""
        these = {window, NO_WINDOW, ""}
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["lines"] = tuple(x for x in self.lines if x.window in these)
        plain["problems"] = tuple(x for x in self.problems if x.window in these)
        plain["findings"] = tuple(x for x in self.findings if x.window in these)
        return AuditReport(**plain)

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["windows"] = [
            {"window": x.window, "verdict": x.verdict, "undecided": x.undecided, **asdict(x.counts)}
            for x in self.lines
        ]
        del plain["lines"]
        return {"verdict": self.verdict, "sound": self.sound, "total": asdict(self.total), **plain}


def in_order(lines: Iterable[WindowLine]) -> tuple[WindowLine, ...]:
    return tuple(sorted(lines, key=lambda x: x.window))
