"""`lake schema …`, and what a registration shows of the way from records to columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.metastore.repository import Repository
from tests.api.test_cli import Lake, data, kafka, lake, store

__all__ = ["kafka", "lake", "store"]
RECORDS = [
    {"id": 1, "@timestamp": "x", "userId": 1, "n": 5, "tags": "a", "none": None, "plain": True},
    {"id": 2, "@timestamp": "y", "userid": 2, "n": "five", "tags": ["a", "b"], "odd": {"a": 1}},
    {"id": 3, "@timestamp": "z", "userId": 3, "n": 6, "tags": ["c"], "odd": [1]},
]
SUMMARY = "columns: 1 renamed, 1 merged, 1 wrapped, 1 mixed as text, 1 json, 1 pending"


@pytest.fixture(autouse=True)
def events(kafka: MemoryKafka) -> None:
    kafka.create_topic("events")
    for record in RECORDS:
        kafka.produce("events", None, json.dumps(record).encode())


def add(lake: Lake, *more: str) -> str:
    result = lake("datasets", "add", "--topic", "events", "--table", "t", *more)
    assert result.exit_code == 0, result.output
    return result.stdout


def row(output: str, start: str) -> list[str]:
    """The cells of the one line of a table that begins so."""
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in output.splitlines()]
    [found] = [c for c in cells if c and c[0] == start]
    return found


def test_a_registration_shows_what_is_not_plain(lake: Lake) -> None:
    said = add(lake)
    assert SUMMARY in said
    assert row(said, '"@timestamp"')[1:4] == ["at_timestamp", "string", "renamed"]
    assert row(said, "n")[1:4] == ["n", "string", "text"]
    assert row(said, "userid")[1:6] == [
        "userId", "long", "alias", "differs from userId in case only", "33.3 %",
    ]  # fmt: skip
    assert row(said, "none")[1:4] == ["-", "-", "pending"]
    assert row(said, "tags")[2:4] == ["array<string>", "wrap"]
    assert "│ plain" not in said
    assert "│ id" not in said
    assert "all columns: lake schema show t" in said


def test_a_plain_topic_says_nothing_more(lake: Lake) -> None:
    result = lake("datasets", "add", "--topic", "orders", "--table", "o")
    assert "schema version 1 with 2 columns" in result.stdout
    assert "columns:" not in result.stdout
    assert "lake schema show" not in result.stdout


def test_many_lines_are_cut(lake: Lake, kafka: MemoryKafka) -> None:
    kafka.create_topic("wide")
    kafka.produce("wide", None, json.dumps({f"a.{n}": n for n in range(90)}).encode())
    said = lake("datasets", "add", "--topic", "wide", "--table", "w").stdout
    assert "columns: 90 renamed" in said
    assert "30 more with a rule" in said


def test_registration_as_json_and_code(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    text = "from lake_platform.domain.dataset import Dataset\n"
    (folder / "a.py").write_text(text + "d = Dataset(topic='events', table='one')\n")
    applied = lake("apply").stdout
    assert SUMMARY in applied
    assert row(applied, "tags")[3] == "wrap"
    (folder / "b.py").write_text(text + "d = Dataset(topic='events', table='two')\n")
    [outcome] = data(lake("apply", "--json"))["outcomes"]
    assert (outcome["table"], outcome["summary"]) == ("two", SUMMARY.removeprefix("columns: "))
    [renamed] = [m for m in outcome["mapping"] if "renamed" in m["rules"]]
    assert (renamed["source"], renamed["path"]) == ('"@timestamp"', ["@timestamp"])
    told = json.loads(add(lake, "--json"))
    assert told["summary"] == outcome["summary"]
    assert told["mapping"] == outcome["mapping"]


def test_show_has_every_column(lake: Lake, store: Repository) -> None:
    add(lake)
    said = lake("schema", "show", "t").stdout
    assert "t, schema version 1 (ACTIVE)" in said
    assert SUMMARY in said
    assert row(said, "plain")[1:4] == ["plain", "boolean", ""]
    assert row(said, "plain")[5:] == ["33.3 %", "true", "1"]
    assert row(said, "none")[1:4] == ["-", "-", "pending"]
    active = store.active_schema("t")
    assert active is not None
    wider = Struct((*active.source.fields, Field("extra", Scalar("date"))))
    store.add_schema_version("t", 1, wider, wider, ["ADD COLUMN extra date"], "bob")
    assert row(lake("schema", "show", "t").stdout, "extra")[1:] == [
        "extra", "date", "", "", "", "", "2",
    ]  # fmt: skip
    assert "│ extra" not in lake("schema", "show", "t", "--version", "1").stdout
    found = data(lake("schema", "show", "t", "--json"))
    assert (found["table"], found["schema"]["version"]) == ("t", 2)
    [extra] = [m for m in found["mapping"] if m["source"] == "extra"]
    assert (extra["version"], extra["type"], extra["share"]) == (2, "date", None)


def test_history_says_who_and_what(lake: Lake, store: Repository) -> None:
    add(lake)
    active = store.active_schema("t")
    assert active is not None
    wider = Struct((*active.source.fields, Field("extra", Scalar("date"))))
    store.add_schema_version("t", 1, wider, wider, ["ADD COLUMN extra date"], "bob")
    said = lake("schema", "history", "t").stdout
    assert row(said, "1")[1] == "SUPERSEDED"
    assert row(said, "1")[4] == "registered"
    assert row(said, "2")[1] == "ACTIVE"
    assert row(said, "2")[3:] == ["bob", "ADD COLUMN extra date"]
    versions = data(lake("schema", "history", "t", "--json"))["versions"]
    assert [v["actor"] for v in versions][1] == "bob"
    assert versions[0]["actor"]


def test_diff_of_two_versions(lake: Lake, store: Repository) -> None:
    add(lake)
    changed = Struct(
        (
            Field("id", Scalar("long"), aliases=("ID",)),
            Field("at_ts", Scalar("string"), key="@timestamp"),
            Field("extra", Scalar("date")),
        )
    )
    store.add_schema_version("t", 1, changed, changed, ["changed"], "bob")
    found = data(lake("schema", "diff", "t", "1", "--json"))
    assert (found["from"], found["to"]) == (1, 2)
    what = {(c["what"], c["column"], c["before"], c["after"]) for c in found["changes"]}
    assert ("added", "extra", "", "date") in what
    assert ("gone", "plain", "boolean", "") in what
    assert ("alias", "id", "", "ID") in what
    assert ("renamed", "at_ts", "at_timestamp", "at_ts") in what
    back = data(lake("schema", "diff", "t", "2", "1", "--json"))["changes"]
    [gone] = [c for c in back if c["what"] == "alias gone"]
    assert (gone["of"], gone["column"], gone["before"], gone["after"]) == ("record", "id", "ID", "")
    said = lake("schema", "diff", "t", "1").stdout
    assert "t, schema version 1 to 2" in said
    assert row(said, "renamed")[1:] == ["record", "at_ts", "at_timestamp", "at_ts"]
    assert "no difference" in lake("schema", "diff", "t", "2", "2").stdout


def test_export_is_yaml_of_hints(lake: Lake) -> None:
    add(lake)
    said = lake("schema", "export", "t").stdout
    assert said.startswith("# Columns of t, schema version 1. Only what differs")
    hints = {"odd": {"type": "json"}, "userId": {"aliases": ["userid"]}}
    assert yaml.safe_load(said) == {"columns": hints}
    found = data(lake("schema", "export", "t", "--json"))
    assert found == {"table": "t", "version": 1, "columns": hints}


def test_export_of_a_plain_table_says_that_there_is_nothing(lake: Lake) -> None:
    lake("datasets", "add", "--topic", "orders", "--table", "o")
    assert yaml.safe_load(lake("schema", "export", "o").stdout) == {"columns": {}}


def test_a_table_without_schema_says_so(lake: Lake, kafka: MemoryKafka) -> None:
    kafka.create_topic("none")
    lake("datasets", "add", "--topic", "none", "--table", "n")
    for command in ("show", "history"):
        assert "n has no schema yet: its topic is empty" in lake("schema", command, "n").stdout
    assert data(lake("schema", "show", "n", "--json"))["schema"] is None
    refused = lake("schema", "export", "n")
    assert (refused.exit_code, "no schema yet" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nope"], "dataset 'nope' is not registered"),
        (["history", "nope"], "dataset 'nope' is not registered"),
        (["diff", "nope", "1"], "dataset 'nope' is not registered"),
        (["export", "nope"], "dataset 'nope' is not registered"),
        (
            ["show", "t", "--version", "7"],
            "version=7: there is no such schema version of t;",
        ),
        (["show", "t", "--version", "x"], "version='x': not a schema version; give a"),
        (["show", "t", "--version", "0"], "version='0': not a schema version"),
        (["show", "t", "--version", "9" * 40], "there is no such schema version of t"),
        (["diff", "t", "1", "2"], "version=2: there is no such schema version of t"),
        (["diff", "t", "one"], "version='one': not a schema version"),
    ],
)
def test_bad_input_is_one_sentence(lake: Lake, arguments: list[str], said: str) -> None:
    add(lake)
    result = lake("schema", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
