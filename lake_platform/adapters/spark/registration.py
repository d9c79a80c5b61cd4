"""What can never work, said to the person who typed it: names first, at once, then the engine's own
analysis in a process that ends with it (a JVM is heavy, and the API must stay light)."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lake_platform.adapters.spark.carry import lost_columns
from lake_platform.adapters.spark.names import Resolved, resolve, unknown
from lake_platform.adapters.spark.paths import Path, has_path
from lake_platform.adapters.spark.transforms import check_predicate, check_select
from lake_platform.code.pins import NO_CODE, CodeBase
from lake_platform.domain import rules
from lake_platform.domain.dataset import Dataset, Rule
from lake_platform.domain.fitness import check_columns
from lake_platform.domain.rules import root_of
from lake_platform.domain.rules_fit import check_fit
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json, to_json
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError

Seen = Callable[[], Struct]
"""What the topic's first records had, also what was only null; asked only when it matters."""
Analyse = Callable[[Dataset, Struct, Struct | None], Sequence[str]]
"""Of a definition, the columns of the records, and those of the table where it is to keep them."""
_SECONDS = 90.0


def check_names(dataset: Dataset, source: Struct, seen: Seen) -> None:
    """Raises: InvalidFieldError for a column that no record has, not even as null, and for a rule
    over a column the table will not have."""
    resolved = resolve(dataset, source)
    held = seen() if resolved.missing else Struct()
    for path in sorted(resolved.missing):
        if not has_path(held, path):
            known = ", ".join(f.name for f in source.fields) or "none"
            raise unknown(*_place(dataset, path), ".".join(path).replace(".[]", "[]"), known)
    _check_output(dataset, source, resolved, seen)


def _check_output(dataset: Dataset, source: Struct, resolved: Resolved, seen: Seen) -> None:
    columns = resolved.columns
    if columns is None or not dataset.transformed:
        columns = [f.name for f in source.fields] if not dataset.transformed else None
    if columns is None:
        return
    if dataset.transformed:
        check_columns(dataset, columns)
    if not dataset.transformed:
        check_fit(dataset.rules, source, seen)
        return
    for condition in dataset.conditions:
        if condition.column and root_of(columns, condition.column)[0] is None:
            listed = ", ".join(columns)
            raise InvalidFieldError(
                "rules.column", condition.column, "the table has no such column",
                f"columns are: {listed}",
            )  # fmt: skip


def check_rules(dataset: Dataset) -> None:
    """What can be said of rules without the columns. Raises: InvalidFieldError."""
    from lake_platform.records.rules import check_regex

    rules.check_rules(dataset.rules)
    for condition in dataset.conditions:
        if condition.kind == "regex":
            check_regex(condition.value)
        elif condition.kind == "cast":
            _check_cast(dataset, condition.column)
        elif condition.kind == "sql":
            check_predicate(condition.value, "rules.sql")
            if dataset.format == "parquet" and not dataset.transformed:
                raise InvalidFieldError(
                    "rules.sql", condition.value, "needs Spark, and without a step a Parquet table "
                    "is loaded without it", "add the step SELECT * FROM input",
                )  # fmt: skip


def _check_cast(dataset: Dataset, column: str) -> None:
    if not dataset.transformed:
        raise InvalidFieldError(
            "rules.cast", column, "no step makes it, and without one a value that does not fit is "
            "never NULL", "leave the rule out; on_conflict says what becomes of it",
        )  # fmt: skip
    counted = lost_columns(dataset).flags
    if column.casefold() not in counted:
        raise InvalidFieldError(
            "rules.cast", column, "is no column of the last step with a cast that can be counted",
            f"name one of: {', '.join(counted)}" if counted else "use not_null or sql",
        )  # fmt: skip


def _place(dataset: Dataset, path: Path) -> tuple[str, str]:
    """Field and text that name it."""
    if dataset.explode and dataset.explode.split(".")[0].casefold() == path[0].casefold():
        return "explode", dataset.explode
    for step in dataset.transforms:
        if step.kind == "sql" and any(
            c.name.casefold() == path[-1].casefold() for c in _names(step.sql)
        ):
            return "transforms.sql", step.sql
    if dataset.delete_when:
        return "delete_when", dataset.delete_when
    return "transforms.sql", dataset.transforms[0].sql if dataset.transforms else ""


def _names(sql: str) -> Sequence[Any]:
    from sqlglot import exp

    return list(check_select(sql).find_all(exp.Identifier))


def analyse_apart(
    environ: Mapping[str, str], config: Mapping[str, str], remote: str, code: CodeBase = NO_CODE
) -> Analyse:
    """The engine's analysis in a child process. What keeps it from an answer is a warning: the
    first load checks the same."""

    def analyse(dataset: Dataset, source: Struct, held: Struct | None) -> Sequence[str]:
        if not dataset.has_sql:
            return ()
        ask = {
            "dataset": dataclasses.asdict(dataset), "source": to_json(source),
            "held": None if held is None else to_json(held),
            "config": dict(config), "remote": remote,
            "jars": [str(folder) for folder in code.jars], "definitions": str(code.definitions),
        }  # fmt: skip
        try:
            done = subprocess.run(
                [sys.executable, "-m", "lake_platform.adapters.spark.analysis"],
                input=json.dumps(ask), capture_output=True, text=True, timeout=_SECONDS,
                env={**os.environ, **environ}, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return [_unchecked(str(error))]
        return _answered(done)

    return analyse


def _answered(done: subprocess.CompletedProcess[str]) -> Sequence[str]:
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return [_unchecked(said[-1] if said else f"exit code {done.returncode}")]
    if refused := answer.get("refused"):
        raise InvalidFieldError(*refused)
    return [_unchecked(answer["failed"])] if "failed" in answer else answer.get("told", ())


def _unchecked(why: str) -> str:
    return (
        f"the steps were checked for their columns only, Spark could not look at them "
        f"({why[:300]}); the first load checks them whole"
    )


def asked(plain: Mapping[str, Any]) -> tuple[Dataset, Struct]:
    """What a child was asked."""
    fields = dict(plain["dataset"])
    fields["transforms"] = tuple(Transform(**t) for t in fields["transforms"])
    fields["rules"] = tuple(Rule(**{**r, "isin": tuple(r["isin"])}) for r in fields["rules"])
    for name in ("primary_key", "partition_by"):
        fields[name] = tuple(fields[name])
    fields["absent_for"] = None  # nothing of steps
    return Dataset(**fields), struct_from_json(plain["source"])
