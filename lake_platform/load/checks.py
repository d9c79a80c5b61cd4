"""Checks that read the table: the primary key, and the dataset's own rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset, Rule

_NEWEST_ROWS = 10_000


def primary_key(table: str, ports: Ports) -> tuple[int, int, int]:
    """Rows, distinct keys and rows with a null in the key.

    Append tables are held to the Kafka coordinates, which must be unique too.
    """
    dataset = ports.metastore.get(table).dataset
    counted = ports.engine(dataset.format).profile(dataset)
    return counted.rows, counted.keys, counted.null_keys


def rules(table: str, ports: Ports) -> Sequence[Mapping[str, object]]:
    """Broken rules among the newest rows: rule, column, number of bad rows, an example."""
    dataset = ports.metastore.get(table).dataset
    if not dataset.rules:
        return []
    columns = sorted({r.column for r in dataset.rules})
    rows = ports.engine(dataset.format).newest_rows(dataset, columns, _NEWEST_ROWS)
    active = ports.metastore.active_schema(table)
    numbers = {
        f.name: int if str(f.type) in {"int", "long"} else float
        for f in (active.columns.fields if active else ())
        if f.name in dataset.partition_by and str(f.type) in {"int", "long", "float", "double"}
    }
    return _failures(dataset, [_numbered(row, numbers) for row in rows])


def _numbered(
    row: Mapping[str, object], numbers: Mapping[str, Callable[[str], object]]
) -> Mapping[str, object]:
    """Values from the names of folders are text, whatever the column is."""
    given = {n: make(v) for n, make in numbers.items() if isinstance(v := row.get(n), str)}
    return {**row, **given}


def _failures(
    dataset: Dataset, rows: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, object]]:
    import pandas as pd
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    if not rows:
        return []
    frame = pd.DataFrame([dict(r) for r in rows])
    found: list[Mapping[str, object]] = []
    for rule in dataset.rules:
        schema = pa.DataFrameSchema({rule.column: pa.Column(checks=_checks(rule), nullable=True)})
        if rule.not_null:
            schema = schema.update_column(rule.column, nullable=False)
        try:
            schema.validate(frame, lazy=True)
        except SchemaErrors as error:
            cases = error.failure_cases
            for name, group in cases.groupby("check"):
                example = str(group["failure_case"].iloc[0])
                found.append(
                    {"rule": str(name), "column": rule.column, "rows": len(group),
                     "example": example[:200]}
                )  # fmt: skip
    return found


def _checks(rule: Rule) -> list[Any]:
    import pandera.pandas as pa

    checks: list[Any] = []
    if rule.min is not None:
        checks.append(pa.Check.ge(rule.min))
    if rule.max is not None:
        checks.append(pa.Check.le(rule.max))
    if rule.isin:
        checks.append(pa.Check.isin(list(rule.isin)))
    return checks
