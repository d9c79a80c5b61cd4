"""What a re-drive would do, and what came of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lake_platform.load.quarantined import Group


@dataclass(frozen=True, slots=True)
class Plan:
    """What a re-drive would do. `groups`: records that get another try; `unreadable` and `expired`:
    asked for, and out of reach, for no definition changes that they are no JSON object, or their
    raw objects (of `expired_seqs`) are gone. `rescued`: values known in the batches concerned, by
    path; `uncounted`: batches of which nobody knows. `records`: how many are read, in `batches`;
    `to_end`: because later records delete, all behind the first is applied again."""

    table: str
    groups: tuple[Group, ...] = ()
    unreadable: tuple[Group, ...] = ()
    expired: tuple[Group, ...] = ()
    rescued: Mapping[str, int] = field(default_factory=dict)
    uncounted: int = 0
    seqs: frozenset[int] = frozenset()
    expired_seqs: frozenset[int] = frozenset()
    records: int = 0
    batches: int = 0
    to_end: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "table": self.table,
            "groups": [asdict(g) for g in self.groups],
            "unreadable": [asdict(g) for g in self.unreadable],
            "expired": [asdict(g) for g in self.expired],
            "rescued": dict(self.rescued),
            "uncounted_batches": self.uncounted,
            "raw_commits": len(self.seqs),
            "records_to_read": self.records,
            "batches": self.batches,
            "to_end": self.to_end,
        }


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the records of one reason. `stayed`: by the reason they have now; `waiting`:
    the re-drive was stopped before it came to them."""

    reason: str
    came_back: int
    stayed: Mapping[str, int]
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`rescued`: values that are in `_rescued` of the batches applied, by path."""

    plan: Plan
    fates: tuple[Fate, ...]
    rescued: Mapping[str, int]
    batches: int
    records: int
    whole: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.plan.to_dict() | {
            "fates": [asdict(fate) for fate in self.fates],
            "rescued_now": dict(self.rescued),
            "records_read": self.records,
            "batches_applied": self.batches,
            "whole": self.whole,
        }
