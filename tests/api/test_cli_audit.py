"""`lake audit`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.audit.sources import Sources
from lake_platform.cli.main import app
from tests.audit_support import (
    MemoryTopic,
    parquet_lab,
    rewrite_rows,
    ten_and_a_bad_one,
    without_spark,
)
from tests.support import Lab

Lake = Callable[..., Result]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    without_spark(monkeypatch)
    made = parquet_lab(tmp_path / "home")
    ten_and_a_bad_one(made)
    yield made
    made.close()


@pytest.fixture
def lake(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The command on the laboratory's home, with its topic in memory."""
    real = compose.build_audit_sources

    def sources(settings: Any, metastore: Any) -> Sources:
        found = real(settings, metastore)
        topic = MemoryTopic(lab.kafka)
        return replace(found, topic=topic)

    monkeypatch.setattr(compose, "build_audit_sources", sources)
    monkeypatch.setenv("LAKE_HOME", str(lab.home))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["audit", *arguments])

    return run


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_sound(lake: Lake, deep: tuple[str, ...]) -> None:
    result = lake("t", *deep)
    assert result.exit_code == 0, result.output
    assert "0 lost, 0 duplicated, 0 alien, 0 pending of 11 records" in result.output
    assert "2026-11-01-00:00" in result.output
    assert max(map(len, result.output.splitlines()[:8])) <= 80
    plain = json.loads(lake("t", "--json", *deep).stdout)
    assert (plain["verdict"], plain["sound"], plain["deep"]) == ("sound", True, bool(deep))
    assert plain["total"]["table"] == 10


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_a_lost_row_is_exit_code_1(lab: Lab, lake: Lake, deep: tuple[str, ...]) -> None:
    file = next(iter((lab.home / "storage/lake/t").glob("*.parquet")))
    rewrite_rows(file, lambda rows: rows[1:])
    result = lake("t", *deep)
    assert result.exit_code == 1
    assert "unsound" in result.output
    assert "1 lost, 0 duplicated, 0 alien" in result.output
    assert ("lost in table: partition 0 offset 0, window" in result.output) == bool(deep)
    plain = json.loads(lake("t", "--json", *deep).stdout)
    assert plain["total"]["lost"] == 1
    assert lake("t", "--window", "2026-11-01-05:00", *deep).exit_code == 0


def test_what_is_not_provable_pending_or_given_up_is_said(lab: Lab, lake: Lake) -> None:
    lab.kafka.expire("topic.t", 0, 3)
    lab.send({"id": 1, "name": "late"})
    lab.dump()
    result = lake("t", "--deep")
    assert result.exit_code == 0
    assert "not provable: partition 0 [0, 3): Kafka aged it out; raw stands for it" in result.output
    assert "1 pending of 12 records, raw commits 1 of 2 applied" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nope",), "dataset 'nope' is not registered"),
        (("t", "--window", "today"), "give an hour in UTC"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    lake: Lake, arguments: tuple[str, ...], said: str
) -> None:
    result = lake(*arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("\n") == 1


def test_a_storage_that_is_not_there_is_not_made(
    lab: Lab, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lab.store is not None
    monkeypatch.setenv("LAKE_STORAGE_URL", (tmp_path / "gone").as_uri())
    result = lake("t")
    assert result.exit_code == 1
    assert "there is no storage at" in result.output
    assert not (tmp_path / "gone").exists()


def test_a_storage_no_second_engine_reads_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_STORAGE_URL", "gs://bucket/root")
    result = lake("t")
    assert result.exit_code == 1
    assert "storage gs: the audit reads file: and s3: only; copy or mount" in result.output


def test_help_says_what_is_proven_and_the_exit_codes() -> None:
    text = " ".join(CliRunner().invoke(app, ["audit", "--help"]).output.split())
    for said in (
        "needs --deep",
        "hudi-rs, Arrow",
        "local disk or S3",
        "Exit code 0",
        "TMPDIR",
        "--window",
    ):
        assert said in text
