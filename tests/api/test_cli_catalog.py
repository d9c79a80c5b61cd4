"""`lake catalog`: against Glue's API (moto) and a real Parquet table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.cli.main import app
from lake_platform.settings import load_settings
from tests.api.over_api import VIEWER, served
from tests.audit_support import parquet_lab, without_spark
from tests.glue_server import aws_keys, glue_client, glue_url
from tests.support import Lab

__all__ = ["aws_keys", "glue_client", "glue_url"]
Lake = Callable[..., Result]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    without_spark(monkeypatch)
    made = parquet_lab(tmp_path / "home", partition_by=("day",), catalog="glue")
    yield made
    made.close()


@pytest.fixture
def database() -> str:
    return f"db_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def lake(
    lab: Lab,
    glue_url: str,
    aws_keys: None,  # noqa: ARG001 - sets the environment
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Lake:
    monkeypatch.setenv("LAKE_HOME", str(lab.home))
    monkeypatch.setenv("LAKE_GLUE_ENDPOINT_URL", glue_url)
    monkeypatch.setenv("LAKE_GLUE_DATABASE", database)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["catalog", *arguments])

    return run


def test_a_table_comes_into_glue_and_follows_its_schema(
    lab: Lab, lake: Lake, glue_client: Any, database: str
) -> None:
    assert "nothing is loaded yet" in lake("sync", "t").output
    lab.send_all([{"id": n, "day": f"d{n % 3}", "o": {"a": n}} for n in range(9)])
    lab.cycle()
    assert lake("check", "t").exit_code == 1
    done = lake("sync", "t")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"made Glue database '{database}'", "t: created, partitions: 3 added"
    ]  # fmt: skip
    assert "agree" in lake("check", "t").output
    assert "t: same" in lake("sync", "t").output
    lab.send({"id": 10, "day": "d9", "o": {"a": 1, "b": [1.5]}, "new": "x"})
    lab.cycle()
    found = json.loads(lake("check", "t", "--json").stdout)
    assert not found["sound"]
    assert {d["what"] for d in found["differences"]} >= {"o", "new", "partition d9"}
    done = json.loads(lake("sync", "t", "--json").stdout)["entries"][0]
    assert (done["action"], done["added"], done["updated"]) == ("updated", 1, 3)
    table = glue_client.get_table(DatabaseName=database, Name="t")["Table"]
    columns = {c["Name"]: c["Type"] for c in table["StorageDescriptor"]["Columns"]}
    assert columns["o"] == "struct<a:bigint,b:array<double>>"
    assert columns["new"] == "string"
    assert columns["_kafka_timestamp"] == "timestamp"
    assert [k["Name"] for k in table["PartitionKeys"]] == ["lake_part_day"]
    assert lake("check", "t").exit_code == 0


def loaded_beside_theirs(lab: Lab, glue_client: Any, database: str) -> None:
    """A row in `t`, and a table of that name in Glue that somebody else made."""
    lab.send({"id": 1, "day": "d1"})
    lab.cycle()
    glue_client.create_database(DatabaseInput={"Name": database})
    theirs = {"Name": "t", "StorageDescriptor": {"Location": "s3://theirs", "Columns": []}}
    glue_client.create_table(DatabaseName=database, TableInput=theirs)


def test_a_table_of_another_owner_is_never_touched(
    lab: Lab, lake: Lake, glue_client: Any, database: str
) -> None:
    loaded_beside_theirs(lab, glue_client, database)
    for command in (["sync", "t"], ["check", "t"], ["drop", "t", "--yes"]):
        result = lake(*command)
        assert result.exit_code == 1
        said = str(result.stderr)
        assert "there is a table 't' that was not made by this platform" in said, command
        assert "s3://theirs" in said
    found = glue_client.get_table(DatabaseName=database, Name="t")["Table"]
    assert found["StorageDescriptor"]["Location"] == "s3://theirs"
    assert glue_client.get_partitions(DatabaseName=database, TableName="t")["Partitions"] == []


def test_what_was_changed_by_hand_is_found_and_made_good(
    lab: Lab, lake: Lake, glue_client: Any, database: str
) -> None:
    lab.send({"id": 1, "day": "d1"})
    lab.cycle()
    lake("sync", "t")
    table = glue_client.get_table(DatabaseName=database, Name="t")["Table"]
    table["StorageDescriptor"]["Columns"][0]["Type"] = "string"
    table["Parameters"]["theirs"] = "kept"
    names = ("Name", "StorageDescriptor", "PartitionKeys", "Parameters", "TableType")
    glue_client.update_table(DatabaseName=database, TableInput={n: table[n] for n in names})
    result = lake("check", "t")
    assert result.exit_code == 1
    assert "bigint" in result.output and "string" in result.output
    assert "lake catalog sync t" in result.output
    lake("sync", "t")
    assert lake("check", "t").exit_code == 0
    table = glue_client.get_table(DatabaseName=database, Name="t")["Table"]
    assert table["Parameters"]["theirs"] == "kept"


def test_dropping_leaves_the_files_and_the_next_sync_brings_it_back(lab: Lab, lake: Lake) -> None:
    lab.send({"id": 1, "day": "d1"})
    lab.cycle()
    lake("sync", "t")
    assert "dropped t" in lake("drop", "t", "--yes").output
    assert "it was not there" in lake("drop", "t", "--yes").output
    assert len(list((lab.home / "storage/lake/t").rglob("*.parquet"))) == 1
    assert "t: created, partitions: 1 added" in lake("sync", "t").output


def test_a_column_that_an_operator_added_waits_for_the_next_load(lab: Lab, lake: Lake) -> None:
    lab.send({"id": 1, "day": "d1"})
    lab.cycle()
    lake("sync", "t")
    settings = load_settings(lab.home)
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka, settings=settings)
    use_cases.add_column("t", "later", "string", "test")
    result = lake("check", "t")
    assert result.exit_code == 0, result.output
    assert "comes with the next load" in result.output
    lab.send({"id": 2, "day": "d1", "later": "x"})
    lab.cycle()
    assert lake("check", "t").exit_code == 1  # Glue does not have it yet
    lake("sync", "t")
    use_cases.drop_column("t", "later", "test")
    assert lake("check", "t").exit_code == 0
    lab.send({"id": 3, "day": "d1"})
    lab.cycle()
    assert lake("sync", "t").exit_code == 0
    assert lake("check", "t").exit_code == 0


def test_a_dataset_that_is_to_be_in_no_catalog_says_how_it_gets_there(lab: Lab, lake: Lake) -> None:
    lab.register("u", format="parquet")
    result = lake("sync", "u")
    assert result.exit_code == 1
    assert "u is to be in no catalog" in result.stderr
    assert "lake datasets set u catalog=glue" in result.stderr


def test_glue_that_does_not_answer_is_named(
    lab: Lab, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.send({"id": 1, "day": "d1"})
    lab.cycle()
    monkeypatch.setenv("LAKE_GLUE_ENDPOINT_URL", "http://127.0.0.1:9")
    result = lake("sync", "t")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.stderr
    assert "LAKE_GLUE_ENDPOINT_URL" in result.stderr
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = lake("sync", "t")
    assert result.exit_code == 1
    assert "credentials" in result.stderr


def test_the_same_over_the_api(
    lab: Lab, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.register("u", format="parquet")
    with served(monkeypatch, tmp_path / "client") as over:

        def alike(*command: str, code: int = 0) -> str:
            here, there = lake(*command), over.run("catalog", *command)
            assert (here.exit_code, there.exit_code) == (code, code), here.output + there.output
            assert here.output == there.output
            return there.output

        assert "nothing is loaded yet" in alike("check", "t")
        assert "nothing is loaded yet" in alike("sync", "t")
        lab.send_all([{"id": n, "day": f"d{n % 3}"} for n in range(9)])
        lab.cycle()
        refused = over.run("catalog", "sync", "t", token=VIEWER)
        assert (refused.exit_code, "needs the role editor" in refused.output) == (1, True)
        assert "lake catalog sync t" in alike("check", "t", code=1)
        assert not json.loads(alike("check", "t", "--json", code=1))["sound"]
        done = over.data("catalog", "sync", "t")
        assert (done["made_database"], done["entries"][0]["added"]) == (True, 3)
        lab.send({"id": 10, "day": "d9"})
        lab.cycle()
        assert "t: updated, partitions: 1 added" in over.run("catalog", "sync", "t").output
        alike("sync", "t")
        assert "agree" in alike("check", "t")
        looked = over.run("catalog", "check", "t", token=VIEWER)
        assert (looked.exit_code, "agree" in looked.output) == (0, True)
        assert "u is to be in no catalog" in alike("sync", "u", code=1)
        assert "is not registered" in alike("check", "none", code=1)


def test_what_glue_refuses_is_told_over_the_api(
    lab: Lab,
    lake: Lake,
    glue_client: Any,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded_beside_theirs(lab, glue_client, database)
    with served(monkeypatch, tmp_path / "client") as over:
        for command in ("sync", "check"):
            here, there = lake(command, "t"), over.run("catalog", command, "t")
            assert here.exit_code == there.exit_code == 1
            assert there.stderr == here.stderr
            assert "s3://theirs" in there.stderr
    monkeypatch.setenv("LAKE_GLUE_ENDPOINT_URL", "http://127.0.0.1:9")
    with served(monkeypatch, tmp_path / "client") as over:
        away = over.run("catalog", "check", "t")
        assert away.exit_code == 1
        assert "http://127.0.0.1:9" in away.stderr
