"""The primary key that the Kafka key of a tombstone names.

A step may rename or make the key's columns, so the way from a key column back to the record is
followed through the steps: to a column of the record, to the Kafka key as it is, or to something
computed, which no tombstone can be matched with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import sqlglot
from sqlglot import exp

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Struct, Type
from lake_platform.records.forms import Text
from lake_platform.records.observe import observe

RAW_KEY = "_kafka_key"
_WRAPPED = {"schema", "payload"}


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
        found = None if found is None else _origin(_given(step.sql), found, casts)
    return found


class TombstoneKeys:
    """`columns` are the table's, after the steps."""

    def __init__(self, dataset: Dataset, source: Struct, columns: Struct) -> None:
        self._origins = origins(dataset, dataset.primary_key)
        self._types: dict[str, Type | None] = {}
        for name in dataset.primary_key:
            column = columns.get(name) or (None if dataset.transformed else source.get(name))
            self._types[name] = column.type if column else None

    def key_of(self, key: str | None) -> dict[str, Any] | None:
        """The primary key; None when the Kafka key does not give it, or a value of it that the
        table cannot hold."""
        if not key or any(o.source is None for o in self._origins):
            return None
        parsed = self._parsed(key)
        found = {o.column: self._part(o, key, parsed) for o in self._origins}
        if any(value is None for value in found.values()):
            return None
        return None if list(found.values()) == [""] else found

    def _parsed(self, key: str) -> Any:
        """A JSON value, else the text itself. Kafka Connect may wrap it in schema and payload."""
        try:
            parsed = json.loads(key, parse_float=Text.of, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return key
        named = {o.column for o in self._origins}
        if isinstance(parsed, dict) and parsed.keys() == _WRAPPED and not named <= _WRAPPED:
            return parsed["payload"]
        return parsed

    def _part(self, origin: Origin, key: str, parsed: Any) -> Any:
        kind = self._types[origin.column]
        if origin.source == RAW_KEY:
            return key if kind is None or _fits(key, kind) else None
        if isinstance(parsed, dict):
            value = parsed.get(origin.source, parsed.get(origin.column))
            return value if _fits(value, kind) else None
        if len(self._origins) > 1:
            return None
        # 5 is text in a column of text, and so is "5" as it stands.
        return next((v for v in (parsed, key) if _fits(v, kind)), None)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _fits(value: Any, kind: Type | None) -> bool:
    if value is None or isinstance(value, dict | list):
        return False
    return kind is None or observe(value, kind) == kind


def _given(sql: str) -> Mapping[str, exp.Expression | None] | None:
    """Expressions of a step's outermost SELECT by the folded name of their column; None under `*`
    means the column of the same name. None as a whole when it cannot be said."""
    parsed = sqlglot.parse_one(sql, dialect="spark")
    if not isinstance(parsed, exp.Select) or not _from_input(parsed):
        return None
    given: dict[str, exp.Expression | None] = {}
    for expression in parsed.expressions:
        if isinstance(expression, exp.Star):
            dropped: Sequence[Any] = expression.args.get("except_") or ()
            given |= {"*": None, **{str(d.name).casefold(): exp.Null() for d in dropped}}
        elif not expression.alias_or_name:
            return None
        else:
            given[expression.alias_or_name.casefold()] = expression.unalias()
    return given


def _from_input(select: exp.Select) -> bool:
    """Whether it reads `input` itself, not what a query below it makes."""
    others = (exp.CTE, exp.Subquery, exp.Join, exp.Lateral)
    return len(list(select.find_all(exp.Table))) == 1 and select.find(*others) is None


def _origin(
    given: Mapping[str, exp.Expression | None] | None, wanted: str, casts: bool
) -> str | None:
    """The column of the step's input that its column `wanted` is."""
    if given is None:
        return None
    if wanted.casefold() not in given:
        return wanted if "*" in given or wanted == RAW_KEY else None
    expression = given[wanted.casefold()]
    # A cast is checked value by value: what the table cannot hold is no key of it.
    while isinstance(expression, (exp.Cast, exp.Paren) if casts else exp.Paren):
        expression = expression.this
    return expression.name if isinstance(expression, exp.Column) else None
