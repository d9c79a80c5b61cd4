"""`lake try` as it is typed; the session is the tests', all else the command's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.cli.main import app
from tests.step_jars import build_jar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Lake = Callable[..., Result]
_RECORDS = [
    {"key": "1", "value": {"id": 1, "v": 1.5}, "timestamp": 1793491200000},
    {"key": "2", "value_text": '{"id":2,"v":2}', "headers": {"h": "x"}},
    {"key": "2", "value": None},
    {"key": "3", "value_bytes": "AAAAAAd7fQ=="},
]
_BOOK = {"op": "add_column", "name": "at", "type": "timestamp"}


@pytest.fixture
def lake(
    tmp_path: Path, session: Callable[[], SparkSession], monkeypatch: pytest.MonkeyPatch
) -> Lake:
    session()  # what starts within a trial ends with it
    monkeypatch.setattr(compose, "spark_session", lambda _: session)
    monkeypatch.chdir(tmp_path)
    return lambda *line: CliRunner().invoke(app, ["try", *map(str, line)])


def _written(name: str, records: list[Any]) -> str:
    Path(name).write_text("".join(json.dumps(r) + "\n" for r in records))
    return name


def test_one_document_tells_all(lake: Lake) -> None:
    first = _written("first.ndjson", _RECORDS)
    new = {"id": 3, "v": 0.1, "at": "2026-11-01T10:00:00Z"}
    second = _written("second.ndjson", [{"value": new}])
    acts = _written("acts.json", [_BOOK, _BOOK, {"op": "replay"}])
    done = lake(
        first, "--records", "--mode", "upsert", "--key", "id", "--table", "orders",
        "--act", acts, "--batch", second, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    outcomes = [(s["kind"], s["outcome"]) for s in told["steps"]]
    assert outcomes == [
        ("batch", "applied"), ("act", "done"), ("act", "refused"), ("act", "applied"),
        ("batch", "applied"),
    ]  # fmt: skip
    assert told["steps"][0]["counts"] == {
        "records": 4, "written": 1, "deduplicated": 2, "deleted": 0, "dropped": 0,
        "quarantined": 1, "difference": 0, "exploded": 0, "quarantined_deletes": 0,
    }  # fmt: skip
    assert told["steps"][2]["error"]["field"] == "name"
    assert told["rows"] == [
        {"id": 1, "v": 1.5, "at": None, "_kafka_partition": 0, "_kafka_offset": 0},
        {**new, "_kafka_partition": 0, "_kafka_offset": 4},
    ]  # fmt: skip
    assert (told["rows_total"], told["rows_read_by"], told["errors"]) == (2, "hudi-rs", [])
    assert {"source": "at", "column": "at", "type": "timestamp"} in told["schema"]["columns"]
    (bad,) = told["quarantine"]
    assert (bad["source"], bad["line"], bad["key"]) == ("first.ndjson", 4, "3")
    assert [(c["name"], c["passed"]) for c in told["checks"]] == [
        ("balance", True), ("primary_key", True),
    ]  # fmt: skip
    assert told["definition"]["table"] == "orders"


def test_terminal_shows_what_waits_and_keeps_the_files(lake: Lake) -> None:
    first = _written("orders.ndjson", [{"id": n, "amount": n / 4} for n in range(30)])
    Path("next.ndjson").write_text('{"id":"x"}\n')
    done = lake(first, "--format", "parquet", "--batch", "next.ndjson", "--out", "kept")
    assert done.exit_code == 3, done.output
    assert "next.ndjson: waiting" in done.output
    assert "id" in done.output
    assert "the first 20 of 30" in done.output
    assert "orders.ndjson:20" in done.output
    assert "orders.ndjson:21" not in done.output
    with duckdb.connect() as database:
        found = database.execute("SELECT count(*), sum(amount) FROM 'kept/**/*.parquet'")
        assert found.fetchall() == [(30, sum(range(30)) / 4)]
    again = lake(first, "--out", "kept")
    assert again.exit_code == 1
    assert "is not empty" in again.output


def test_definition_as_code_with_a_step(lake: Lake) -> None:
    Path("orders.py").write_text(
        "from lake_platform.domain.dataset import Dataset, Transform\n"
        "orders = Dataset(topic='t', table='orders', format='parquet',\n"
        "                 transforms=(Transform(sql='SELECT id, upper(c) AS c FROM input'),))\n"
    )
    first = _written("r.ndjson", [{"id": 1, "c": "no"}])
    done = lake(first, "--definition", "orders.py", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(r["id"], r["c"]) for r in told["rows"]] == [(1, "NO")]
    assert told["schema"]["columns"][1] == {"source": "c", "column": "c", "type": "string"}
    assert [c["path"] for c in told["schema"]["source"]] == ["id", "c"]


def test_steps_of_all_kinds_in_the_order_they_stand_in(
    lake: Lake, java_home: Path, tmp_path: Path
) -> None:
    jar = build_jar(java_home, tmp_path / "example.jar")
    Path("orders.py").write_text(
        "from lake_platform.domain.dataset import Dataset, Transform\n"
        "from .words import MORE\n\n"
        "def tidy(frame):\n    return frame.withColumn('m', frame.n + MORE)\n\n"
        "orders = Dataset(topic='t', table='orders', format='parquet',\n"
        "                 transforms=(Transform.python(tidy),))\n"
    )
    Path("words.py").write_text("MORE = 1\n")
    first = _written("r.ndjson", [{"id": 1, "c": "alice", "n": 4}])
    done = lake(first, "--definition", "orders.py", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(r["id"], r["m"]) for r in told["rows"]] == [(1, 5)]
    assert len(told["definition"]["transforms"][0]["sha256"]) == 64
    code = {"kind": "jar", "jar": jar.path.name, "functions": {"masked": "example.Mask"}}
    done = lake(
        first, "--definition", "orders.py", "--json", "--step", json.dumps(code),
        "--sql", "SELECT id, masked(c) AS c, n FROM input",
        "--step", '{"kind": "python", "function": "orders:tidy"}',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(r["c"], r["m"]) for r in told["rows"]] == [("***ce", 5)]
    assert told["definition"]["transforms"][0]["sha256"] == jar.sha256
    wrong = json.dumps(code | {"sha256": "0" * 64})
    done = lake(first, "--format", "parquet", "--step", wrong, "--json")
    assert done.exit_code == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert error["field"] == "transforms.sha256"
    assert jar.sha256 in error["remedy"]
    assert "not JSON" in lake(first, "--step", "{").output


def test_refused_definition_is_a_document_too(lake: Lake) -> None:
    first = _written("r.ndjson", [{"id": 1}])
    done = lake(first, "--mode", "upsert", "--key", "nope", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["status"], told["rows"], told["steps"]) == (None, [], [])
    assert told["errors"][0]["field"] == "primary_key"
    shown = lake(first, "--mode", "upsert", "--key", "nope")
    assert "nope" in shown.output


def test_table_another_engine_cannot_read_is_shown_by_spark_as_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_platform.audit.tables import HudiReader
    from lake_platform.errors import TableUnreadableError

    def unreadable(*_: object) -> None:
        raise TableUnreadableError("r", "hudi-rs", "a block it does not know")

    monkeypatch.setattr(HudiReader, "schema", unreadable)
    done = lake(_written("r.ndjson", [{"id": 1, "v": None}, {"id": 2, "v": 0.1}]), "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["rows_read_by"] == "spark"
    assert [(r["id"], r["v"]) for r in told["rows"]] == [(1, None), (2, 0.1)]
    assert "a block it does not know" in told["errors"][0]["message"]
