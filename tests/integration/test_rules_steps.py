"""Rules on rows that only Spark makes: behind steps, and predicates in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Format, Rule
from lake_platform.domain.transform import Transform
from lake_platform.errors import RuleBrokenError, TransformError
from lake_platform.load.results import LoadResult
from tests.spark_support import spark, table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MakeLab = Callable[..., Lab]
STEP = "SELECT id, price * 2 AS price, code, CAST(CAST(ts AS TIMESTAMP) AS DATE) AS day FROM input"


@pytest.fixture
def make_lab(spark: SparkSession, tmp_path: Path) -> Iterator[MakeLab]:
    labs: list[Lab] = []

    def make(*rules: Rule, step: str = STEP, **fields: Any) -> Lab:
        lab = Lab(tmp_path)
        labs.append(lab)
        lab.store = open_store((tmp_path / "storage").as_uri())
        format_: Format = fields.get("format", "hudi")
        lab.engine = spark_engines(lambda: spark, lab.store)(format_)
        lab.read_rows = table_rows(spark, lab.store)
        transforms = (Transform(sql=step),) if step else ()
        lab.register(transforms=transforms, rules=rules, max_quarantine_ratio=1.0, **fields)
        return lab

    yield make
    for lab in labs:
        lab.close()


def counts(result: LoadResult) -> dict[str, int]:
    return {name: broken.rows for name, broken in result.broken.items()}


def ids(lab: Lab) -> list[int]:
    return sorted(row["id"] for row in lab.plain_rows())


def reasons(lab: Lab) -> dict[int, str]:
    return {
        line["record"]["offset"]: line["reason"].removeprefix("breaks the rule ")
        for line in lab.quarantined()
    }


def change(lab: Lab, *rules: dict[str, Any]) -> None:
    lab.metastore.update("t", {"rules": list(rules)}, lab.metastore.get("t").version, "test")


RULES = (
    Rule(column="price", min=0, max=10, policy="quarantine"),
    Rule(column="code", regex="^[a-z]+$", not_null=True, policy="quarantine"),
    Rule(column="code", unique=True, policy="quarantine"),
    Rule(column="day", isin=("2026-11-01",)),
    Rule(sql="price <> 4 OR id IS NULL", name="no_four", policy="quarantine"),
)
RECORDS: list[dict[str, Any]] = [
    {"id": 0, "price": 1, "code": "a", "ts": 1_793_527_200},
    {"id": 1, "price": -1, "code": "b", "ts": 1_793_527_200},
    {"id": 2, "price": 6, "code": "B", "ts": 1_793_527_200},
    {"id": 3, "price": 2, "code": "d", "ts": 1_793_527_200},
    {"id": 4, "price": 1, "ts": 1_793_527_200},
    {"id": 5, "price": 1, "code": "a", "ts": 1_793_527_200},
    {"id": 6, "price": 1, "code": "b", "ts": 1_793_613_600},
    {"id": 7, "price": None, "code": "g", "ts": None},
]
BROKEN = {
    "price.min": 1, "price.max": 1, "code.regex": 1, "code.not_null": 1, "code.unique": 1,
    "no_four": 1, "day.isin": 1,
}  # fmt: skip
ASIDE = {
    1: "price.min", 2: "price.max", 3: "no_four", 4: "code.not_null", 5: "code.unique",
}  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"format": "parquet"}, {}, {"mode": "upsert", "primary_key": ("id",)}],
    ids=["parquet", "hudi", "upsert"],
)
def test_rules_behind_steps(make_lab: MakeLab, fields: dict[str, Any]) -> None:
    lab = make_lab(*RULES, **fields)
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert counts(result) == BROKEN
    assert result.broken["day.isin"].samples[0]["value"] == "2026-11-02"
    assert result.broken["price.min"].samples[0] == {"partition": 0, "offset": 1, "value": "-2"}
    assert reasons(lab) == ASIDE
    assert ids(lab) == [0, 6, 7]
    balance = result.applied.balance
    assert (balance.written, balance.quarantined, balance.difference) == (3, 5, 0)
    assert not [i.key for i in lab.store.list("staging/") if "/rules/" in i.key]
    # Under other rules, and back: each record is in one place.
    windows = list(result.windows)
    change(lab, {"column": "price", "max": 1, "policy": "quarantine"})
    [again] = lab.load(replay=windows)
    assert again.applied.balance.difference == 0
    upsert = lab.dataset().mode == "upsert"
    # What an upsert table has is not taken back; what is aside stays so while the rule says it.
    aside = (2, 3, 4, 5) if upsert else (0, 2, 3, 4, 5, 6)
    assert reasons(lab) == dict.fromkeys(aside, "price.max")
    assert ids(lab) == ([0, 1, 6, 7] if upsert else [1, 7])
    change(lab)
    lab.load(replay=windows)
    assert (ids(lab), reasons(lab)) == (list(range(8)), {})


def test_what_python_has_no_date_for_breaks_a_rule(make_lab: MakeLab) -> None:
    rule = Rule(column="day", isin=("2026-11-01",), policy="quarantine")
    lab = make_lab(rule, format="parquet")
    lab.send({**RECORDS[0], "ts": 1_793_527_200_000})  # milliseconds where seconds are
    [result] = lab.cycle()
    assert "58804-08-12" in result.broken["day.isin"].samples[0]["value"]
    assert reasons(lab) == {0: "day.isin"}


def test_a_predicate_over_records_as_they_are(make_lab: MakeLab) -> None:
    """The newest record of a key breaks it, so the one before counts."""
    rule = Rule(sql="low <= high", name="order", policy="quarantine")
    lab = make_lab(rule, step="", mode="upsert", primary_key=("id",))
    lab.send({"id": 1, "low": 1, "high": 2})
    lab.send({"id": 1, "low": 3, "high": 2}, reason="breaks the rule order")
    lab.send({"id": 2, "low": None, "high": 2})
    [result] = lab.cycle()
    assert (counts(result), result.applied.balance.difference) == ({"order": 1}, 0)
    lab.account()


def test_rows_of_exploded_records(make_lab: MakeLab) -> None:
    rule = Rule(column="items.v", min=0, policy="quarantine")
    lab = make_lab(rule, step="", explode="items")
    lab.send({"id": 1, "items": [{"v": 1}, {"v": 2}]})
    lab.send({"id": 2, "items": [{"v": 1}, {"v": -1}, {"v": -2}]})
    [result] = lab.cycle()
    assert (counts(result), reasons(lab)) == ({"items.v.min": 2}, {1: "items.v.min"})
    assert ids(lab) == [1, 1]
    balance = result.applied.balance
    assert (balance.exploded, balance.difference) == (1, 0)


def test_a_rule_behind_steps_blocks(make_lab: MakeLab) -> None:
    lab = make_lab(Rule(column="price", min=0, policy="block"), format="parquet")
    lab.send_all(RECORDS)
    lab.dump()
    with pytest.raises(RuleBrokenError, match=r"price\.min is broken by 1 rows"):
        lab.load()
    [incident] = lab.metastore.incidents("t", "OPEN")
    assert incident.samples[0]["value"] == RECORDS[1]
    assert not lab.plain_rows()
    change(lab, {"column": "price", "min": -2, "policy": "block"})
    lab.metastore.resume("t", "eve")
    lab.load()
    assert len(lab.plain_rows()) == 8


def test_a_predicate_that_fails_names_itself(make_lab: MakeLab) -> None:
    rule = Rule(sql="CAST(assert_true(price > 0) AS BOOLEAN)", name="hard")
    lab = make_lab(rule, format="parquet")
    lab.send_all(RECORDS)
    lab.dump()
    with pytest.raises(TransformError, match="transform rule hard failed"):
        lab.load()


def test_a_replay_takes_rows_out_of_an_append_table(make_lab: MakeLab) -> None:
    lab = make_lab(step="", partition_by=("code",))
    lab.send_all(RECORDS[:4])
    [result] = lab.cycle()
    change(lab, {"column": "price", "min": 0, "policy": "quarantine"})
    [again] = lab.load(replay=list(result.windows))
    assert (ids(lab), reasons(lab)) == ([0, 2, 3], {1: "price.min"})
    assert again.applied.balance.difference == 0
    assert not lab.load()
