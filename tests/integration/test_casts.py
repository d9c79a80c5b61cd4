"""What casts of SQL steps make NULL of: counted by column and batch, shown, and held by rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lake_platform.adapters.spark.registration import check_rules
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Rule
from lake_platform.errors import (
    InvalidFieldError,
    RuleBrokenError,
    SchemaBlockedError,
    TransformError,
)
from lake_platform.load.results import LoadResult
from tests.integration.test_rules_steps import MakeLab, ids, make_lab, reasons
from tests.spark_support import spark

__all__ = ["make_lab", "spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

RECORDS: list[dict[str, Any]] = [
    {"id": 0, "n": "1", "d": "2026-11-01", "xs": ["1", "2"], "o": {"p": "1.5"}, "b": "yes"},
    {"id": 1, "n": "n/a", "d": "2026-11-01", "xs": ["1", "?"], "o": {"p": "1.5"}, "b": "true"},
    {"id": 2, "n": None, "d": "01.11.2026", "xs": None, "o": {"p": "99999"}, "b": "maybe"},
    {"id": 3, "n": "n/a", "d": None, "xs": [None], "o": None, "b": None},
]
# Each column of a step, with the ids of the rows that lose a value in it.
CASES = {
    "CAST(n AS INT) AS x": [1, 3],
    "try_cast(n AS int) x": [1, 3],
    "int(n) AS x": [1, 3],
    "CAST(n AS INT) * 2 + id AS x": [1, 3],
    "nullif(CAST(n AS INT), 1) AS x": [1, 3],
    "CAST(CAST(n AS DOUBLE) AS INT) AS x": [1, 3],
    "CAST(CAST(n AS INT) AS STRING) AS x": [1, 3],
    "CAST(d AS DATE) AS x": [2],
    "to_date(d) AS x": [2],
    "to_timestamp(d, 'yyyy-MM-dd') AS x": [2],
    "coalesce(to_date(d, 'yyyy-MM-dd'), to_date(d, 'dd.MM.yyyy')) AS x": [],
    "coalesce(to_date(d, 'yyyy/MM/dd'), to_date(d, 'yyyy-MM-dd')) AS x": [2],
    "coalesce(CAST(n AS INT), 0) AS x": [],
    "CASE WHEN n = 'n/a' THEN NULL ELSE CAST(n AS INT) END AS x": [],
    "CASE WHEN id = 1 THEN CAST(n AS INT) END AS x": [1],
    "if(id < 2, CAST(n AS INT), -1) AS x": [1],
    "CAST(n AS INT) IS NULL AS x": [],
    "CAST(o.p AS DECIMAL(4, 2)) AS x": [2],
    "named_struct('p', CAST(o.p AS DECIMAL(4, 2)), 'k', 1) AS x": [2],
    "CAST(o AS STRUCT<p: DECIMAL(4, 2)>) AS x": [2],
    "CAST(xs AS ARRAY<INT>) AS x": [1],
    "transform(xs, e -> CAST(e AS INT)) AS x": [1],
    "CAST(n AS INT) + size(filter(xs, e -> true)) AS x": [1, 3],
    "CAST(map('k', n) AS MAP<STRING, INT>) AS x": [1, 3],
    "CAST(b AS BOOLEAN) AS x": [2],  # Spark takes "yes" for true
    "CAST(id AS STRING) AS x": None,  # everything has a text
    "n AS x": None,
    "transform(xs, e -> coalesce(CAST(e AS INT), 0)) AS x": None,  # nobody can tell
}


def test_each_kind_of_cast(make_lab: MakeLab) -> None:
    columns = [c.rsplit(" ", 1)[0].removesuffix(" AS") for c in CASES]
    listed = ", ".join(f"{text} AS x{n}" for n, text in enumerate(columns))
    lab = make_lab(step=f"SELECT id, {listed} FROM input", format="parquet")
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    wanted = {f"x{n}": ids_ for n, ids_ in enumerate(CASES.values()) if ids_ is not None}
    assert {name: lost.lost for name, lost in result.lost.items()} == {
        name: len(ids_) for name, ids_ in wanted.items()
    }
    firsts = {name: lost.first and lost.first["offset"] for name, lost in result.lost.items()}
    assert firsts == {name: ids_[0] if ids_ else None for name, ids_ in wanted.items()}
    assert result.lost["x0"] == Lost(4, 2, {"partition": 0, "offset": 1, "value": "n/a"})
    assert result.applied.balance.difference == 0


def lost(result: LoadResult) -> dict[str, int]:
    return {name: one.lost for name, one in result.lost.items()}


CHAIN = (
    "WITH a AS (SELECT id, CAST(n AS INT) AS m, CAST(d AS DATE) AS gone FROM input) "
    "SELECT *, m + 1 AS more FROM (SELECT id, m, m AS twin, coalesce(m, 0) AS sure FROM a) "
    "WHERE CAST(id AS INT) < 3"
)


@pytest.mark.parametrize(
    "fields",
    [{"format": "parquet"}, {}, {"mode": "upsert", "primary_key": ("id",)}],
    ids=["parquet", "hudi", "upsert"],
)
def test_a_loss_follows_its_column(make_lab: MakeLab, fields: dict[str, Any]) -> None:
    """Through WITH and brackets, by other names, out of what is left out: a filter's casts are no
    output, and a row it leaves out is not counted."""
    lab = make_lab(step=CHAIN, **fields)
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert lost(result) == {"m": 1, "twin": 1, "more": 1, "sure": 0}
    assert result.lost["m"].first == {"partition": 0, "offset": 1, "value": "n/a"}
    assert [f.name for f in result.table_schema.fields] == ["id", "m", "twin", "sure", "more"]
    assert ids(lab) == [0, 1, 2]
    [batch] = lab.metastore.batches("t")
    assert batch.lost == {"m": 1, "twin": 1, "more": 1, "sure": 0}
    [again] = lab.load(replay=list(result.windows))
    assert again.lost == result.lost
    assert lab.metastore.batches("t")[0].lost == batch.lost


def test_casts_of_exploded_elements(make_lab: MakeLab) -> None:
    lab = make_lab(step="SELECT id, CAST(xs AS INT) AS x FROM input", explode="xs")
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert result.lost["x"] == Lost(5, 1, {"partition": 0, "offset": 1, "value": "?"})


def test_a_star_in_a_function_sees_nothing_of_ours(make_lab: MakeLab) -> None:
    lab = make_lab(step="SELECT id, CAST(n AS INT) AS m FROM input", format="parquet")
    steps = [{"sql": "SELECT id, CAST(n AS INT) AS m FROM input"},
             {"sql": "SELECT id, to_json(struct(input.*)) AS all FROM input"}]  # fmt: skip
    version = lab.metastore.get("t").version
    lab.metastore.update("t", {"transforms": steps}, version, "test")
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert result.lost == {}  # not known, which is not 0
    assert not any("_lake_cast" in row["all"] for row in lab.plain_rows())


STEP = "SELECT id, CAST(n AS INT) AS m, d FROM input"


def test_a_rule_nobody_can_hold_any_more_stops_the_load(make_lab: MakeLab) -> None:
    """A definition that came past the registration."""
    step = "SELECT id, coalesce(m, 0) AS m FROM (SELECT id, transform(xs, x -> coalesce(CAST(x AS "
    step += "INT), 0))[0] AS m FROM input)"
    lab = make_lab(Rule(column="m", cast=True, policy="quarantine"), step=step, format="parquet")
    lab.send_all(RECORDS)
    with pytest.raises(TransformError, match="no cast of m can be counted"):
        lab.cycle()


@pytest.mark.parametrize(
    "fields",
    [{"format": "parquet"}, {"mode": "upsert", "primary_key": ("id",)}],
    ids=["parquet", "upsert"],
)
def test_a_rule_puts_aside_what_a_cast_loses(make_lab: MakeLab, fields: dict[str, Any]) -> None:
    lab = make_lab(Rule(column="m", cast=True, policy="quarantine"), step=STEP, **fields)
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert reasons(lab) == {1: "m.cast", 3: "m.cast"}
    assert ids(lab) == [0, 2]
    broken = result.broken["m.cast"]
    assert (broken.rows, broken.samples[0]["value"]) == (2, "n/a")
    assert lost(result) == {"m": 2}
    assert result.applied.balance.difference == 0
    [again] = lab.load(replay=list(result.windows))
    assert (lost(again), ids(lab)) == ({"m": 2}, [0, 2])


def test_a_rule_keeps_or_stops_on_what_a_cast_loses(make_lab: MakeLab) -> None:
    lab = make_lab(Rule(column="M", cast=True), step=STEP, format="parquet")
    lab.send_all(RECORDS)
    [result] = lab.cycle()
    assert result.broken["M.cast"].rows == 2
    assert ids(lab) == [0, 1, 2, 3]
    change = {"rules": [{"column": "m", "cast": True, "policy": "block"}]}
    lab.metastore.update("t", change, lab.metastore.get("t").version, "test")
    lab.send({"id": 9, "n": "none", "d": "x"})
    with pytest.raises(RuleBrokenError, match=r"m\.cast is broken by 1 rows"):
        lab.cycle()
    assert ids(lab) == [0, 1, 2, 3]
    [incident] = lab.metastore.incidents("t", "OPEN")
    assert (incident.kind, incident.samples[0]["value"]["n"]) == ("rule", "none")


@pytest.mark.parametrize(
    ("column", "steps", "why"),
    [
        ("d", (STEP,), "no column of the last step with a cast"),
        ("m", (), "no step makes it"),
    ],
)
def test_a_rule_on_no_cast_is_refused(
    make_lab: MakeLab, column: str, steps: tuple[str, ...], why: str
) -> None:
    lab = make_lab(step=steps[0] if steps else "", format="parquet")
    dataset = replace(lab.dataset(), rules=(Rule(column=column, cast=True),))
    with pytest.raises(InvalidFieldError, match=why):
        check_rules(dataset)


def test_without_steps_nothing_turns_into_null(make_lab: MakeLab) -> None:
    """What does not fit a column is a verdict."""
    lab = make_lab(step="", format="parquet")
    lab.send_all([{"id": 1, "n": 5}, {"id": 2, "n": None}])
    [first] = lab.cycle()
    assert first.lost == {}
    lab.send_all([{"id": 3, "n": "n/a"}])
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    assert [row["n"] for row in lab.plain_rows()] == [5, None]
