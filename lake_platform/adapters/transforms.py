"""SQL steps: parsed when a dataset is registered, and made to carry the Kafka coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lake_platform.errors import InvalidFieldError


def keep_coordinates(sql: str, columns: Sequence[str]) -> str:
    """`sql` with `columns` of `input` added to its outermost SELECT where it lacks them.

    Raises:
        InvalidFieldError: not one row-by-row SELECT over `input`.
    """
    select = check_select(sql)
    if any(isinstance(e, exp.Star) or e.find(exp.Star) for e in select.expressions):
        return sql
    named = {e.alias_or_name for e in select.expressions}
    missing = [exp.column(c) for c in columns if c not in named]
    return select.select(*missing).sql(dialect="spark")


def check_select(sql: str) -> exp.Select:
    """Parses one step. Raises: InvalidFieldError."""
    try:
        statements = sqlglot.parse(sql, dialect="spark")
    except SqlglotError as error:
        raise InvalidFieldError(
            "transforms.sql", sql, str(error).split("\n", maxsplit=1)[0], "mend the SELECT"
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidFieldError(
            "transforms.sql", sql, "not one plain SELECT", "write SELECT ... FROM input [WHERE ...]"
        )
    select = statements[0]
    for kind in (exp.Group, exp.Distinct, exp.Limit, exp.Order):
        if select.find(kind):
            raise InvalidFieldError(
                "transforms.sql", sql, f"{kind.__name__.upper()} mixes records of a batch",
                "a step works row by row, so that a re-run gives the same rows",
            )  # fmt: skip
    if select.find(exp.AggFunc) and not select.find(exp.Window):
        raise InvalidFieldError(
            "transforms.sql", sql, "an aggregate mixes records of a batch", "work row by row"
        )
    return select
