"""SQL of a definition: what a step and a `delete_when` may say, before any engine sees it."""

from __future__ import annotations

import pytest

from lake_platform.adapters.spark.carry import carry
from lake_platform.adapters.spark.transforms import (
    check_predicate,
    check_select,
    check_steps,
    output_columns,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM input",
        "SELECT i.id FROM INPUT i WHERE i.id > 0",
        "WITH a AS (SELECT * FROM input) SELECT * FROM a",
        "SELECT user, `current_date`, x AS now, a IS NOT DISTINCT FROM b AS same FROM input",
        "SELECT a FROM (SELECT b AS a FROM input WHERE b LIKE ANY ('x%', 'y%')) WHERE a > ''",
        "SELECT unix_timestamp(at) AS s, date '2026-11-01' AS d FROM input",
        "SELECT aggregate(items, 0, (a, x) -> a + x) AS s, after.* FROM input",
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
    ("sql", "said"),
    [
        (
            "SELECT id, item FROM input LATERAL VIEW explode(items) t AS item",
            "calls explode.*field explode",
        ),
        ("SELECT id, explode(items) AS item FROM input", "calls explode"),
        ("SELECT inline(items) FROM input", "calls inline"),
        ("SELECT stack(2, a, b) FROM input", "calls stack"),
        ("SELECT id, count(*) OVER () AS n FROM input", "calls count"),
        ("SELECT id, row_number() OVER (ORDER BY id) AS n FROM input", "calls row_number"),
        ("SELECT count(*) AS n FROM input", "calls count.*aggregate"),
        ("SELECT uuid() AS id FROM input", "calls uuid.*another result each time"),
        ("SELECT `uuid`() AS id FROM input", "calls uuid"),
        ("SELECT system.builtin.rand(7) AS r FROM input", "calls rand"),
        ("SELECT transform(items, x -> x * rand()) AS r FROM input", "calls rand"),
        ("SELECT current_date AS d FROM input", "calls current_date.*backticks"),
        ("SELECT id FROM input WHERE at < now()", "calls now"),
        ("SELECT unix_timestamp() AS s FROM input", "calls unix_timestamp"),
        ("SELECT CAST('today' AS DATE) AS d FROM input", "'today' is the date of the run"),
        ("SELECT timestamp 'now' AS d FROM input", "'now' is the date of the run"),
        ("SELECT id FROM input TABLESAMPLE (10 PERCENT)", "TABLESAMPLE mixes"),
        ("SELECT a.id FROM input a JOIN input b ON a.id = b.id", "JOIN mixes"),
        ("SELECT id FROM input WHERE id IN (SELECT id FROM input)", "inside of an expression"),
        ("SELECT id, (SELECT a FROM input) AS a FROM input", "inside of an expression"),
        ("SELECT id FROM (SELECT * FROM input UNION ALL SELECT * FROM input)", "UNION mixes"),
        ("SELECT DISTINCT id FROM input", "DISTINCT mixes"),
        ("SELECT id FROM input LIMIT 5", "LIMIT mixes"),
        ("SELECT * EXCEPT (a) FROM input", "not in Spark 3.5"),
        ("SELECT id, email, lower(email) AS email FROM input", "gives column email twice"),
        ("SELECT id, id AS ID FROM input", "columns id, ID, which differ only in case"),
        ("SELECT id, 1 AS _kafka_offset FROM input", "_kafka_offset.*are ours"),
        ("WITH a(x) AS (SELECT id FROM input) SELECT x FROM a", "names columns in brackets"),
        ("FROM input SELECT id", "FROM comes before SELECT"),
    ],
)
def test_step_that_is_not_one_row_for_one_row_is_refused(sql: str, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        check_select(sql)


@pytest.mark.parametrize(
    ("sql", "carried"),
    [
        ("SELECT id FROM input", "SELECT id , `_k` FROM input"),
        ("SELECT * FROM input", "SELECT * FROM input"),
        ("SELECT i.* FROM input i -- all\n", "SELECT i.* FROM input i -- all\n"),
        ("SELECT after.* FROM input", "SELECT after.* , `_k` FROM input"),
        ("SELECT f(struct(*)) AS j FROM input", "SELECT f(struct(*)) AS j , `_k` FROM input"),
        ("SELECT a * 2 AS b, _k FROM input", "SELECT a * 2 AS b, _k FROM input"),
        ("WITH c AS (SELECT a FROM input) SELECT * FROM c",
         "WITH c AS (SELECT a , `_k` FROM input) SELECT * FROM c"),
        ("SELECT extract(YEAR FROM t) AS y FROM (SELECT t FROM input)",
         "SELECT extract(YEAR FROM t) AS y , `_k` FROM (SELECT t , `_k` FROM input)"),
    ],
)  # fmt: skip
def test_coordinates_are_put_into_the_text_as_it_was_typed(sql: str, carried: str) -> None:
    assert carry(sql, ["_k"])[0] == carried


def test_where_becomes_a_column_where_filtered_records_delete() -> None:
    sql = "WITH a AS (SELECT * FROM input WHERE x OR y) SELECT id FROM a WHERE z -- so"
    assert carry(sql, ["_k"], flags=["_lake_passed_0"])[0] == (
        "WITH a AS (SELECT * , coalesce((x OR y), false) AS `_lake_passed_1` FROM input ) "
        "SELECT id , `_k`, `_lake_passed_0`, `_lake_passed_1`, "
        "coalesce((z), false) AS `_lake_passed_2` FROM a  -- so"
    )


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
        ("rand() < 0.5", "calls rand"),
        ("expires < current_timestamp", "calls current_timestamp"),
        ("exists(explode(items), x -> x)", "calls explode"),
    ],
)
def test_what_is_no_condition_is_refused(sql: str, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said) as caught:
        check_predicate(sql)
    assert caught.value.field == "delete_when"


def test_columns_of_a_step_are_known_unless_only_the_engine_can_tell() -> None:
    assert output_columns("SELECT id, lower(a) AS b FROM input") == ["id", "b"]
    for open_ended in ("SELECT *, 1 AS one FROM input", "SELECT after.* FROM input"):
        assert output_columns(open_ended) is None


def test_star_that_would_see_the_flags_is_refused() -> None:
    steps = (Transform(sql="SELECT id, to_json(struct(*)) AS j FROM input WHERE id > 0"),)
    dataset = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",), transforms=steps)
    check_steps(dataset)
    with pytest.raises(InvalidFieldError, match=r"filtered='delete': a star inside.*STRUCT"):
        check_steps(dataset.with_changes({"filtered": "delete"}))


def test_key_that_the_last_step_does_not_give_is_named() -> None:
    steps = (Transform(sql="SELECT * FROM input"), Transform(sql="SELECT id FROM input"))
    dataset = Dataset(topic="t", table="t", mode="upsert", primary_key=("zz",), transforms=steps)
    with pytest.raises(InvalidFieldError, match=r"primary_key='zz'.*columns are: id"):
        check_steps(dataset)
    check_steps(dataset.with_changes({"primary_key": ("id",)}))
