"""SQL of a definition: what a step and a `delete_when` may say, before any engine sees it."""

from __future__ import annotations

import pytest

from lake_platform import compose
from lake_platform.adapters.spark.transforms import check_predicate, check_select, output_columns
from lake_platform.domain.dataset import Dataset, Transform
from lake_platform.errors import InvalidFieldError


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM input",
        "SELECT i.id FROM INPUT i WHERE i.id > 0",
        "WITH a AS (SELECT * FROM input) SELECT * FROM a",
        "SELECT id, item FROM input LATERAL VIEW explode(items) t AS item",
        "SELECT transform(items, x -> x.a) AS names FROM input",
    ],
)
def test_step_over_input_is_taken(sql: str) -> None:
    check_select(sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM other", "reads other"),
        ("SELECT * FROM input JOIN other ON true", "reads other"),
        ("SELECT * FROM lake.input", "reads lake.input"),
        ("SELECT * FROM json.`/etc/passwd`", "/etc/passwd"),
        ("SELECT * FROM input WHERE id IN (SELECT id FROM x)", "reads x"),
        ("SELECT * FROM identifier('other')", "reads"),
        ("SELECT * FROM range(10)", "reads"),
        ("SELECT 1", "reads nothing"),
        ("SELECT '${env:AWS_SECRET_ACCESS_KEY}' AS x FROM input", "variable of Spark"),
        ("SELECT reflect('java.lang.System', 'getenv', 'X') FROM input", "calls reflect"),
        ("SELECT builtin.java_method('a', 'b') FROM input", "calls java_method"),
        ("SELECT TRANSFORM(a) USING 'cat' AS (b) FROM input", "runs a program"),
        ("SELECT id FROM input; DROP TABLE x", "not one plain SELECT"),
    ],
)
def test_step_that_reaches_out_is_refused(sql: str, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said) as caught:
        check_select(sql)
    assert caught.value.field == "transforms.sql"


@pytest.mark.parametrize(
    "sql", ["op = 'd'", "deleted", "NOT active", "a.b IS NULL", "exists(items, x -> x.a = 1)"]
)
def test_condition_is_taken(sql: str) -> None:
    check_predicate(sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("garbage (((", "mend the condition"),
        ("1=1); DROP TABLE x", "mend the condition"),
        ("op = 'd'; DROP TABLE x", "not one condition"),
        ("SELECT true", "not one condition"),
        ("op AS x", "not one condition"),
        ("id IN (SELECT id FROM input)", "beyond its row"),
        ("count(*) > 1", "beyond its row"),
        ("op = '${env:HOME}'", "variable of Spark"),
        ("reflect('a', 'b')", "calls reflect"),
    ],
)
def test_what_is_no_condition_is_refused(sql: str, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said) as caught:
        check_predicate(sql)
    assert caught.value.field == "delete_when"


def test_columns_of_a_step_are_known_unless_only_the_engine_can_tell() -> None:
    assert output_columns("SELECT id, lower(a) AS b FROM input") == ["id", "b"]
    for open_ended in ("SELECT *, 1 AS one FROM input", "SELECT inline(items) FROM input"):
        assert output_columns(open_ended) is None


def test_key_that_the_last_step_does_not_give_is_named() -> None:
    steps = (Transform(sql="SELECT * FROM input"), Transform(sql="SELECT id FROM input"))
    dataset = Dataset(topic="t", table="t", mode="upsert", primary_key=("zz",), transforms=steps)
    with pytest.raises(InvalidFieldError, match=r"primary_key='zz'.*columns are: id"):
        compose.check_steps(dataset)
    compose.check_steps(dataset.with_changes({"primary_key": ("id",)}))
