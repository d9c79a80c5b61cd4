"""When a column counts as gone because records no longer have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lake_platform.errors import InvalidFieldError

_HOUR_MS = 3_600_000
_LEAST = {"batches": 2, "hours": 1, "records": 1}
_MOST = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class AbsentFor:
    """A column is dropped after so many batches in a row and so many rows without a value of it,
    and so many hours since the first of them was applied: all three."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    batches: int = 100
    hours: int = 168
    records: int = 10_000

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if not least <= (value := getattr(self, name)) <= _MOST:
                raise InvalidFieldError(
                    f"absent_for.{name}", value, "out of range",
                    f"give {least} to {_MOST}: one batch without a value says nothing",
                )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.batches} batches, {self.hours} hours, {self.records} records"


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch: the columns that had no value in it, None where nobody looked; rows; when, in ms."""

    absent: frozenset[str] | None
    rows: int
    at: int


def gone(policy: AbsentFor, newest_first: Iterable[Applied], now_ms: int) -> Sequence[str]:
    """Columns of which the newest batches have no value for as long as `policy` says. Batches
    without rows say nothing."""
    without: frozenset[str] | None = None
    batches = rows = 0
    for batch in newest_first:
        if batch.absent is None:
            break
        if not batch.rows:
            continue
        without = batch.absent if without is None else without & batch.absent
        if not without:
            break
        batches, rows = batches + 1, rows + batch.rows
        old = now_ms - batch.at >= policy.hours * _HOUR_MS
        if old and batches >= policy.batches and rows >= policy.records:
            return sorted(without)
    return []
