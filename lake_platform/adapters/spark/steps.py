"""Runs what a dataset says between record and row: explode, SQL steps, delete_when."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lake_platform.adapters.spark.carry import PASSED, carry, casts_are_followed
from lake_platform.adapters.spark.casts import Held
from lake_platform.adapters.spark.errors import short
from lake_platform.adapters.spark.names import resolve
from lake_platform.adapters.spark.paths import with_missing
from lake_platform.adapters.spark.registration import check_names
from lake_platform.adapters.spark.step_run import (
    StepError,
    analysed,
    delete_when,
    run_code,
    with_functions,
)
from lake_platform.adapters.spark.transforms import check_predicate
from lake_platform.adapters.spark.types import (
    NoColumnTypeError,
    output_struct,
    shaped,
    spark_type_of,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import RECORD_COLUMN
from lake_platform.domain.own_columns import COORDINATES, ORDER, ORDINAL
from lake_platform.domain.schema import RESCUED_FIELD, Struct
from lake_platform.errors import InvalidFieldError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True, slots=True)
class Rows:
    """`frame` has the last step's columns and the technical ones; `deleted` and `passed` are
    conditions over it: the row goes, and no WHERE left its record out. `casts`: by column of the
    last step the hidden one with what its casts lost, see casts.py."""

    frame: DataFrame
    deleted: Column
    passed: Column
    casts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def step_name(dataset: Dataset, number: int) -> str:
    name = dataset.transforms[number - 1].title
    return f"{number} ({name})" if name else str(number)


def run(dataset: Dataset, frame: DataFrame, source: Struct) -> Rows:
    """`frame` has the columns of `source` and the technical ones; nothing is computed yet. Code of
    the steps is loaded (step_code.load_code).

    Raises:
        StepError: SQL or code does not fit the columns.
    """
    from pyspark.sql import functions as F

    frame = _filled(dataset, frame, source)
    if dataset.explode:
        whole = frame
        frame = analysed("explode", dataset.explode, lambda: _exploded(whole, dataset.explode))
    flags: list[str] = []
    casts = Held() if _followed(dataset) else None
    for number in range(1, len(dataset.transforms) + 1):
        frame, casts = _run_step(dataset, frame, number, flags, casts)
    deleted, passed = F.lit(False), F.lit(True)
    for flag in flags:
        passed = passed & F.col(f"`{flag}`")
    if dataset.delete_when:
        said = condition(frame, delete_when(dataset, frame), "delete_when", "delete_when")
        deleted = F.coalesce(said, F.lit(False))  # null is no
    if flags:
        deleted = deleted | ~passed
    known = {c.casefold(): c for c in frame.columns}
    held = {known[n]: f for n, f in (casts.flags if casts else {}).items() if n in known}
    return Rows(frame, deleted, passed, held)


def _followed(dataset: Dataset) -> bool:
    try:
        return casts_are_followed(dataset)
    except InvalidFieldError:
        return False  # the step itself says what is wrong with it


def check_seen(dataset: Dataset, source: Struct, seen: Struct) -> None:
    """Raises: StepError for SQL over a column that is in no record, not even as null."""
    try:
        check_names(dataset, source, lambda: seen)
    except InvalidFieldError as error:
        raise _refused(dataset, error) from error


def output(dataset: Dataset, frame: DataFrame) -> Struct:
    """The table's columns. Raises: StepError."""
    last = step_name(dataset, len(dataset.transforms)) if dataset.transforms else "explode"
    try:
        return output_struct(frame.schema)
    except NoColumnTypeError as error:
        raise StepError(last, str(error)) from error


def first_steps(dataset: Dataset, count: int) -> Dataset:
    """The dataset with its first steps alone, to find the one that fails."""
    return replace(
        dataset, transforms=dataset.transforms[:count], delete_when="", filtered="keep",
        mode="append", primary_key=(), ordering_field=None,
    )  # fmt: skip


def _filled(dataset: Dataset, frame: DataFrame, source: Struct) -> DataFrame:
    """With NULL for what the SQL names and no record had yet."""
    from pyspark.sql import functions as F

    if not (dataset.transformed or dataset.delete_when):
        return frame
    try:
        missing = resolve(dataset, source).missing
    except InvalidFieldError as error:
        raise _refused(dataset, error) from error
    if not missing:
        return frame
    wanted = with_missing(source, missing)
    columns = []
    for field in wanted.fields:
        want, held = spark_type_of(field.type), source.get(field.name)
        column = F.col(_quoted(field.name)) if held else F.lit(None)
        if held is None:
            columns.append(column.cast(want).alias(field.name))
        elif held.type != field.type:
            columns.append(shaped(column, spark_type_of(held.type), want).alias(field.name))
        else:
            columns.append(column)
    kept = [c for c in frame.columns if source.get(c) is None]
    return frame.select(*columns, *[F.col(_quoted(c)) for c in kept])


