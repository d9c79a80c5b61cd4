"""What `lake` over the API has Dagster do: the same words as on the metastore itself where it is
the same thing, and else the run that was started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.domain.quality import Reason
from lake_platform.metastore.repository import Repository
from tests.api.over_api import DAGSTER, VIEWER, OverApi, served
from tests.api.test_cli import Lake, data, kafka, lake, store

__all__ = ["kafka", "lake", "store"]
AT_MS = 1_790_000_000_000
HOUR = "2026-09-21-14:00"


@pytest.fixture
def table(kafka: MemoryKafka, lake: Lake) -> None:
    """`t`: two rows, and a record in quarantine whose amount does not fit."""
    kafka.create_topic("events")
    made = lake(
        "datasets", "add", "--topic", "events", "--table", "t", "--format", "parquet",
        "--partition-by", "day",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert lake("datasets", "set", "t", "on_conflict=quarantine").exit_code == 0
    for amounts in ([1, 2], ["many"]):
        for n, amount in enumerate(amounts):
            value = json.dumps({"id": n, "day": f"d{n}", "amount": amount}).encode()
            kafka.produce("events", None, value, timestamp_ms=AT_MS)
        for phase in ("dump", "load"):
            done = lake(phase, "t")
            assert done.exit_code == 0, done.output


@pytest.fixture
def over(table: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OverApi]:  # noqa: ARG001
    with served(monkeypatch, tmp_path / "client") as made:
        yield made
    assert not (tmp_path / "client").exists()


def test_what_changes_nothing_is_the_same(lake: Lake, over: OverApi) -> None:
    for command in (
        ["quarantine", "redrive", "t", "--dry-run"],
        ["quarantine", "redrive", "t", "--dry-run", "--rescued"],
        ["quarantine", "redrive", "t", "--dry-run", "--reason", "null_key"],
        ["quarantine", "redrive", "t", "--dry-run", "--window", HOUR, "--version", "1"],
        ["quarantine", "redrive", "t", "--reason", "null_key"],  # there is nothing to do
        ["replay", "t", "--all", "--dry-run"], ["replay", "t", "--from", HOUR, "--dry-run"],
        ["rebuild", "t", "--abort"], ["rebuild", "t", "--abort", "--json"],
    ):  # fmt: skip
        here, there = lake(*command), over.run(*command)
        assert (here.exit_code, here.output) == (there.exit_code, there.output) == (0, here.output)
        if "--dry-run" in command:
            assert data(lake(*command, "--json")) == over.data(*command)
    assert over.dagster.launched == []


def test_what_is_refused_is_refused_in_the_same_words(lake: Lake, over: OverApi) -> None:
    for command in (
        ["quarantine", "redrive", "none"], ["quarantine", "redrive", "t", "--reason", "no such"],
        ["quarantine", "redrive", "t", "--rescued", "--version", "1"],
        ["replay", "t"], ["replay", "t", "--window", "yesterday"],
        ["replay", "t", "--window", "2020-01-01-00:00"], ["replay", "none", "--all"],
        ["rebuild", "t"], ["rebuild", "t", "--change", "topic=x"],
        ["rebuild", "t", "--change", "nonsense=1"], ["rebuild", "none", "--abort"],
        ["schema", "rename", "t", "none", "x"], ["schema", "rename", "t", "amount", "id"],
        ["schema", "rename", "none", "amount", "x"], ["schema", "alias", "t", "amount", "amount"],
        ["preview", "none", "--change", "owner=x"], ["preview", "t", "--change", "topic=x"],
    ):  # fmt: skip
        here, there = lake(*command), over.run(*command)
        assert (here.exit_code, there.exit_code) == (1, 1), command
        assert here.output.splitlines()[-1] == there.output.splitlines()[-1]
        assert there.output.startswith("error: ")
    assert over.dagster.launched == []


def test_a_redrive_says_its_plan_and_its_run(lake: Lake, over: OverApi) -> None:
    done = over.run("quarantine", "redrive", "t", "--reason", "conflict", "--window", HOUR)
    assert done.exit_code == 0, done.output
    planned = lake("quarantine", "redrive", "t", "--window", HOUR, "--dry-run").output
    assert done.output == planned + (
        f"t: started the Dagster job redrive, run run-1; watch it at\n    {DAGSTER}/runs/run-1\n"
    )
    asked = {"table": "t", "reasons": ["conflict"], "windows": [HOUR], "rescued": False}
    assert over.launched() == ("redrive", asked)
    told = over.data("quarantine", "redrive", "t", "--version", "1")
    assert (told["dry_run"], told["groups"][0]["reason"]) == (False, Reason.CONFLICT.value)
    assert (told["job"], told["run_id"], told["run_url"]) == (
        "redrive", "run-2", f"{DAGSTER}/runs/run-2",
    )  # fmt: skip
    assert over.launched()[1]["version"] == 1


def test_rescued_values_are_a_run_as_well(lake: Lake, over: OverApi, kafka: MemoryKafka) -> None:
    assert lake("datasets", "set", "t", "on_conflict=rescue").exit_code == 0
    value = json.dumps({"id": 9, "day": "d1", "amount": "lots"}).encode()
    kafka.produce("events", None, value, timestamp_ms=AT_MS)
    assert lake("dump", "t").exit_code == lake("load", "t").exit_code == 0
    done = over.run("quarantine", "redrive", "t", "--rescued")
    assert "1 value of amount in _rescued" in done.output
    assert "job redrive, run run-1" in done.output
    assert over.launched()[1]["rescued"] is True


def test_a_replay_is_a_run(over: OverApi) -> None:
    done = over.run("replay", "t", "--to", HOUR)
    assert "3 records to read in" in done.output
    assert f"job replay, run run-1; watch it at\n    {DAGSTER}/runs/run-1" in done.output
    asked = {"table": "t", "windows": [], "all_windows": False, "last_window": HOUR}
    assert over.launched() == ("replay", asked)
    told = over.data("replay", "t", "--all")
    assert (told["windows"], told["job"], told["run_id"]) == ([HOUR], "replay", "run-2")


def test_a_renamed_column_is_a_run_that_swaps_only_when_told_to(over: OverApi) -> None:
    done = over.run("schema", "rename", "t", "amount", "total")
    assert "job rebuild_table, run run-1" in done.output
    assert "swap it in: lake rebuild t --yes; drop it: lake rebuild t --abort" in done.output
    job, asked = over.launched()
    assert (job, asked["changes"]) == ("rebuild_table", {"columns.amount": {"name": "total"}})
    assert (asked["asked_by"], asked.get("swap", False)) == ("ann", False)
    done = over.run("schema", "rename", "t", "amount", "total", "--yes")
    assert "t: swapped in by the run once it is sound" in done.output
    assert over.launched()[1]["swap"] is True
    told = over.data("schema", "alias", "t", "amount", "id", "--yes")
    assert (told["table"], told["state"], told["swap"]) == ("t", "started", True)
    assert told["run_url"] == f"{DAGSTER}/runs/run-3"


def test_an_alias_without_a_column_of_its_own_is_there_at_once(
    over: OverApi, store: Repository
) -> None:
    done = over.run("schema", "alias", "t", "amount", "sum")
    assert done.output.splitlines()[-1] == "t: amount: key sum means it from the next batch on"
    assert store.get("t").dataset.columns == {"amount": {"aliases": ["sum"]}}
    done = over.run("schema", "alias", "t", "amount", "sum")
    assert done.output == "t: amount: key sum means it already\n"
    assert over.data("schema", "alias", "t", "amount", "sum") == {
        "table": "t", "column": "amount", "key": "sum", "state": "alias",
    }  # fmt: skip
    assert over.dagster.launched == []


def test_a_rebuild_is_begun_gone_on_with_and_dropped(
    lake: Lake, over: OverApi, tmp_path: Path
) -> None:
    assert over.data("rebuild", "t", "--change", "partition_by=[]")["state"] == "started"
    assert over.launched() == (
        "rebuild_table", {"table": "t", "asked_by": "ann", "changes": {"partition_by": []}},
    )  # fmt: skip
    definition = tmp_path / "t.json"
    definition.write_text(json.dumps({
        "topic": "events", "table": "t", "format": "parquet", "on_conflict": "quarantine",
    }))  # fmt: skip
    done = over.run("rebuild", "t", "--definition", str(definition), "--yes")
    assert done.exit_code == 0, done.output
    asked = over.launched()[1]
    assert (asked["changes"]["partition_by"], asked["swap"]) == ([], True)
    refused = over.run("rebuild", "t", "--change", "partition_by=[]", "--audit")
    assert refused.exit_code == 1
    assert "lake audit t --deep" in refused.output
    built = lake("rebuild", "t", "--change", "partition_by=[]", "--no-swap")
    assert built.exit_code == 0, built.output
    assert over.run("rebuild", "t", "--yes").exit_code == 0
    assert over.launched()[1] == {"table": "t", "asked_by": "ann", "swap": True}
    done = over.run("rebuild", "t", "--abort")
    assert "the rebuilt table is dropped by the run, the live one is as it was" in done.output
    assert over.data("rebuild", "t", "--abort")["job"] == "rebuild_table"
    assert over.launched()[1]["abort"] is True


def test_a_preview_shows_the_same(lake: Lake, over: OverApi) -> None:
    asked = ("preview", "t", "--change", 'columns.amount={"type": "string"}')
    here, there = lake(*asked), over.run(*asked)
    assert here.exit_code == there.exit_code == 0
    assert here.stdout == there.stdout
    assert "updated: partition 0, offset 0" in there.stdout
    told, direct = over.data(*asked), data(lake(*asked, "--json"))
    for found in (told, direct):
        assert all(found[side].pop("bytes") for side in ("before", "after"))
    assert told == direct


def test_a_sample_is_checked_here_against_what_the_api_has(
    lake: Lake, over: OverApi, tmp_path: Path
) -> None:
    """For the CI of a producer, which has no database."""
    for name, text, code in (
        ("fits", '{"id": 9, "day": "d", "amount": 7}\n', 0),
        ("new", '{"id": 9, "day": "d", "amount": 7, "more": true}\n', 0),
        ("breaks", '{"id": {"a": 1}, "day": "d", "amount": 7}\n' * 30, 3),
    ):
        sample = tmp_path / f"{name}.ndjson"
        sample.write_text(text)
        for form in ((), ("--json",)):
            asked = ("schema", "check", "t", "--sample", str(sample), *form)
            here, there = lake(*asked), over.run(*asked)
            assert (here.exit_code, here.output) == (there.exit_code, there.output)
            assert there.exit_code == code, (name, there.output)
    declared = tmp_path / "declared.json"
    declared.write_text('{"id": "long", "amount": "array<string>"}')
    asked = ("schema", "check", "t", "--schema", str(declared))
    assert over.run(*asked).output == lake(*asked).output


def test_the_role_of_the_token_counts(over: OverApi) -> None:
    for command in (
        ["quarantine", "redrive", "t"], ["replay", "t", "--all"], ["rebuild", "t", "--abort"],
        ["rebuild", "t", "--change", "partition_by=[]"], ["schema", "rename", "t", "amount", "x"],
        ["schema", "alias", "t", "amount", "x"], ["preview", "t", "--change", "owner=x"],
    ):  # fmt: skip
        refused = over.run(*command, token=VIEWER)
        if "--abort" in command:
            assert "is not being rebuilt" in refused.output
            continue
        assert refused.exit_code == 1
        assert "eve is viewer; this needs the role editor" in refused.output, command
    assert over.dagster.launched == []


def test_without_dagster_nothing_is_started_and_that_is_said(over: OverApi) -> None:
    over.dagster.away = True
    for command in (
        ["quarantine", "redrive", "t"], ["replay", "t", "--all"],
        ["rebuild", "t", "--change", "partition_by=[]"], ["schema", "rename", "t", "amount", "x"],
    ):  # fmt: skip
        refused = over.run(*command)
        assert refused.exit_code == 1
        assert "error: Dagster at http://dagster did not answer" in refused.output
        assert "watch it" not in refused.output


def test_a_resolution_that_makes_the_table_anew_is_a_run(
    lake: Lake, over: OverApi, kafka: MemoryKafka
) -> None:
    assert lake("datasets", "set", "t", "on_conflict=block").exit_code == 0
    value = json.dumps({"id": 9, "day": "d1", "amount": "lots"}).encode()
    kafka.produce("events", None, value, timestamp_ms=AT_MS)
    assert lake("dump", "t").exit_code == 0
    assert lake("load", "t").exit_code == 1
    refused = over.run("incidents", "resolve", "1", "text")
    assert refused.exit_code == 1
    assert "let it be done by lake incidents resolve 1 text --yes" in refused.output
    assert over.dagster.launched == []
    done = over.run("incidents", "resolve", "1", "text", "--yes")
    assert done.exit_code == 0, done.output
    assert "t: started the Dagster job resolve_incident, run run-1; watch it at" in done.output
    assert "t: swapped in by the run once it is sound" in done.output
    config = {"incident": 1, "resolution": "text", "columns": {}, "asked_by": "ann"}
    assert over.launched() == ("resolve_incident", config)
    told = over.data("incidents", "resolve", "1", "--column", "amount=text", "--always", "--yes")
    assert (told["state"], told["run_url"]) == ("started", f"{DAGSTER}/runs/run-2")
    assert over.launched()[1] == {
        "incident": 1, "resolution": "", "columns": {"amount": "text"}, "always": True,
        "asked_by": "ann",
    }  # fmt: skip
    # What does not make it anew is done at once, with --yes as well.
    done = over.run("incidents", "resolve", "1", "rescue", "--yes")
    assert "the next load applies 1 raw commits, 1 records" in done.output
    assert len(over.dagster.launched) == 2
