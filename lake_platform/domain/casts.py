"""Values that a cast of a dataset's steps turned into NULL, by column of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """Of one column in a batch: the rows it was looked for in, those that lost a value, and the
    first of these: `partition`, `offset` and `value`, what the cast was given, as text, cut."""

    rows: int = 0
    lost: int = 0
    first: Mapping[str, Any] | None = None

    @property
    def share(self) -> float:
        return self.lost / max(1, self.rows)

    def __add__(self, later: Lost) -> Lost:
        return Lost(self.rows + later.rows, self.lost + later.lost, self.first or later.first)

    def to_dict(self) -> dict[str, Any]:
        first = None if self.first is None else dict(self.first)
        return {"rows": self.rows, "lost": self.lost, "share": self.share, "first": first}


def lost_lines(lost: Mapping[str, Lost]) -> list[str]:
    """What to tell of those that lost something."""
    return [_line(name, one, one.first) for name, one in lost.items() if one.first is not None]


def _line(name: str, one: Lost, first: Mapping[str, Any]) -> str:
    return (
        f"a cast made NULL of a value of {name} in {one.lost} of {one.rows} rows "
        f"({one.share:.1%}), first of {first['value']!r} at p{first['partition']}/{first['offset']}"
    )


def summed(one: Mapping[str, Lost], other: Mapping[str, Lost]) -> dict[str, Lost]:
    """Of two batches. A column that is in one alone was counted in one alone."""
    return dict(one) | {n: one[n] + lost if n in one else lost for n, lost in other.items()}