def _refused(dataset: Dataset, error: InvalidFieldError) -> StepError:
    why, field = f"{error.reason}; {error.remedy}", error.field or ""
    return StepError(_which(dataset, error), why, field, str(error.value))


def _which(dataset: Dataset, error: InvalidFieldError) -> str:
    if error.field != "transforms.sql":
        return error.field or "sql"
    same = (n for n, t in enumerate(dataset.transforms, 1) if t.sql == error.value)
    return step_name(dataset, next(same, len(dataset.transforms)))


def _exploded(frame: DataFrame, path: str) -> DataFrame:
    from pyspark.sql import functions as F

    root, _, below = path.partition(".")
    # A name in another case is the same column to Spark, but not to a list of columns.
    root = next((c for c in frame.columns if c.casefold() == root.casefold()), root)
    array = F.col(_quoted(root))
    for name in below.split(".") if below else ():
        array = array.getField(name)
    made = frame.select("*", F.posexplode(array).alias(ORDINAL, "_lake_element"))
    element: Column = F.col("_lake_element")
    if below:
        quoted = ".".join(_quoted(n) for n in below.split("."))
        element = F.col(_quoted(root)).withField(quoted, element)
    columns = [
        element.alias(c) if c == root else F.col(_quoted(c)) for c in frame.columns if c != ORDER
    ]
    # Two elements with one key: the later one of the array wins.
    order = F.concat_ws("-", F.col(ORDER), F.lpad(F.col(ORDINAL).cast("string"), 10, "0"))
    return made.select(*columns, F.col(ORDINAL), order.alias(ORDER))


def _run_step(
    dataset: Dataset, frame: DataFrame, number: int, flags: list[str], casts: Held | None
) -> tuple[DataFrame, Held | None]:
    step = dataset.transforms[number - 1]
    name = step_name(dataset, number)
    technical = [*COORDINATES, ORDER, *([ORDINAL] if dataset.explode else [])]
    if RESCUED_FIELD.name in frame.columns:
        technical.append(RESCUED_FIELD.name)  # whatever the step makes of the rest
    if dataset.keep_raw and RECORD_COLUMN in frame.columns:
        technical.append(RECORD_COLUMN)
    if step.makes_frame:
        return _asserted(run_code(step, name, frame, technical)), casts
    if step.kind == "jar":
        return frame, casts
    passed = flags if dataset.filtered == "delete" else None
    sql = with_functions(dataset.transforms[: number - 1], frame, step.sql, name)
    frame.createOrReplaceTempView("input")
    try:
        text, held = carry(sql, technical, flags=passed, casts=casts)
        out = analysed(name, sql, lambda: frame.sparkSession.sql(text))
    except InvalidFieldError as error:
        raise StepError(name, f"{error.reason}; {error.remedy}", sql=sql) from error
    except StepError:
        if casts is None:
            raise
        # Whether or not it is the step that is wrong: what we add must not be what stops it.
        return _run_step(dataset, frame, number, flags, None)
    flags[:] = [c for c in out.columns if c.startswith(PASSED)]
    _check_names(out.columns, name, sql)
    return _asserted(out), held if casts is not None else None


def _asserted(frame: DataFrame) -> DataFrame:
    """A column that is always NULL is no column of the table; as a condition it is still computed,
    so that `assert_true` asserts."""
    from pyspark.sql import types as T

    for field in frame.schema.fields:
        if isinstance(field.dataType, T.NullType):
            frame = frame.where(frame[_quoted(field.name)].isNull())
    return frame


def _check_names(columns: Sequence[str], step: str, sql: str) -> None:
    seen: dict[str, str] = {}
    for name in columns:
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            raise StepError(step, f"gives columns {first} and {name}, which differ only in case",
                            sql=sql)  # fmt: skip
    doubled = [name for name in seen.values() if columns.count(name) > 1]
    if doubled:
        raise StepError(step, f"gives column {doubled[0]} twice", sql=sql)


def condition(frame: DataFrame, sql: str, step: str, field: str) -> Column:
    """A predicate over the row. Raises: StepError."""
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    try:
        check_predicate(sql, field)
        kind = frame.select(F.expr(sql)).schema[0].dataType
    except InvalidFieldError as error:
        raise StepError(step, f"{error.reason}; {error.remedy}", field, sql) from error
    except PySparkException as error:
        raise StepError(step, short(error), field, sql) from error
    if not isinstance(kind, T.BooleanType | T.NullType):
        written = f"{sql} = 'true'" if isinstance(kind, T.StringType) else f"{sql} <> 0"
        why = f"it is a {kind.simpleString()}, not a condition; compare it, as in {written}"
        raise StepError(step, why, field, sql)
    return F.expr(sql)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
