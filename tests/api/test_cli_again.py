"""`lake replay` and `lake quarantine …` on a real Parquet table, held against the deep audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.audit.auditor import audit
from lake_platform.cli.main import app
from lake_platform.domain.quality import Reason
from lake_platform.settings import load_settings
from tests.audit_support import MemoryTopic, parquet_lab
from tests.support import HOUR_MS, Lab

CONFLICT = Reason.CONFLICT.value
FIRST, SECOND = "2026-11-01-00:00", "2026-11-01-01:00"
Lake = Callable[..., Result]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two hours; in each a record whose `id` does not fit, in the first one that is no JSON."""
    made = parquet_lab(tmp_path / "home", on_conflict="quarantine")
    made.send({"id": 0, "name": "n"})
    made.cycle()
    for hour in range(2):
        made.send({"id": hour, "name": "n"}, key="k")
        made.send({"id": "many", "name": "\x1b[31m"}, partition=1, reason=CONFLICT)
        if not hour:
            made.send(b"{\xff", reason=Reason.NOT_UTF8.value)
        made.cycle()
        made.now_ms += HOUR_MS
    made.read_rows = lambda d: rows_of(made, d.table)
    yield made
    made.close()


def rows_of(lab: Lab, table: str) -> list[dict[str, Any]]:
    import pyarrow.dataset as ds

    files = [str(p) for p in (lab.home / "storage" / "lake" / table).rglob("*.parquet")]
    rows: list[dict[str, Any]] = ds.dataset(files).to_table().to_pylist()
    return rows


