"""What can be done about a change that broke a table, and what each of it comes to.

A resolution answers a change. What it says of values holds for the raw commits that were held when
it was given, or `always` for all that come too:

    rescue       the value goes to `_rescued`, its column is NULL
    quarantine   the record waits in quarantine, to be driven in again later
    reject       the record is dropped, and counted as such
    drop_column  the column is no longer loaded; what records have for it is passed over
    retry        the cause is mended elsewhere (a step, the producer's history): look again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import STEPS, Decision, column_of
from lake_platform.errors import InvalidFieldError

Resolution = Literal["rescue", "quarantine", "reject", "drop_column", "retry"]
RESOLUTIONS: tuple[str, ...] = get_args(Resolution)
_OF_VALUES = ("rescue", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Broken:
    """A change that broke a table, as its incident has it."""

    path: str
    kind: str
    before: str

    @property
    def column(self) -> str:
        return column_of(self.path)


@dataclass(frozen=True, slots=True)
class Asked:
    """`resolution` is for all changes that `columns`, by path, does not speak of."""

    resolution: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    always: bool = False

    def __str__(self) -> str:
        each = ", ".join(f"{path}={r}" for path, r in sorted(self.columns.items()))
        text = ", ".join(part for part in (self.resolution, each) if part)
        return f"{text} (always)" if self.always else text


@dataclass(frozen=True, slots=True)
class Plan:
    """`dropped` are root columns; `columns` says of each change what is done."""

    columns: Mapping[str, str]
    decisions: tuple[Decision, ...] = ()
    dropped: tuple[str, ...] = ()


def broken(changes: Iterable[Mapping[str, Any]]) -> list[Broken]:
    return [Broken(c["path"], c["kind"], c["before"]) for c in changes]


def possible(change: Broken, dataset: Dataset, batch: str) -> tuple[str, ...]:
    """What fits a change. One of the steps is mended where the steps are."""
    if batch == STEPS:
        return ("retry",)
    if change.kind == "flood":
        return ("rescue", "retry")
    named = dict.fromkeys(c for _, c in dataset.named_columns())
    of_values = _OF_VALUES if change.before else _OF_VALUES[1:]
    drops = change.before and "." not in change.path and change.column not in named
    return (*of_values, *(["drop_column"] if drops else []), "retry")


def plan(
    changes: Sequence[Broken], asked: Asked, dataset: Dataset, batch: str, held: tuple[int, int]
) -> Plan:
    """`held` are the first and last raw commit that wait.

    Raises: InvalidFieldError for what fits no change, or leaves one open.
    """
    chosen = _chosen(changes, asked)
    for change in changes:
        fitting = possible(change, dataset, batch)
        if chosen[change.path] not in fitting:
            raise InvalidFieldError(
                f"resolution of {change.path}", chosen[change.path],
                _why(change, chosen[change.path], batch), f"give {' or '.join(fitting)}",
            )  # fmt: skip
    first, last = held
    by_column = {change.column: chosen[change.path] for change in changes}
    decisions = tuple(
        Decision(column, resolution, first, None if asked.always else last)  # type: ignore[arg-type]
        for column, resolution in by_column.items()
        if resolution in _OF_VALUES
    )
    dropped = tuple(c for c, resolution in by_column.items() if resolution == "drop_column")
    return Plan(chosen, decisions, dropped)


def _chosen(changes: Sequence[Broken], asked: Asked) -> dict[str, str]:
    each = asked.columns
    paths = [c.path for c in changes]
    for value in (asked.resolution, *each.values()):
        if value and value not in RESOLUTIONS:
            raise InvalidFieldError(
                "resolution", value, "unknown", f"give {', '.join(RESOLUTIONS)}"
            )
    for path in each:
        if path not in paths:
            raise InvalidFieldError(
                "column", path, "no change of this incident", f"its changes: {', '.join(paths)}"
            )
    chosen = {path: each.get(path, asked.resolution) for path in paths}
    if still := [path for path, resolution in chosen.items() if not resolution]:
        raise InvalidFieldError(
            "resolution", "", f"nothing is said of {', '.join(still)}",
            "give one for all changes, or one for each of them",
        )  # fmt: skip
    return chosen


def _why(change: Broken, resolution: str, batch: str) -> str:
    if batch == STEPS:
        return "the steps brought this change: it is undone or mended there"
    if change.kind == "flood":
        return "these values are rescued already, only too many of them"
    if resolution == "drop_column" and "." in change.path:
        return f"{change.path} is inside of a column, and only whole columns are dropped"
    if resolution == "drop_column" and change.before:
        return f"{change.column} is a key, partition or ordering column"
    return "the table has no such column yet"
