"""What one step of a trial did: a batch of records, or an operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lake_platform.domain.casts import Lost, summed
from lake_platform.domain.diff import Change
from lake_platform.domain.quality import Balance
from lake_platform.domain.rules import Broken, added
from lake_platform.errors import LakeError, NotRunnableError, StopDatasetError
from lake_platform.load.results import LoadResult

Outcome = Literal["applied", "done", "nothing", "refused", "waiting", "error"]


@dataclass
class Step:
    """`outcome`: batch and load are `applied`, `waiting` (raw is kept, the table stands still),
    `nothing` (no record) or `error`; an operation is `done` or `refused`."""

    kind: Literal["batch", "act"]
    source: str
    operation: dict[str, Any] | None = None
    sent: int = 0
    outcome: Outcome = "nothing"
    loads: list[LoadResult] = field(default_factory=list)
    changes: Sequence[str] = ()
    error: Exception | None = None

    @property
    def balance(self) -> Balance:
        """A batch that is applied once more under a new schema counts once."""
        counted = (r.applied.balance for r in self.loads if not r.applied.reapply)
        return sum(counted, Balance())

    @property
    def broken(self) -> dict[str, Broken]:
        """Rules that rows of its loads break."""
        found: dict[str, Broken] = {}
        for result in (r for r in self.loads if not r.applied.reapply):
            found = added(found, result.broken)
        return found

    @property
    def lost(self) -> dict[str, Lost]:
        """What casts made NULL of in its loads, by column."""
        found: dict[str, Lost] = {}
        for result in (r for r in self.loads if not r.applied.reapply):
            found = summed(found, result.lost)
        return found

    def to_dict(self) -> dict[str, Any]:
        quarantined: Counter[str] = Counter()
        rescued: Counter[str] = Counter()
        for result in self.loads:
            if not result.applied.reapply:
                quarantined.update(result.quarantined)
                rescued.update(result.rescued)
        return {
            "kind": self.kind,
            "source": self.source,
            "operation": self.operation,
            "outcome": self.outcome,
            "sent": self.sent,
            "counts": asdict(self.balance) | {"difference": self.balance.difference},
            "quarantined_by_reason": dict(quarantined),
            "rescued_by_path": dict(rescued),
            "lost_by_cast": {name: lost.to_dict() for name, lost in self.lost.items()},
            "rules": [b.to_dict() for b in self.broken.values()],
            "changes": [*(_change(c) for r in self.loads for c in r.changes), *self.changes_made],
            "schema_version": self.loads[-1].schema_version if self.loads else None,
            "error": None if self.error is None else error_view(self.error),
        }

    @property
    def changes_made(self) -> list[dict[str, Any]]:
        """Of an operation on the schema."""
        return [
            {"path": None, "kind": "operation", "verdict": "operator", "before": "", "after": "",
             "text": text}
            for text in self.changes
        ]  # fmt: skip


def outcome_of(error: Exception | None, step: Step) -> Outcome:
    """Of a batch or load that ended in `error`."""
    if error is None:
        return "applied" if step.loads else "nothing"
    return "waiting" if isinstance(error, StopDatasetError | NotRunnableError) else "error"


def error_view(error: Exception) -> dict[str, Any]:
    """The form of the API's errors. What nobody foresaw shows its type and first line."""
    known = isinstance(error, LakeError)
    value = getattr(error, "value", None)
    plain = value is None or isinstance(value, str | int | float | bool | list | dict)
    return {
        "error": type(error).__name__,
        "field": getattr(error, "field", None),
        "value": value if plain else repr(value)[:200],
        "reason": getattr(error, "reason", None),
        "remedy": getattr(error, "remedy", None),
        "message": str(error) if known else f"{type(error).__name__}: {str(error)[:500]}",
    }


def _change(change: Change) -> dict[str, Any]:
    return asdict(change) | {"text": str(change)}
