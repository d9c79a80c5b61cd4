"""What an operator decided of values that broke a table, and what that means for a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lake_platform.domain.at_paths import rescuing
from lake_platform.domain.diff import Change
from lake_platform.domain.schema import Struct

Action = Literal["rescue", "quarantine", "reject"]
Conflicts = Literal["report", "block", "rescue", "quarantine"]
"""What becomes of values of another type than their column; `report`: of all, where no table is
there that they could break."""
Names = tuple[str, ...]
"""The names of a column and of fields in it, root first."""
STEPS = "transforms"
"""The batch of an incident that the steps of a dataset brought, not its records."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Of values that do not fit the column at `path` (as `domain.diff` writes it), in raw commits
    `first_seq` to `last_seq`; without that, in all that come. `reject` drops their records."""

    path: str
    action: Action
    first_seq: int
    last_seq: int | None = None
    id: int = 0
    incident: int = 0
    actor: str = ""
    decided_at: int = 0

    def covers(self, seq: int) -> bool:
        return self.first_seq <= seq and (self.last_seq is None or seq <= self.last_seq)


@dataclass(frozen=True)
class Ruling:
    """What becomes of values that do not fit: as `usual`, but of `columns` as decided."""

    usual: Conflicts = "block"
    columns: Mapping[str, Action] = field(default_factory=dict)

    def of(self, path: str) -> Conflicts | Action:
        """For a column or what is in it."""
        return self.columns.get(column_of(path), self.usual)

    def decided(self, path: str) -> bool:
        return column_of(path) in self.columns

    def left_out(self, unused: Iterable[Names]) -> frozenset[Names]:
        """Of what no step looks at, that which is left out where it does not fit: all but what is
        rescued, or was decided."""
        if self.usual in ("rescue", "report"):
            return frozenset()
        decided = [names_of(path) for path in self.columns]
        return frozenset(n for n in unused if not any(_overlap(n, other) for other in decided))

    def rescuing(self, source: Struct, besides: Iterable[str] = ()) -> Struct:
        """`source` as records are read where something is rescued, or was decided otherwise than
        its hints have it; `besides` are root columns of which nothing is."""
        never = frozenset(besides)
        hinted = any(f.rescue and f.name in never for f in source.fields)
        if self.usual != "rescue" and not self.columns and not hinted:
            return source
        refused = never | {path for path, action in self.columns.items() if action != "rescue"}
        return rescuing(source, lambda path: self.of(path) == "rescue", refused)


def names_of(path: str) -> Names:
    return tuple(path.replace("[]", "").replace("{}", "").split("."))


def _overlap(one: Names, other: Names) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def column_of(path: str) -> str:
    """The field that holds the elements and values at `path`."""
    while path.endswith(("[]", "{}")):
        path = path[:-2]
    return path


def ruling(usual: Conflicts, decisions: Iterable[Decision], seq: int) -> Ruling:
    """As it is for one raw commit: of several decisions on a column the last one counts."""
    held = sorted((d for d in decisions if d.covers(seq)), key=lambda d: d.id)
    return Ruling(usual, {column_of(d.path): d.action for d in held})


def settled_by(decisions: Iterable[Decision], changes: Iterable[Change], batch: str) -> int | None:
    """The incident that was resolved while a writer looked at this batch, and answers all of its
    changes; None when there is none."""
    if not batch[:1].isdigit():
        return None  # of the steps
    first, last = map(int, batch.split("-"))
    # In a batch that goes past a decision it may be the commits behind that break.
    whole = (d for d in decisions if d.covers(first) and d.covers(last))
    held = {column_of(d.path): d.incident for d in whole}
    answered = [held.get(column_of(c.path)) for c in changes]
    return max((i for i in answered if i), default=None) if all(answered) else None
