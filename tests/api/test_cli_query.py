"""`lake datasets query`: answers, their forms, and what the SQL cannot do. Real Parquet tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lake_platform.cli.main import app
from lake_platform.query.tables import ParquetTable
from tests.audit_support import parquet_lab, without_spark
from tests.support import Lab

Lake = Callable[..., Result]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    without_spark(monkeypatch)
    made = parquet_lab(tmp_path / "home", source=None, partition_by=("day",))
    made.send_all([{"id": n, "day": f"d{n % 3}", "amount": n / 2} for n in range(12)])
    made.cycle()
    yield made
    made.close()


@pytest.fixture
def lake(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("LAKE_HOME", str(lab.home))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, ["datasets", "query", *arguments], **options)

    return run


def rows(result: Result) -> list[list[Any]]:
    assert result.exit_code == 0, result.output
    found: list[list[Any]] = json.loads(result.stdout)["rows"]
    return found


def test_a_table_and_a_word_of_how_many(lake: Lake) -> None:
    result = lake("t", "SELECT day, sum(amount) AS total FROM t GROUP BY day ORDER BY day")
    assert result.exit_code == 0, result.output
    for part in ("total", "d0", "9.0", "d2", "3 rows"):
        assert part in result.output


def test_json_and_csv_are_one_document_each(lake: Lake) -> None:
    sql = "SELECT id, day FROM t ORDER BY id"
    plain = json.loads(lake("t", sql, "--json", "--limit", "2").stdout)
    assert plain["columns"] == ["id", "day"]
    assert plain["rows"] == [[0, "d0"], [1, "d1"]]
    assert plain["cut"]
    result = lake("t", sql, "--csv", "--limit", "2")
    assert list(csv.reader(io.StringIO(result.stdout))) == [["id", "day"], ["0", "d0"], ["1", "d1"]]
    assert "the first 2 rows; there are more: --limit N" in result.stderr
    assert len(json.loads(lake("t", sql, "--json", "--limit", "0").stdout)["rows"]) == 12
    refused = lake("t", sql, "--csv", "--json")
    assert refused.exit_code == 1
    assert "give one of them" in refused.stderr


def test_every_type_comes_whole(lab: Lab, lake: Lake) -> None:
    lab.register(
        "u", format="parquet",
        columns={
            "d": {"type": "decimal(20,4)"}, "at": {"type": "timestamp"}, "on": {"type": "date"},
            "raw": {"type": "binary"}, "m": {"type": "map"}, "j": {"type": "json"},
        },
    )  # fmt: skip
    lab.send(
        {"d": 1234567890123456.7891, "at": "2026-11-01T12:00:00.5Z", "on": "0001-01-01",
         "raw": "aGk=", "m": {"a": 1}, "j": {"x": [1.10]}, "o": {"list": [{"a": 1}]}, "none": None},
        table="u",
    )  # fmt: skip
    lab.send(
        b'{"d": 1.5, "at": "9999-12-31T00:00:00Z", "on": "9999-12-31", "raw": "aGk=", "m": {},'
        b' "j": null, "o": {"list": []}}',
        table="u",
    )
    lab.cycle("u")
    found = rows(lake("u", 'SELECT d, "at", "on", raw, m, j, o FROM u ORDER BY d DESC', "--json"))
    first, last = found
    assert first[1:] == [
        "2026-11-01T12:00:00.500000+00:00", "0001-01-01", "aGk=", {"a": 1}, '{"x": [1.1]}',
        {"list": [{"a": 1}]},
    ]  # fmt: skip
    assert first[0].startswith("123456789012345")
    assert last[:3] == ["1.5000", "9999-12-31T00:00:00+00:00", "9999-12-31"]
    odd = "SELECT 'nan'::FLOAT, 1e308 * 10, INTERVAL 1 DAY, uuid() IS NOT NULL, 5::HUGEINT"
    assert rows(lake("u", odd, "--json"))[0][:2] == ["nan", "inf"]


def test_a_table_that_grew_is_read_as_one(lab: Lab, lake: Lake) -> None:
    lab.send({"id": 100, "day": "d9", "amount": 1, "o": {"a": 1}})
    lab.cycle()
    lab.send({"id": 101, "day": "d9", "amount": 1, "o": {"a": 2, "b": [{"c": "x"}]}, "new": True})
    lab.cycle()
    lab.send({"id": 102, "day": "d9", "amount": 1, "o": {"b": [{"c": "y", "d": 1.5}]}})
    lab.cycle()
    found = rows(lake("t", "SELECT id, o, new FROM t WHERE id IN (1, 100, 101, 102) ORDER BY id",
                      "--json"))  # fmt: skip
    assert found == [
        [1, None, None],
        [100, {"a": 1, "b": None}, None],
        [101, {"a": 2, "b": [{"c": "x", "d": None}]}, True],
        [102, {"a": None, "b": [{"c": "y", "d": 1.5}]}, None],
    ]


def test_a_name_that_needs_quotes_has_one_that_does_not(lab: Lab, lake: Lake) -> None:
    lab.register("my-orders.v2", format="parquet")
    lab.send({"id": 1}, table="my-orders.v2")
    lab.cycle("my-orders.v2")
    assert rows(lake("my-orders.v2", 'SELECT id FROM "my-orders.v2"', "--json")) == [[1]]
    assert rows(lake("my-orders.v2", "SELECT id FROM my_orders_v2", "--json")) == [[1]]
    result = lake("my-orders.v2", "SELECT id FROM orders")
    assert 'the table is called "my-orders.v2" or my_orders_v2' in result.stderr

    result = lake("my-orders.v2", "SELECT id FROM my-orders.v2")
    assert 'mend the SELECT (DuckDB\'s SQL); the table is called "my-orders.v2"' in result.stderr


def test_a_file_that_goes_while_it_is_read_is_not_the_fault_of_the_sql(
    lab: Lab, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, file = ParquetTable.put_in, next((lab.home / "storage/lake/t").rglob("*.parquet"))

    def put_in(self: ParquetTable, *arguments: Any) -> None:
        real(self, *arguments)
        file.unlink(missing_ok=True)

    monkeypatch.setattr(ParquetTable, "put_in", put_in)
    result = lake("t", "SELECT sum(id) FROM t")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: table 't': Arrow cannot read it")
    assert "ask again" in result.stderr


def test_sql_from_stdin_and_joins_with_itself(lake: Lake) -> None:
    sql = "WITH a AS (SELECT * FROM t) SELECT count(*) FROM a JOIN t USING (id);"
    assert rows(lake("t", "-", "--json", input=sql)) == [[12]]
    assert rows(lake("t", "FROM t SELECT count(*)", "--json")) == [[12]]
    assert "id" in str(rows(lake("t", "DESCRIBE t", "--json")))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('{root}/lake/t/**/*.parquet')",
        "SELECT * FROM read_csv('https://127.0.0.1:1/x')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM settings",
        "SELECT * FROM answer",
        "SELECT * FROM files",
    ],
)
def test_the_sql_reads_nothing_but_the_table(lab: Lab, lake: Lake, sql: str) -> None:
    result = lake("t", sql.format(root=lab.home / "storage"))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: sql="), result.stderr
    assert "only the table t can be read here" in result.stderr or "called t;" in result.stderr


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{root}/out.csv'", "ATTACH '{root}/out.db'", "SET threads = 1",
        "CREATE TABLE x AS SELECT 1", "DELETE FROM t", "DROP VIEW t", "PRAGMA version",
        "INSTALL httpfs", "LOAD httpfs", "CALL duckdb_functions()", "EXPLAIN ANALYZE SELECT 1",
        "INSERT INTO t SELECT * FROM t", "EXPORT DATABASE '{root}/out'", "CHECKPOINT", "VACUUM",
        "PREPARE x AS SELECT 1", "BEGIN",
    ],
)  # fmt: skip
def test_nothing_but_a_select_is_taken(lab: Lab, lake: Lake, sql: str) -> None:
    result = lake("t", sql.format(root=lab.home))
    assert result.exit_code == 1
    assert "tables are read here and never changed: a SELECT" in result.stderr
    assert not list(lab.home.glob("out*"))


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("", "give one SELECT"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT 1; DROP TABLE t", "2 statements"),
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM t", "lake schema show t"),
        ("SELECT CAST('x' AS INT)", "mend the SELECT"),
    ],
)
def test_sql_that_is_wrong_is_told_so(lake: Lake, sql: str, told: str) -> None:
    result = lake("t", sql)
    assert result.exit_code == 1
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_table_without_rows_yet_and_one_that_is_not_there(lab: Lab, lake: Lake) -> None:
    lab.register("empty", format="parquet")
    result = lake("empty", "SELECT 1")
    assert result.exit_code == 1
    assert "nothing is loaded, so there is no table yet; load it first" in result.stderr
    assert "is not registered" in lake("nope", "SELECT 1").stderr
    assert "give a number of rows" in lake("t", "SELECT 1", "--limit", "-1").stderr
