"""Quality rules of a dataset: what must be true of its rows, and what becomes of those of which it
is not. They are held against every batch before it is written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lake_platform.errors import InvalidFieldError

Policy = Literal["warn", "quarantine", "block"]
Kind = Literal["not_null", "min", "max", "isin", "regex", "unique", "cast", "sql"]
POLICIES = ("warn", "quarantine", "block")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}\Z")
_REASON = "breaks the rule "


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One quality rule of a dataset. What it says of a column is one condition each.

    Attributes:
        column: of the table; a path as `o.price`, `items[].price` or `m{}.price` is of every value
            it leads to.
        not_null: broken by null; of a path, also by what is missing.
        min, max: for numbers; what is none breaks them, NaN too.
        isin: compares texts: 5 is "5", true is "true", a date "2026-11-01".
        regex: of RE2, found anywhere in the text; what is no text breaks it.
        unique: within the batch. The first row of a value, in Kafka's order, holds; of an upsert
            table rows of one key do not count against each other.
        cast: broken by rows of which a cast in the steps makes NULL of a value for this column.
        sql: a predicate over the row; false breaks it, null does not. Needs Spark, and a `name`.
        policy: of rows that break it: `warn` counts them, `quarantine` puts their records aside,
            `block` writes nothing of the batch and stops the table.
        name: by which it is shown; by default the column's.

    Only `not_null` is broken by a null.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    column: str = ""
    not_null: bool = False
    min: float | None = None
    max: float | None = None
    isin: tuple[str, ...] = ()
    regex: str = ""
    unique: bool = False
    cast: bool = False
    sql: str = ""
    policy: Policy = "warn"
    name: str = ""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InvalidFieldError(
                "rules.policy", self.policy, "unknown", f"give {', '.join(POLICIES)}"
            )
        if not (self.column or self.sql):
            raise InvalidFieldError("rules.column", self.column, "missing", "name a column")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidFieldError(
                "rules.min", self.min, f"above max={self.max:g}", "no value can satisfy both"
            )
        if self.name and not _NAME.match(self.name):
            raise InvalidFieldError(
                "rules.name", self.name, "not a name", "give 1 to 80 letters, digits, _, . or -"
            )


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule says of a row, one thing each. `name` is the same everywhere and always."""

    name: str
    kind: Kind
    column: str
    value: Any
    policy: Policy


@dataclass(frozen=True, slots=True)
class Broken:
    """How many rows of a batch break a condition; `samples` are the first: `partition`, `offset`
    and `value`, as text, cut."""

    condition: Condition
    rows: int = 0
    samples: tuple[Mapping[str, Any], ...] = ()

    def __add__(self, later: Broken) -> Broken:
        samples = (*self.samples, *later.samples)[:SAMPLES]
        return Broken(self.condition, self.rows + later.rows, samples)

    def to_dict(self) -> dict[str, Any]:
        told = self.condition
        return {
            "rule": told.name, "policy": told.policy, "column": told.column, "rows": self.rows,
            "samples": [dict(s) for s in self.samples],
        }  # fmt: skip


SAMPLES = 5
SAMPLE_CHARS = 200


def conditions(rules: Sequence[Rule]) -> tuple[Condition, ...]:
    return tuple(c for rule in rules for c in _conditions(rule))


def _conditions(rule: Rule) -> Iterator[Condition]:
    said: dict[Kind, Any] = {
        "not_null": rule.not_null or None,
        "min": rule.min,
        "max": rule.max,
        "isin": rule.isin or None,
        "regex": rule.regex or None,
        "unique": rule.unique or None,
        "cast": rule.cast or None,
        "sql": rule.sql or None,
    }
    own = rule.name or rule.column
    for kind, value in said.items():
        if value is not None:
            name = own if kind == "sql" else f"{own}.{kind}"
            yield Condition(name, kind, rule.column, value, rule.policy)


def reason_of(condition: Condition) -> str:
    """Why a record is in quarantine."""
    return f"{_REASON}{condition.name}"


def is_rule(reason: str) -> bool:
    return reason.startswith(_REASON)


def added(one: Mapping[str, Broken], other: Mapping[str, Broken]) -> dict[str, Broken]:
    """The findings of two parts of a batch, by the condition's name."""
    found = dict(one)
    for name, broken in other.items():
        found[name] = found[name] + broken if name in found else broken
    return found


def root_of(names: Sequence[str], path: str) -> tuple[str | None, str]:
    """The column that a path begins with, and the rest. A name may hold a dot itself; one in
    another case is the same column."""
    for fold in (str, str.casefold):
        for name in sorted(names, key=len, reverse=True):
            rest = path[len(name) :]
            if fold(path[: len(name)]) == fold(name) and rest[:1] in ("", ".", "[", "{"):
                return name, rest
    return None, ""


def steps_of(rest: str) -> list[str]:
    """From a column on: a field's name, `[]` for the elements of an array, `{}` for the values of a
    map."""
    spaced = rest.replace("[]", ".[]").replace("{}", ".{}")
    return [step for step in spaced.split(".") if step]


def check_rules(rules: Sequence[Rule]) -> None:
    """What is no rule although it can be read, so that definitions of before are.

    Raises: InvalidFieldError.
    """
    for rule in rules:
        if not any(_conditions(rule)):
            raise InvalidFieldError(
                "rules", rule.column, "says nothing of the column",
                "give not_null, min, max, isin, regex, unique, cast or sql",
            )  # fmt: skip
        for bound in ("min", "max"):
            if (value := getattr(rule, bound)) is not None and not math.isfinite(value):
                raise InvalidFieldError(f"rules.{bound}", value, "no bound", "give a number")
        if rule.sql and not rule.name:
            raise InvalidFieldError(
                "rules.name", "", "a sql rule is known by its name", "give it one"
            )
        if rule.sql and len(list(_conditions(rule))) > 1:
            raise InvalidFieldError(
                "rules.sql", rule.sql, "says something of a column beside",
                "make two rules of it",
            )  # fmt: skip
        if rule.unique and ("[]" in rule.column or "{}" in rule.column):
            raise InvalidFieldError(
                "rules.unique", rule.column, "is within arrays or maps", "name a value of the row"
            )
    _check_together(conditions(rules))


def _check_together(said: Sequence[Condition]) -> None:
    seen: dict[str, Condition] = {}
    bounds: dict[tuple[str, str], float] = {}
    sets: dict[str, frozenset[str]] = {}
    for one in said:
        twin = seen.setdefault(one.name, one)
        if twin is not one:
            raise InvalidFieldError(
                "rules", one.name, "said twice", "leave one out, or give them a name each"
            )
        if one.kind == "min":
            bounds["min", one.column] = max(one.value, bounds.get(("min", one.column), one.value))
        elif one.kind == "max":
            bounds["max", one.column] = min(one.value, bounds.get(("max", one.column), one.value))
        elif one.kind == "isin":
            sets[one.column] = sets.get(one.column, frozenset(one.value)) & frozenset(one.value)
            if not sets[one.column]:
                raise InvalidFieldError(
                    "rules.isin", one.column, "two rules have no value in common",
                    "no value can satisfy both",
                )  # fmt: skip
    for (kind, column), low in bounds.items():
        high = bounds.get(("max", column))
        if kind == "min" and high is not None and low > high:
            raise InvalidFieldError(
                "rules.min", low, f"above max={high:g} of another rule of {column}",
                "no value can satisfy both",
            )  # fmt: skip
