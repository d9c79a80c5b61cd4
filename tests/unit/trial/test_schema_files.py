"""`lake try --schema-file`: the columns that a schema declares, without a registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lake_platform.cli.main import app

FIRST = {
    "type": "record", "name": "O",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal",
                                   "precision": 10, "scale": 2}},
    ],
}  # fmt: skip
SECOND = {
    "type": "record", "name": "O",
    "fields": [{"name": "id", "type": "long"}, {"name": "n", "type": ["null", "int"]}],
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.ndjson").write_text('{"id":1,"at":"2026-11-01T10:00:00Z","price":1.5}\n')
    (tmp_path / "more.ndjson").write_text('{"id":2,"n":null}\n')
    (tmp_path / "one.avsc").write_text(json.dumps(FIRST))
    (tmp_path / "two.avsc").write_text(json.dumps(SECOND))
    (tmp_path / "s.json").write_text(
        '{"properties":{"id":{"type":"integer"},"on":{"type":"string"}}}'
    )
    (tmp_path / "o.proto").write_text(
        'syntax="proto3"; import "google/protobuf/timestamp.proto"; message O { uint64 id = 1; '
        "google.protobuf.Timestamp at = 2; double price = 3; repeated string more = 4; }"
    )
    (tmp_path / "bad.proto").write_text('syntax="proto3"; import "x.proto";')
    return tmp_path


def tried(*line: str) -> Any:
    done = CliRunner().invoke(app, ["try", "o.ndjson", "--format", "parquet", "--json", *line])
    return done, json.loads(done.stdout) if done.stdout else None


@pytest.mark.usefixtures("files")
def test_each_batch_has_its_schema() -> None:
    one, two = ("--schema-file", "one.avsc"), ("--schema-file", "two.avsc")
    done, told = tried(*one, *two, "--batch", "more.ndjson")
    assert done.exit_code == 0, done.output
    assert {c["column"]: c["type"] for c in told["schema"]["columns"]} == {
        "id": "long", "at": "timestamp", "price": "decimal(10,2)", "n": "int",
    }  # fmt: skip
    assert [c["text"] for c in told["steps"][1]["changes"]] == ["new column n int"]
    assert told["definition"]["value_format"] == "avro"


@pytest.mark.usefixtures("files")
def test_a_json_schema_is_known_by_its_form() -> None:
    done, told = tried("--schema-file", "s.json")
    assert done.exit_code == 0, done.output
    assert told["definition"]["value_format"] == "json_schema"
    columns = {c["column"]: c["type"] for c in told["schema"]["columns"]}
    assert columns == {"id": "long", "on": "string", "at": "string", "price": "double"}


@pytest.mark.usefixtures("files")
def test_a_proto_is_known_by_its_name() -> None:
    done, told = tried("--schema-file", "o.proto")
    assert done.exit_code == 0, done.output
    assert told["definition"]["value_format"] == "protobuf"
    assert {c["column"]: c["type"] for c in told["schema"]["columns"]} == {
        "id": "decimal(20,0)", "at": "timestamp", "price": "double", "more": "array<string>",
    }  # fmt: skip


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("--field", "value_format=avro"), "give --schema-file"),
        (("--field", "value_format=json", "--schema-file", "one.avsc"), "leave out --schema-file"),
        (("--schema-file", "gone.proto"), "gone.proto"),
        (("--schema-file", "bad.proto"), "x.proto"),
        (("--schema-file", "more.ndjson"), "neither"), (("--schema-file", "gone"), "gone"),
    ],
)  # fmt: skip
def test_what_cannot_be(line: tuple[str, ...], says: str) -> None:
    done, _ = tried(*line)
    assert done.exit_code == 1
    assert says in done.output


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("said", "fits"), [("avro", True), ("auto", True), ("json_schema", False)])
def test_the_format_that_is_said_is_that_of_the_file(said: str, fits: bool) -> None:
    done, _ = tried("--schema-file", "one.avsc", "--value-format", said)
    assert (done.exit_code == 0) is fits
    if not fits:
        assert "one.avsc is avro; give avro" in done.stderr


@pytest.mark.usefixtures("files")
def test_change_events_in_a_file(tmp_path: Path) -> None:
    event = {"op": "c", "before": None, "after": {"id": 1}, "source": {"connector": "other"}}
    (tmp_path / "o.ndjson").write_text(f"{json.dumps(event)}\n{{}}\n")
    done, told = tried("--envelope", "debezium", "--mode", "append")
    assert done.exit_code == 0, done.output
    assert [r["id"] for r in told["rows"]] == [1]
    assert len(told["quarantine"]) == 1
