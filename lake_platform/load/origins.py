"""Where a table's column comes from: the way back to the record is followed through the steps, to a
column of the record, to the Kafka key as it is, or to something computed, which no tombstone can be
matched with.

The SQL parser is imported where there is a step: each process that decodes would load it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_platform.domain.dataset import Dataset

if TYPE_CHECKING:
    from sqlglot.expressions import Expression, Select

RAW_KEY = "_kafka_key"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a key column's value comes from: a column of the record; `RAW_KEY`, the Kafka key as it
    is; None, an expression."""

    column: str
    source: str | None


def origins(dataset: Dataset, columns: Sequence[str], *, casts: bool = True) -> tuple[Origin, ...]:
    """Of these columns of the table, in order. `casts`: a cast column is still that column."""
    return tuple(Origin(c, _traced(dataset, c, casts)) for c in columns)


def computed(dataset: Dataset) -> list[str]:
    """Key columns that a step computes, so that no tombstone can be matched with a row."""
    return [o.column for o in origins(dataset, dataset.primary_key) if o.source is None]


def _traced(dataset: Dataset, column: str, casts: bool) -> str | None:
    found: str | None = column
    for step in reversed(dataset.transforms):
        if step.makes_frame:
            return None
        if step.kind != "sql":
            continue
        found = None if found is None else _origin(_given(step.sql), found, casts)
    return found


def _given(sql: str) -> Mapping[str, Expression | None] | None:
    """Expressions of a step's outermost SELECT by the folded name of their column; None under `*`
    means the column of the same name. None as a whole when it cannot be said."""
    import sqlglot
    from sqlglot import exp

    parsed = sqlglot.parse_one(sql, dialect="spark")
    if not isinstance(parsed, exp.Select) or not _from_input(parsed):
        return None
    given: dict[str, Expression | None] = {}
    for expression in parsed.expressions:
        if isinstance(expression, exp.Star):
            dropped: Sequence[Any] = expression.args.get("except_") or ()
            given |= {"*": None, **{str(d.name).casefold(): exp.Null() for d in dropped}}
        elif not expression.alias_or_name:
            return None
        else:
            given[expression.alias_or_name.casefold()] = expression.unalias()
    return given


def _from_input(select: Select) -> bool:
    """Whether it reads `input` itself, not what a query below it makes."""
    from sqlglot import exp

    others = (exp.CTE, exp.Subquery, exp.Join, exp.Lateral)
    return len(list(select.find_all(exp.Table))) == 1 and select.find(*others) is None


def _origin(given: Mapping[str, Expression | None] | None, wanted: str, casts: bool) -> str | None:
    """The column of the step's input that its column `wanted` is."""
    from sqlglot import exp

    if given is None:
        return None
    if wanted.casefold() not in given:
        return wanted if "*" in given or wanted == RAW_KEY else None
    expression = given[wanted.casefold()]
    # A cast is checked value by value: what the table cannot hold is no key of it.
    while isinstance(expression, (exp.Cast, exp.Paren) if casts else exp.Paren):
        expression = expression.this
    return expression.name if isinstance(expression, exp.Column) else None
