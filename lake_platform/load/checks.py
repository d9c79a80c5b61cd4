"""Checks that read the table: the primary key, and the dataset's own rules."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Rule
from lake_platform.domain.rules import root_of

_NEWEST_ROWS = 10_000
_EXAMPLE_CHARS = 200
Plain = str | bool | int | float | Decimal | None
Holds = Callable[[Plain], bool]


def primary_key(table: str, ports: Ports) -> tuple[int, int, int]:
    """Rows, distinct keys and rows with a null in the key.

    Append tables are held to the Kafka coordinates, which must be unique too.
    """
    dataset = ports.metastore.get(table).dataset
    counted = ports.engine(dataset.format).profile(dataset)
    return counted.rows, counted.keys, counted.null_keys


def rules(table: str, ports: Ports) -> Sequence[Mapping[str, object]]:
    """Broken rules among the newest rows: rule, column, number of bad rows, an example. What rules
    say of values inside of columns, of the batch or in SQL, loads look at alone."""
    dataset = ports.metastore.get(table).dataset
    active = ports.metastore.active_schema(table)
    names = [f.name for f in active.columns.fields] if active else []
    whole = [r for r in dataset.rules if r.column and not root_of(names, r.column)[1]]
    if not whole:
        return []
    columns = sorted({r.column for r in whole})
    rows = ports.engine(dataset.format).newest_rows(dataset, columns, _NEWEST_ROWS)
    numbers = {
        f.name: int if str(f.type) in {"int", "long"} else float
        for f in (active.columns.fields if active else ())
        if f.name in dataset.partition_by and str(f.type) in {"int", "long", "float", "double"}
    }
    return _failures(whole, [_numbered(row, numbers) for row in rows])


def _numbered(
    row: Mapping[str, object], numbers: Mapping[str, Callable[[str], object]]
) -> Mapping[str, object]:
    """Values from the names of folders are text, whatever the column is."""
    given = {n: make(v) for n, make in numbers.items() if isinstance(v := row.get(n), str)}
    return {**row, **given}


def _failures(
    rules: Sequence[Rule], rows: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for rule in rules if rows else ():
        if not any(rule.column in row for row in rows):
            found.append(_broken("column_in_table", rule.column, len(rows), "no such column"))
        else:
            found += _judged(rule, [_plain(row.get(rule.column)) for row in rows])
    return found


def _judged(rule: Rule, values: Sequence[Plain]) -> Sequence[Mapping[str, object]]:
    import pandas as pd
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    # As objects: what pandas would make of a column holds neither every number nor every date.
    frame = pd.DataFrame({rule.column: pd.Series(list(values), dtype=object)})
    column = pa.Column(checks=_checks(rule), nullable=not rule.not_null)
    try:
        pa.DataFrameSchema({rule.column: column}).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.groupby("check")
        return [
            _broken(str(name), rule.column, len(group), str(group["failure_case"].iloc[0]))
            for name, group in cases
        ]
    return []


def _broken(rule: str, column: str, rows: int, example: str) -> Mapping[str, object]:
    return {"rule": rule, "column": column, "rows": rows, "example": example[:_EXAMPLE_CHARS]}


def _checks(rule: Rule) -> list[Any]:
    import pandera.pandas as pa

    low, high, allowed = rule.min, rule.max, frozenset(rule.isin)
    wanted: list[tuple[str, Holds]] = []
    if low is not None:
        wanted.append((f"greater_than_or_equal_to({low})", lambda v: _number(v) and v >= low))  # type: ignore[operator]
    if high is not None:
        wanted.append((f"less_than_or_equal_to({high})", lambda v: _number(v) and v <= high))  # type: ignore[operator]
    if allowed:
        wanted.append((f"isin({list(rule.isin)})", lambda v: not _spellings(v).isdisjoint(allowed)))
    if rule.regex:
        wanted.append((f"regex({rule.regex})", lambda v: _matches(v, rule.regex)))
    return [
        pa.Check(_or_null(holds), element_wise=True, ignore_na=False, name=name, error=name)
        for name, holds in wanted
    ]


def _matches(value: Plain, pattern: str) -> bool:
    import pyarrow.compute as pc

    return isinstance(value, str) and bool(pc.match_substring_regex(value, pattern).as_py())


def _or_null(holds: Holds) -> Holds:
    return lambda value: value is None or holds(value)


def _number(value: Plain) -> bool:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return is_number and not math.isnan(value)  # type: ignore[arg-type]


def _spellings(value: Plain) -> set[str]:
    """The texts that mean `value`."""
    if isinstance(value, bool):
        return {json.dumps(value)}
    whole = isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value)
    return {str(value), *([str(int(value))] if whole else [])}  # type: ignore[arg-type]


def _plain(value: object) -> Plain:
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return value
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC) if value.tzinfo else value
        text = utc.replace(tzinfo=None).isoformat(" ")
        return text.rstrip("0") if "." in text else text
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