@pytest.fixture
def lake(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("LAKE_HOME", str(lab.home))
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")  # nothing listens there
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(compose, "build_kafka", lambda _settings: lab.kafka)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def sound(lab: Lab) -> tuple[int, int]:
    """Rows and quarantine, after nothing was found lost, doubled or alien."""
    opened = compose.build_audit_sources(load_settings(), lab.metastore)
    sources = replace(opened, topic=MemoryTopic(lab.kafka))
    report = audit("t", sources, deep=True)
    assert report.sound, report
    return report.total.table, report.total.quarantined


def rescue(lab: Lab) -> None:
    record = lab.metastore.get("t")
    lab.metastore.update("t", {"on_conflict": "rescue"}, record.version, "test")


def test_what_is_in_quarantine(lake: Lake) -> None:
    groups = data(lake("quarantine", "list", "--json"))["groups"]
    assert [(g["table"], g["window"], g["reason"], g["records"]) for g in groups] == [
        ("t", SECOND, CONFLICT, 1), ("t", FIRST, CONFLICT, 1),
        ("t", FIRST, Reason.NOT_UTF8.value, 1),
    ]  # fmt: skip
    shown = lake("quarantine", "list", "t").output
    assert CONFLICT in shown
    assert "3 records; see them: lake quarantine show t" in shown
    unknown = lake("quarantine", "list", "nope")
    assert (unknown.exit_code, "not registered" in unknown.stderr) == (1, True)


def test_the_records_as_they_came(lake: Lake) -> None:
    (record,) = data(lake("quarantine", "show", "t", "--window", SECOND, "--json"))["records"]
    assert json.loads(record["value"]) == {"id": "many", "name": "\x1b[31m"}
    assert (record["partition"], record["raw_commit"], record["key"]) == (1, 3, None)
    shown = lake("quarantine", "show", "t", "--reason", "not-utf8").output
    assert f"schema version 1, raw commit 2: {Reason.NOT_UTF8.value}" in shown
    assert "value e/8= (base64)" in shown
    assert "\x1b" not in lake("quarantine", "show", "t").output
    assert "nothing of this" in lake("quarantine", "show", "t", "--reason", "null_key").output


def test_a_dry_run_says_what_would_be_done(lake: Lake, lab: Lab) -> None:
    before = sorted(str(p) for p in lab.home.rglob("*") if "metastore" not in p.name)
    told = " ".join(lake("quarantine", "redrive", "t", "--dry-run").output.split())
    assert f"1 record of {SECOND}, schema version 1: {CONFLICT}" in told
    assert f"{Reason.NOT_UTF8.value}: stay, no definition makes a JSON object of them" in told
    assert "t: 5 records to read in 1 batch" in told
    plan = data(lake("quarantine", "redrive", "t", "--dry-run", "--window", FIRST, "--json"))
    assert (plan["dry_run"], plan["records_to_read"], plan["raw_commits"]) == (True, 3, 1)
    assert sorted(str(p) for p in lab.home.rglob("*") if "metastore" not in p.name) == before


def test_records_come_back_and_the_audit_is_sound(lake: Lake, lab: Lab) -> None:
    assert sound(lab) == (3, 3)
    stays = lake("quarantine", "redrive", "t")
    assert f"{CONFLICT}: 0 came back, 2 stayed" in stays.output
    assert f"    2: {CONFLICT}" in stays.output
    assert sound(lab) == (3, 3)
    rescue(lab)
    done = data(lake("quarantine", "redrive", "t", "--json"))
    assert done["fates"] == [{"reason": CONFLICT, "came_back": 2, "stayed": {}, "waiting": 0}]
    assert (done["records_read"], done["rescued_now"]) == (5, {"id": 2})
    assert sound(lab) == (5, 1)
    assert sorted(str(r["_rescued"]) for r in rows_of(lab, "t"))[-2:] == ['{"/id":"many"}'] * 2
    assert "nothing to apply again" not in lake("quarantine", "redrive", "t", "--rescued").output
    again = lake("quarantine", "redrive", "t")
    assert (again.exit_code, "t: nothing to apply again" in again.output) == (0, True)
    assert sound(lab) == (5, 1)


@pytest.mark.parametrize(
    ("options", "windows", "batches"),
    [
        (["--all"], 2, 1),
        (["--window", SECOND], 1, 1),
        (["--from", SECOND], 1, 1),
        (["--to", FIRST], 1, 1),
        (["--from", FIRST, "--to", SECOND], 2, 1),
    ],
)
def test_a_replay_changes_nothing(
    lake: Lake, lab: Lab, options: list[str], windows: int, batches: int
) -> None:
    before = sorted(map(str, rows_of(lab, "t")))
    plan = data(lake("replay", "t", *options, "--dry-run", "--json"))
    assert (len(plan["windows"]), plan["batches"], plan["applied"]) == (windows, batches, [])
    done = data(lake("replay", "t", *options, "--json"))
    assert len(done["applied"]) == batches
    assert sum(b["balance"]["records"] for b in done["applied"]) == done["records"]
    assert sorted(map(str, rows_of(lab, "t"))) == before
    assert sound(lab) == (3, 3)


def test_a_replay_shows_how_far_it_is(lake: Lake) -> None:
    told = lake("replay", "t", "--all").output
    assert f"t: 2 windows from {FIRST} to {SECOND}, 6 records to read in 1 batch" in told
    assert "batch 1 of 1 (100 %): 6 records, 3 rows written" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "none is named; name windows"),
        (["--all", "--window", FIRST], "not one choice of windows"),
        (["--window", "2026-11-01"], "give full hours in UTC"),
        (["--window", "2026-11-01-07:00"], f"there is {FIRST}, {SECOND}"),
        (["--from", "2026-11-02-00:00"], "nothing of these hours was applied to t"),
        (["--from", SECOND, "--to", FIRST], "give the earlier hour first"),
    ],
)
def test_a_replay_that_cannot_be_says_why(lake: Lake, options: list[str], said: str) -> None:
    refused = lake("replay", "t", *options)
    assert (refused.exit_code, said in refused.stderr) == (1, True), refused.stderr


def test_ctrl_c_ends_between_what_is_whole(
    lake: Lake, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_BATCH_BYTES", "1")
    real = compose.build_ports

    def ports(settings: Any, metastore: Any) -> Any:
        made = real(settings, metastore)
        engine = made.engine("parquet")
        left = [1]

        class Interrupted:
            def __getattr__(self, name: str) -> Any:
                return getattr(engine, name)

            def write(self, job: Any) -> Any:
                if not left:
                    raise KeyboardInterrupt
                left.pop()
                return engine.write(job)

        return replace(made, engine=lambda _: Interrupted())

    rescue(lab)
    monkeypatch.setattr(compose, "build_ports", ports)
    stopped = lake("quarantine", "redrive", "t")
    assert stopped.exit_code == 130
    assert "stopped after 1 batch; the table is sound" in stopped.output
    monkeypatch.setattr(compose, "build_ports", real)
    done = data(lake("quarantine", "redrive", "t", "--json"))
    assert [fate["came_back"] for fate in done["fates"]] == [1]
    assert sound(lab) == (5, 1)
