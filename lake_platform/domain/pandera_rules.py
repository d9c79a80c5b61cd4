"""A pandera schema as rules, for definitions in Python:

    Dataset(topic="orders", table="orders", rules=from_pandera(Orders, policy="quarantine"))

What the schema says is taken over, none of its code runs in a load: a check of one's own cannot be
a rule. Types of columns are the table's, so those of the schema are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lake_platform.domain.rules import Policy, Rule
from lake_platform.errors import InvalidFieldError


def from_pandera(schema: Any, policy: Policy = "warn") -> tuple[Rule, ...]:
    """Of a `DataFrameSchema`, or a class of `DataFrameModel`.

    Raises: InvalidFieldError for what no rule can say.
    """
    whole = schema.to_schema() if hasattr(schema, "to_schema") else schema
    if getattr(whole, "checks", None):
        raise _refused("schema", "has checks over several columns", "give a rule with sql and name")
    if len(together := list(getattr(whole, "unique", None) or ())) > 1:
        raise _refused("unique", f"names {together} together", "make them one column in a step")
    return tuple(
        Rule(column=name, policy=policy, **said)
        for name, column in whole.columns.items()
        if (said := _said(name, column, unique=name in together))
    )


def _said(name: str, column: Any, *, unique: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not column.nullable:
        found["not_null"] = True
    if unique or column.unique:
        found["unique"] = True
    for check in column.checks:
        for field, value in _of_check(name, check):
            if field in found:
                raise _refused(name, f"says {field} twice", "leave one out")
            found[field] = value
    return found


def _of_check(name: str, check: Any) -> Iterator[tuple[str, Any]]:
    given: Mapping[str, Any] = check.statistics or {}
    match check.name:
        case "greater_than_or_equal_to":
            yield "min", given["min_value"]
        case "less_than_or_equal_to":
            yield "max", given["max_value"]
        case "in_range" if given["include_min"] and given["include_max"]:
            yield "min", given["min_value"]
            yield "max", given["max_value"]
        case "isin":
            yield "isin", tuple(map(_text, given["allowed_values"]))
        case "str_matches":
            yield "regex", f"^(?:{_pattern(given['pattern'])})"
        case "str_contains":
            yield "regex", _pattern(given["pattern"])
        case _:
            raise _refused(
                name, f"has the check {check.name}, which is no rule",
                "use ge, le, in_range, isin, str_matches, str_contains, nullable, unique; or give "
                "a rule with sql and name",
            )  # fmt: skip


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pattern(given: Any) -> str:
    return str(getattr(given, "pattern", given))


def _refused(name: str, why: str, remedy: str) -> InvalidFieldError:
    return InvalidFieldError("rules", name, f"the pandera schema {why}", remedy)
