"""The lists of refused functions against Spark's own registry: what is not in a list must give the
same result each time, one row for one row, by what Spark says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.spark.functions import is_refused
from tests.spark_support import spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = pytest.mark.spark
_CATALYST = "org.apache.spark.sql.catalyst.expressions."
_ARGUMENTS = ["", "1", "'a'", "array(1, 2)", "array(struct(1))", "1, 2", "'a', 'b'", "map('a', 1)"]
# Deterministic to Spark, which fixes them once a query: the time and the session of the run.
_OF_THE_RUN = ["Now", "CurrentDate", "CurDateExpressionBuilder", "CurrentTimestamp",
               "LocalTimestamp", "CurrentUser", "CurrentCatalog", "CurrentDatabase",
               "SparkVersion"]  # fmt: skip


def builtins(session: SparkSession) -> Iterator[tuple[str, str]]:
    """Name and class of every builtin function."""
    catalog: Any = session._jsparkSession.sessionState().functionRegistry()
    found = catalog.listFunction().iterator()
    while found.hasNext():
        name = found.next()
        yield name.funcName(), catalog.lookupFunction(name).get().getClassName()


def deterministic(session: SparkSession, name: str) -> bool:
    """By the analysed plan of the first call that Spark takes."""
    java: Any = session._jsparkSession
    for arguments in _ARGUMENTS:
        try:
            frame = java.sql(f"SELECT `{name}`({arguments}) AS c FROM VALUES (1) AS t(id)")
            plan = frame.queryExecution().analyzed()
        except Exception:  # noqa: S112 - wrong arguments: the next ones
            continue
        if not plan.deterministic():
            return False
    return True


@pytest.mark.deep  # holds the lists against Spark's: only another Spark has others
def test_every_non_deterministic_function_is_refused(spark: SparkSession) -> None:
    own = [n for n, kind in builtins(spark) if kind.startswith("org.apache.spark.sql.catalyst")]
    assert len(own) > 400
    assert [n for n in own if not deterministic(spark, n) and not is_refused(n)] == []
    assert not deterministic(spark, "uuid")


def test_what_tells_of_the_run_mixes_rows_or_makes_many_is_refused(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    loader = jvm.java.lang.Class
    bases = [
        loader.forName(_CATALYST + n)
        for n in ("Generator", "aggregate.AggregateFunction", "WindowFunction")
    ]
    missed = []
    for name, kind in builtins(spark):
        if not kind.startswith(_CATALYST):
            continue
        made = loader.forName(kind)
        bad = any(base.isAssignableFrom(made) for base in bases)
        bad = bad or kind.removeprefix(_CATALYST) in _OF_THE_RUN or ".aggregate." in kind
        if bad and not is_refused(name):
            missed.append(name)
    assert missed == []
