"""SQL steps: parsed when a dataset is registered.

A step is a chain of plain SELECTs over `input`: one row in, at most one row out, the same each
time. What is not known to be so is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lake_platform.adapters.spark.clauses import selects, tokens_of
from lake_platform.adapters.spark.functions import is_known, is_special_date, refused_calls
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.fitness import check_columns
from lake_platform.domain.names import is_ours
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError

_STEP = "transforms.sql"
_ROW_BY_ROW = "a step works row by row, so that a re-run gives the same rows"
_MIXING: dict[type[exp.Expr], str] = {
    exp.Group: "GROUP BY",
    exp.Having: "HAVING",
    exp.Distinct: "DISTINCT",
    exp.Limit: "LIMIT",
    exp.Offset: "OFFSET",
    exp.Order: "ORDER BY",
    exp.Qualify: "QUALIFY",
    exp.TableSample: "TABLESAMPLE",
    exp.Pivot: "PIVOT",
    exp.Join: "JOIN",
    exp.SetOperation: "UNION",
    exp.Window: "OVER",
}


def check_select(sql: str) -> exp.Select:
    """Parses one step. Raises: InvalidFieldError."""
    statements = _parsed(_STEP, sql, "mend the SELECT")
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidFieldError(
            _STEP, sql, "not one plain SELECT", "write SELECT ... FROM input [WHERE ...]"
        )
    select = statements[0]
    _check_reach(_STEP, sql, select)
    _check_calls(_STEP, sql, select)
    for kind, name in _MIXING.items():
        if select.find(kind):
            raise InvalidFieldError(_STEP, sql, f"{name} mixes records of a batch", _ROW_BY_ROW)
    if select.find(exp.Lateral):
        raise InvalidFieldError(
            _STEP, sql, "LATERAL makes many rows of one record",
            "name the array in the dataset's field explode",
        )  # fmt: skip
    _check_chain(sql, select)
    return select


def check_without_where(sql: str) -> None:
    """Whether the keys of records that a WHERE leaves out can be computed by the same SQL.

    Raises: InvalidFieldError.
    """
    for star in check_select(sql).find_all(exp.Star):
        if not isinstance(star.parent, exp.Select | exp.Column):
            raise InvalidFieldError(
                "filtered", "delete", f"a star inside of a function would see that a record was "
                f"left out: {star.parent.sql(dialect='spark') if star.parent else '*'}",
                "name the columns in it, or use filtered=keep",
            )  # fmt: skip


def check_predicate(sql: str, field: str = "delete_when") -> None:
    """Parses a condition over the row. Raises: InvalidFieldError."""
    statements = _parsed(field, sql, "mend the condition")
    if len(statements) != 1 or not isinstance(statements[0], exp.Condition):
        raise InvalidFieldError(
            field, sql, "not one condition", "write it as after WHERE: op = 'delete'"
        )
    if statements[0].find(exp.Query, exp.AggFunc, exp.Window):
        raise InvalidFieldError(
            field, sql, "looks beyond its row", "compare columns of the row itself"
        )
    _check_reach(field, sql, statements[0])
    _check_calls(field, sql, statements[0])


def output_columns(sql: str) -> list[str] | None:
    """Names of the columns a step gives; None when only the engine knows."""
    select = check_select(sql)
    names = [e.alias_or_name for e in select.expressions]
    return names if all(names) and "*" not in names else None


def in_text_order(select: exp.Select) -> list[exp.Select]:
    """The SELECTs of a checked step."""
    return list(_in_text_order(select))


def _in_text_order(select: exp.Select) -> Iterator[exp.Select]:
    for cte in select.ctes:
        yield from _in_text_order(cte.this)
    yield select
    source = source_of(select)
    if isinstance(source, exp.Select):
        yield from _in_text_order(source)


def source_of(select: exp.Select) -> exp.Expr | None:
    """The table, or the SELECT in brackets, that it reads."""
    clause = select.args.get("from_")
    source = clause.this if clause else None
    while isinstance(source, exp.Subquery):
        source = source.this
    return source


def _parsed(field: str, sql: str, remedy: str) -> list[exp.Expr | None]:
    try:
        return sqlglot.parse(sql, dialect="spark")
    except SqlglotError as error:
        why = str(error).split("\n", maxsplit=1)[0]
        raise InvalidFieldError(field, sql, why, remedy) from None


def _check_chain(sql: str, select: exp.Select) -> None:
    """Each SELECT reads one source, and stands where a source stands."""
    chain = in_text_order(select)
    sources = [e for s in chain for e in s.args["from_"].find_all(exp.Subquery)] if chain else []
    inner = [q for q in select.find_all(exp.Query) if q not in chain and q not in sources]
    if inner or any(not isinstance(source_of(s), exp.Select | exp.Table) for s in chain):
        raise InvalidFieldError(
            _STEP, sql, "a SELECT inside of an expression looks at other records", _ROW_BY_ROW
        )
    lists = [a for a in select.find_all(exp.TableAlias) if a.args.get("columns")]
    if lists:
        raise InvalidFieldError(
            _STEP, sql, f"names columns in brackets: {lists[0].sql(dialect='spark')}",
            "name them inside of the SELECT: SELECT x AS a",
        )  # fmt: skip
    for one in chain:
        _check_columns(sql, one)
    try:
        places = len(list(selects(sql)))
    except ValueError:
        places = 0
    if places != len(chain):
        raise InvalidFieldError(
            _STEP, sql, "FROM comes before SELECT", "write SELECT ... FROM input [WHERE ...]"
        )


def _check_columns(sql: str, select: exp.Select) -> None:
    seen: dict[str, str] = {}
    for column in select.expressions:
        star = column if isinstance(column, exp.Star) else column.this
        if isinstance(star, exp.Star) and any(star.args.values()):
            raise InvalidFieldError(
                _STEP, sql, "* EXCEPT and * REPLACE are not in Spark 3.5", "name the columns"
            )
        name = column.alias_or_name
        own = isinstance(column, exp.Column) and column.name == name
        if is_ours(name) and not own:
            raise InvalidFieldError(
                _STEP, sql, f"makes a column {name}, and _rescued, _raw and names with _kafka_, "
                f"_hoodie_ and _lake_ are ours", "choose another name",
            )  # fmt: skip
        twin = seen.get(name.casefold())
        if twin is not None and name != "*":
            raise InvalidFieldError(*doubled(sql, twin, name))
        if name:
            seen[name.casefold()] = name


def doubled(sql: str, first: str, second: str) -> tuple[str, str, str, str]:
    """What InvalidFieldError takes for two columns of one name."""
    what = f"gives column {first} twice" if first == second else f"gives columns {first}, {second}"
    why = what if first == second else f"{what}, which differ only in case"
    return _STEP, sql, why, "give one another name, or name the columns instead of *"


def _check_calls(field: str, sql: str, parsed: exp.Expr) -> None:
    for name, why, remedy in refused_calls(tokens_of(sql)):
        raise InvalidFieldError(field, sql, f"calls {name}, which {why}", remedy)
    for cast in parsed.find_all(exp.Cast, exp.TsOrDsToDate, exp.StrToTime, exp.Date, exp.Timestamp):
        text = cast.this
        if isinstance(text, exp.Literal) and text.is_string and is_special_date(text.name):
            raise InvalidFieldError(
                field, sql, f"'{text.name}' is the date of the run, so a replay would change the "
                f"rows", "use _kafka_timestamp, or write the date",
            )  # fmt: skip


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
    if parsed.find(exp.QueryTransform):
        raise InvalidFieldError(
            field, sql, "TRANSFORM ... USING runs a program", "use SQL functions only"
        )
    if isinstance(parsed, exp.Select) and parsed.find(exp.Table) is None:
        raise InvalidFieldError(field, sql, "reads nothing", "write SELECT ... FROM input")


def check_steps(dataset: Dataset) -> None:
    """Raises: InvalidFieldError for a SQL step that is not one row-by-row SELECT over `input`, a
    `delete_when` that is no condition, and a named column the last step does not give."""
    for step in dataset.transforms:
        if step.kind == "sql":
            check_select(step.sql)
        if step.makes_frame and dataset.filtered == "delete":
            raise InvalidFieldError(
                "filtered", "delete", f"step {step.title} may leave records out, and no key of "
                f"theirs is known then", "filter in SQL steps, or use filtered=keep",
            )  # fmt: skip
        if step.kind == "sql" and dataset.filtered == "delete":
            check_without_where(step.sql)
        _check_names_of(step, dataset)
    if dataset.delete_when:
        check_predicate(dataset.delete_when)
    given = last_columns(dataset)
    if given is not None:
        check_columns(dataset, given)


def last_columns(dataset: Dataset) -> list[str] | None:
    """Names of the columns that the last step gives; None when only the engine knows."""
    made = [step for step in dataset.transforms if step.makes_frame or step.kind == "sql"]
    return output_columns(made[-1].sql) if made and made[-1].kind == "sql" else None


def _check_names_of(step: Transform, dataset: Dataset) -> None:
    """Functions of JARs have names that SQL knows no other function by, and each one of its own."""
    others = [n.casefold() for s in dataset.transforms if s is not step for n in s.functions]
    for name in step.functions:
        if is_known(name):
            raise InvalidFieldError(
                "transforms.functions", name, "is a function of SQL", "give it a name of its own"
            )
        if name.casefold() in others:
            raise InvalidFieldError(
                "transforms.functions", name, "is a function of two steps", "name it once"
            )
