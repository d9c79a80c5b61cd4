"""Schedules: what happens in one simulated life of a dataset, step by step, nothing left to chance.

A step names its writer, so a list of steps stays meaningful when some are taken out (shrinking).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Work = Literal[
    "dump", "load", "replay", "clean", "redrive", "build", "swap", "abort", "end-left",
    "read", "reread", "tidy",
]  # fmt: skip
"""`read`, `reread` and `tidy`: load, replay and cleaner of the dataset that reads the raw."""
Seen = Literal["alive", "dead", "away"]
"""How others see a writer that stands still: alive, taken for dead, or on a host out of sight."""
Then = Literal["", "stand", "kill", "kill-after", "fail", "lost", "cut", "sleep", "nap"]
"""What happens at the next port call. `stand`: stands still before it, until it goes on; `kill`
and `kill-after`: the process is gone before or after it; `fail`: it did not happen; `lost`: it
happened and the reply is lost; `cut`: half of the bytes come; `sleep` and `nap`: it takes 13 h or
16 min."""
Mode = Literal["append", "upsert"]
Engine = Literal["memory", "hudi-like"]
Evolution = Literal["same_batch", "next_batch"]
Tombstones = Literal["drop", "quarantine"]
Deed = Literal[
    "recreate", "add-partition", "accept-gap", "pause", "resume", "add-column", "let-tombstones-go",
    "rescue", "quarantine", "reject", "rescue-always", "quarantine-always", "reject-always",
]  # fmt: skip
Kind = Literal["value", "tombstone", "bad", "no-key", "column", "breaking", "late-clock"]


@dataclass(frozen=True, slots=True)
class Setting:
    """How the dataset is registered and the writers are run."""

    mode: Mode = "append"
    engine: Engine = "memory"
    evolution: Evolution = "same_batch"
    tombstones: Tombstones = "drop"
    partitions: int = 1
    slice_records: int = 4
    batch_bytes: int = 1 << 20
    schema_known: bool = True
    accepts_gaps: bool = True
    reader: Mode | None = None
    """Of a second dataset, which reads the raw of the first one."""
    firm: bool = True
    """hudi-like: nobody stands still with the lock in hand, so no batch is ever seen twice."""


@dataclass(frozen=True, slots=True)
class Produce:
    records: tuple[tuple[Kind, int], ...]
    """Kind and key of each record; the key chooses the partition."""


@dataclass(frozen=True, slots=True)
class Run:
    """A new writer makes `calls` port calls (-1: all), then `then` happens."""

    name: str
    work: Work
    calls: int = -1
    then: Then = ""
    seen: Seen = "dead"
    option: int = 0
    """replay: which window; clean: commits to keep, and 100 more for raw retention; redrive: 1 for
    rescued values; build: which other definition."""


@dataclass(frozen=True, slots=True)
class Go:
    """A writer that stands still makes `calls` more."""

    name: str
    calls: int = -1
    then: Then = ""


@dataclass(frozen=True, slots=True)
class Tick:
    minutes: int


@dataclass(frozen=True, slots=True)
class Expire:
    """Retention takes the oldest `count` records of a partition."""

    partition: int
    count: int


@dataclass(frozen=True, slots=True)
class Act:
    what: Deed


Step = Produce | Run | Go | Tick | Expire | Act


@dataclass(frozen=True, slots=True)
class Schedule:
    setting: Setting
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join([str(self.setting), *(f"  {n:2d} {s}" for n, s in enumerate(self.steps))])
