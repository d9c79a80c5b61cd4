"""SQL steps: parsed when a dataset is registered, and made to carry the Kafka coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lake_platform.errors import InvalidFieldError

_JAVA_CALLS = frozenset(["reflect", "try_reflect", "java_method"])


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
    statements = _parsed("transforms.sql", sql, "mend the SELECT")
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidFieldError(
            "transforms.sql", sql, "not one plain SELECT", "write SELECT ... FROM input [WHERE ...]"
        )
    select = statements[0]
    _check_reach("transforms.sql", sql, select)
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


def check_predicate(sql: str) -> None:
    """Parses `delete_when`. Raises: InvalidFieldError."""
    statements = _parsed("delete_when", sql, "mend the condition")
    if len(statements) != 1 or not isinstance(statements[0], exp.Condition):
        raise InvalidFieldError(
            "delete_when", sql, "not one condition", "write it as after WHERE: op = 'delete'"
        )
    if statements[0].find(exp.Query, exp.AggFunc, exp.Window):
        raise InvalidFieldError(
            "delete_when", sql, "looks beyond its row", "compare columns of the row itself"
        )
    _check_reach("delete_when", sql, statements[0])


def output_columns(sql: str) -> list[str] | None:
    """Names of the columns a step gives; None when only the engine knows."""
    select = check_select(sql)
    names = [e.alias_or_name for e in select.expressions]
    # `SELECT inline(x)` gives columns that have no name here.
    return names if all(names) and not any(e.find(exp.Star) for e in select.expressions) else None


def _parsed(field: str, sql: str, remedy: str) -> list[exp.Expr | None]:
    try:
        return sqlglot.parse(sql, dialect="spark")
    except SqlglotError as error:
        why = str(error).split("\n", maxsplit=1)[0]
        raise InvalidFieldError(field, sql, why, remedy) from None


def _check_reach(field: str, sql: str, parsed: exp.Expr) -> None:
    """A step sees the batch alone: no other table, no file, no code of the JVM."""
    if "${" in sql:
        # Spark fills it in before it parses: ${env:AWS_SECRET_ACCESS_KEY} would go to the table.
        raise InvalidFieldError(field, sql, "${...} is a variable of Spark", "write the value")
    own = {"input", *(cte.alias_or_name.lower() for cte in parsed.find_all(exp.CTE))}
    for table in parsed.find_all(exp.Table):
        if table.db or table.name.lower() not in own:
            raise InvalidFieldError(
                field, sql, f"reads {table.sql(dialect='spark')}", "a step may read `input` only"
            )
    for function in parsed.find_all(exp.Func):
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        if name.lower() in _JAVA_CALLS:
            raise InvalidFieldError(
                field, sql, f"calls {name}", "a step may not run code outside of Spark SQL"
            )
    if parsed.find(exp.QueryTransform):
        raise InvalidFieldError(
            field, sql, "TRANSFORM ... USING runs a program", "use SQL functions only"
        )
    if isinstance(parsed, exp.Select) and parsed.find(exp.Table) is None:
        raise InvalidFieldError(field, sql, "reads nothing", "write SELECT ... FROM input")
