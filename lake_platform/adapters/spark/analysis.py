"""The engine's own look at the SQL of a dataset: `python -m lake_platform.adapters.spark.analysis`
reads the question from stdin and writes one line of JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.spark import steps
from lake_platform.adapters.spark.names import resolve
from lake_platform.adapters.spark.registration import asked
from lake_platform.adapters.spark.rows import empty_input
from lake_platform.adapters.spark.session import analysis_config, open_session
from lake_platform.adapters.spark.step_code import load_asked
from lake_platform.adapters.spark.step_run import StepError
from lake_platform.code.pins import CodeBase
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.fitness import check_columns, check_places, unstorable
from lake_platform.domain.rules import root_of
from lake_platform.domain.rules_fit import check_fit
from lake_platform.domain.schema import Struct
from lake_platform.domain.schema_json import struct_from_json
from lake_platform.domain.steps_change import check_steps_change
from lake_platform.errors import InvalidFieldError, LakeError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_DATE_OF_RUN = re.compile(r"cast\((now|today|tomorrow|yesterday)[^()]* as (date|timestamp)", re.I)


def analyse(spark: SparkSession, dataset: Dataset, source: Struct) -> Struct:
    """The table's columns. Raises: InvalidFieldError."""
    for name in (name for step in dataset.transforms for name in step.functions):
        if spark.catalog.functionExists(name):
            raise InvalidFieldError(
                "transforms.functions", name, "is a function of Spark SQL", "give it another name"
            )
    try:
        made = steps.run(dataset, empty_input(spark, source), source)
        columns = steps.output(dataset, made.frame)
    except StepError as error:
        raise InvalidFieldError(
            error.field, error.sql, f"step {error.step}: {error.why}",
            "mend the SQL" if error.field.endswith(("sql", "_when")) else "mend the step",
        ) from error  # fmt: skip
    checked = made.frame.select("*", made.deleted.alias("_d"))
    if not _repeatable(checked):
        raise InvalidFieldError(
            "transforms.sql", dataset.transforms[-1].sql if dataset.transforms else "",
            "calls something that gives another result each time, so a replay would change the "
            "rows", "use the record's own: _kafka_timestamp, _kafka_partition, _kafka_offset",
        )  # fmt: skip
    _check_columns(dataset, source, columns)
    check_places(dataset, columns)
    _check_rules(dataset, made.frame, columns)
    return columns


def _check_rules(dataset: Dataset, frame: DataFrame, columns: Struct) -> None:
    names = [f.name for f in columns.fields]
    if dataset.transformed:  # else the columns are known without an engine
        check_fit([r for r in dataset.rules if root_of(names, r.column)[0] is not None], columns)
    for one in dataset.conditions:
        if one.kind == "sql":
            try:
                steps.condition(frame, one.value, one.name, "rules.sql")
            except StepError as error:
                raise InvalidFieldError(
                    error.field, error.sql, f"rule {error.step}: {error.why}", "mend the condition"
                ) from error


def _repeatable(frame: DataFrame) -> bool:
    """A classic session knows; through Spark Connect the lists of functions.py must do."""
    plan = getattr(frame, "_jdf", None)
    if plan is None:
        return True
    analysed = plan.queryExecution().analyzed()
    return bool(analysed.deterministic()) and not _DATE_OF_RUN.search(analysed.toString())


def _check_columns(dataset: Dataset, source: Struct, columns: Struct) -> None:
    bad = [path for path, _ in unstorable(dataset.format, columns)]
    if bad and dataset.transformed:
        raise InvalidFieldError(
            "transforms.sql", dataset.transforms[-1].sql if dataset.transforms else "",
            f"gives columns {bad}, which a {dataset.format} table cannot store",
            "name them with AS: letters, digits and _",
        )  # fmt: skip
    if not dataset.transformed or resolve(dataset, source).columns is None:
        return
    check_columns(dataset, [f.name for f in columns.fields])
    for name, column in dataset.named_columns():
        kind = str(getattr(columns.get(column), "type", ""))
        if not kind.isalpha() and not kind.startswith("decimal"):
            raise InvalidFieldError(
                name, column, f"is a {kind}", "name a column with a plain value"
            )


def told(
    spark: SparkSession, dataset: Dataset, source: Struct, held: Struct | None
) -> Sequence[str]:
    """How the steps change the columns that a table has. Raises: InvalidFieldError."""
    made = analyse(spark, dataset, source)
    if held is None or not dataset.transformed:
        return ()
    return check_steps_change(dataset, held, made)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    dataset, source = asked(question)
    try:
        remote = question["remote"]
        base = CodeBase(
            tuple(map(Path, question["jars"])), Path(question["definitions"]), bool(remote)
        )
        load_asked(dataset, base)
        config = analysis_config(question["config"])
        spark = open_session(config, "local[1]", remote, app="lake-check")
        held = question.get("held")
        found = told(spark, dataset, source, None if held is None else struct_from_json(held))
    except InvalidFieldError as error:
        return {"refused": [error.field, error.value, error.reason, error.remedy]}
    except LakeError as error:
        return {"failed": str(error)}
    return {"told": list(found)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin))) + "\n")
