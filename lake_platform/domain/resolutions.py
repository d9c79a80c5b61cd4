"""What can be done about a change that broke a table, and what each of it comes to.

A resolution answers a change. What it says of values holds for the raw commits that were held when
it was given, or `always` for all that come too:

    rescue       the value goes to `_rescued`, its column is NULL
    quarantine   the record waits in quarantine, to be driven in again later
    reject       the record is dropped, and counted as such
    drop_column  the column is no longer loaded; what records have for it is passed over
    retry        the cause is mended elsewhere (a step, the producer's history): look again

These change the type of the column, also for the rows that are there, so the table is made anew of
its raw, beside the live one, and swapped in:

    widen        a number that holds both
    text         text; numbers and booleans as theirs
    json         the text of any value, as the records have it

And one is for all changes of an incident together:

    new_table    the table ends before the raw commits that wait; another one begins with them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import STEPS, Decision, column_of
from lake_platform.domain.schema import JSON, Decimal, Scalar, Type
from lake_platform.domain.schema_json import from_json
from lake_platform.errors import InvalidFieldError

Resolution = Literal[
    "rescue", "quarantine", "reject", "drop_column", "widen", "text", "json", "new_table", "retry"
]
RESOLUTIONS: tuple[str, ...] = get_args(Resolution)
_OF_VALUES = ("rescue", "quarantine", "reject")
NEW_TABLE = "new_table"
_RETYPING = {"text": Scalar("string"), "json": JSON}
_NUMBERS = ("int", "long", "float", "double")


@dataclass(frozen=True, slots=True)
class Broken:
    """A change that broke a table, as its incident has it."""

    path: str
    kind: str
    before: str
    after: str

    @property
    def column(self) -> str:
        return column_of(self.path)


@dataclass(frozen=True, slots=True)
class Asked:
    """`resolution` is for all changes that `columns`, by path, does not speak of; `table`: the name
    that a new one is to have."""

    resolution: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    always: bool = False
    table: str = ""

    @property
    def new_table(self) -> bool:
        return NEW_TABLE in (self.resolution, *self.columns.values())

    def __str__(self) -> str:
        if self.new_table and self.table:
            return f"{NEW_TABLE} {self.table}"
        each = ", ".join(f"{path}={r}" for path, r in sorted(self.columns.items()))
        text = ", ".join(part for part in (self.resolution, each) if part)
        return f"{text} (always)" if self.always else text


@dataclass(frozen=True, slots=True)
class Plan:
    """`dropped` are root columns, `retyped` paths of changes with the type they are to have;
    `columns` says of each change what is done."""

    columns: Mapping[str, str]
    decisions: tuple[Decision, ...] = ()
    dropped: tuple[str, ...] = ()
    retyped: Mapping[str, Type] = field(default_factory=dict)


def broken(changes: Iterable[Mapping[str, Any]]) -> list[Broken]:
    return [Broken(c["path"], c["kind"], c["before"], c["after"]) for c in changes]


def possible(change: Broken, dataset: Dataset, batch: str) -> tuple[str, ...]:
    """What fits a change. One of the steps is mended where the steps are."""
    if batch == STEPS:
        return ("retry",)
    if change.kind == "flood":
        return ("rescue", "retry")
    named = dict.fromkeys(c for _, c in dataset.named_columns())
    of_values = _OF_VALUES if change.before else _OF_VALUES[1:]
    drops = change.before and "." not in change.path and change.column not in named
    dropped = ["drop_column"] if drops else []
    return (*of_values, *dropped, *_retyping(change), NEW_TABLE, "retry")


def _retyping(change: Broken) -> Iterator[str]:
    if not change.before:
        return
    if widest(change) is not None:
        yield "widen"
    if _is_plain(change.before) and _is_plain(change.after) and change.before != "json":
        yield "text"
    yield "json"


def widest(change: Broken) -> Type | None:
    """The number that holds what the column has and what came; None where there is none."""
    names = (change.before, change.after)
    if all(name in _NUMBERS for name in names):
        return Scalar("double") if {"float", "double"} & {*names} else Scalar("long")
    whole = {"int": 10, "long": 19}
    digits = [(whole[n], 0) if n in whole else _digits(n) for n in names]
    if any(d is None for d in digits):
        return None
    before = max(d[0] for d in digits if d)
    scale = max(d[1] for d in digits if d)
    found = Decimal(before + scale, scale)
    return found if found.storable else None


def _digits(name: str) -> tuple[int, int] | None:
    """Before and behind the point, of a decimal."""
    kind = from_json(name) if name.startswith("decimal(") else None
    return (kind.precision - kind.scale, kind.scale) if isinstance(kind, Decimal) else None


def _is_plain(name: str) -> bool:
    return not name.startswith(("struct<", "array<", "map<"))


def plan(
    changes: Sequence[Broken], asked: Asked, dataset: Dataset, batch: str, held: tuple[int, int]
) -> Plan:
    """`held` are the first and last raw commit that wait.

    Raises: InvalidFieldError for what fits no change, or leaves one open.
    """
    chosen = _chosen(changes, asked)
    _check_new_table(asked, chosen)
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
    # Should the column come back, a replay must find these records rows as the first load did.
    decisions += tuple(
        Decision(column, "rescue", first, last)
        for column, resolution in by_column.items()
        if resolution == "drop_column"
    )
    dropped = tuple(c for c, resolution in by_column.items() if resolution == "drop_column")
    retyped = {c.path: kind for c in changes if (kind := _type_for(c, chosen[c.path])) is not None}
    if retyped and dropped:
        raise InvalidFieldError(
            "resolution", "drop_column", f"{', '.join(retyped)} makes the table anew",
            "resolve with drop_column first, or leave it out",
        )  # fmt: skip
    return Plan(chosen, decisions, dropped, retyped)


def _check_new_table(asked: Asked, chosen: Mapping[str, str]) -> None:
    if asked.table and not asked.new_table:
        raise InvalidFieldError(
            "table", asked.table, "is the name of a new table, and none is asked for",
            f"give it with {NEW_TABLE}, or leave it out",
        )  # fmt: skip
    if not asked.new_table:
        return
    if {*chosen.values()} != {NEW_TABLE}:
        raise InvalidFieldError(
            "resolution", str(asked), "a new table takes the held raw commits whole",
            f"give {NEW_TABLE} for all changes of the incident, or for none",
        )  # fmt: skip
    if asked.always:
        raise InvalidFieldError("always", True, "the new table has all that comes", "leave it out")


def _type_for(change: Broken, resolution: str) -> Type | None:
    return widest(change) if resolution == "widen" else _RETYPING.get(resolution)


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
    if change.before and resolution == "widen":
        return f"no number holds both {change.before} and {change.after}"
    if change.before and resolution == "text":
        return (
            f"text holds numbers, booleans and texts, and no {change.before} beside {change.after}"
        )
    return "the table has no such column yet"
