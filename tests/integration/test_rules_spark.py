"""Rules on values that Spark can hold and Python cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Rule
from lake_platform.domain.transform import Transform
from lake_platform.load import checks
from tests.spark_support import spark  # noqa: F401
from tests.support import Lab

STEP = """
SELECT id, CAST(ts AS TIMESTAMP) AS at, CAST(CAST(ts AS TIMESTAMP) AS DATE) AS day,
  CAST(ts AS DECIMAL(38, 2)) AS dec, CAST('NaN' AS DOUBLE) AS nan,
  CAST('Infinity' AS DOUBLE) AS inf, CAST(id = 1 AS BOOLEAN) AS flag,
  CAST('ab' AS BINARY) AS bin, named_struct('at', CAST(ts AS TIMESTAMP)) AS o,
  array(CAST(ts AS TIMESTAMP)) AS list, map('k', CAST(ts AS TIMESTAMP)) AS m,
  repeat('x', 200000) AS long_text
FROM input
"""
COLUMNS = ("id", "at", "day", "dec", "nan", "inf", "flag", "bin", "o", "list", "m", "long_text")


@pytest.fixture(params=["parquet", "hudi"])
def lab(
    request: pytest.FixtureRequest,
    spark: SparkSession,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.store = open_store((tmp_path / "storage").as_uri())
    lab.engine = spark_engines(lambda: spark, lab.store)(request.param)
    rules = (
        *(Rule(column=c, not_null=True) for c in COLUMNS),
        Rule(column="at", min=0), Rule(column="nan", max=1), Rule(column="inf", max=1e300),
        Rule(column="dec", max=2e9), Rule(column="flag", isin=("true", "false")),
        Rule(column="day", isin=("2026-11-01",)), Rule(column="id", isin=("1", "2")),
    )  # fmt: skip
    lab.register(format=request.param, transforms=(Transform(sql=STEP),), rules=rules)
    yield lab
    lab.close()


def test_each_rule_has_a_verdict(lab: Lab) -> None:
    lab.send({"id": 1, "ts": 1_793_527_200})
    lab.send({"id": 2, "ts": 1_793_527_200_000})  # milliseconds where seconds are: year 58804
    lab.cycle()
    found = {
        (f["column"], str(f["rule"]).partition("(")[0]): f for f in checks.rules("t", lab.ports())
    }
    counted = {key: f["rows"] for key, f in found.items()}
    assert counted == {
        ("at", "greater_than_or_equal_to"): 2,  # no numbers
        ("nan", "not_nullable"): 2,
        ("nan", "less_than_or_equal_to"): 2,
        ("inf", "less_than_or_equal_to"): 2,
        ("dec", "less_than_or_equal_to"): 1,
        ("day", "isin"): 1,
    }
    assert "58804-08-12" in str(found["day", "isin"]["example"])
    rows, keys, nulls = checks.primary_key("t", lab.ports())
    assert (rows, keys, nulls) == (2, 2, 0)
