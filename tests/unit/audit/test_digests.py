"""The audit from digests: what it decides without reading topic or raw, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.audit.commits import read_commits
from lake_platform.audit.report import Counts
from lake_platform.audit.topic import KafkaTopic
from lake_platform.domain.offsets import RawCommit
from tests.audit_support import (
    Copy,
    copy_of,
    local_files,
    parquet_lab,
    rewrite_rows,
    seeded,
    without_spark,
    wrong,
)
from tests.sampling import sampled
from tests.support import HOUR_MS, NOW_MS, Lab
from tests.unit.audit import test_append as append
from tests.unit.audit import test_upsert as upsert
from tests.unit.audit.test_append import FILTER, story

OF_TABLE_AND_QUARANTINE = [t for t in append.TAMPERS if not t.__name__.startswith("raw")]


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        yield patch


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> Iterator[Lab]:  # noqa: ARG001
    lab = parquet_lab(tmp_path_factory.mktemp("told"))
    story(lab)
    yield lab
    lab.close()


@pytest.fixture
def lab(tmp_path: Path, patched: pytest.MonkeyPatch) -> Iterator[Lab]:  # noqa: ARG001
    made = parquet_lab(tmp_path / "lab")
    yield made
    made.close()


@pytest.fixture
def copy(told: Lab, tmp_path: Path) -> Copy:
    return copy_of(told, tmp_path / "copy")


def test_sound_data_is_sound_and_no_topic_is_read(copy: Copy, monkeypatch: Any) -> None:
    for name in ("look", "read"):
        monkeypatch.setattr(f"tests.audit_support.MemoryTopic.{name}", None)
        assert callable(getattr(KafkaTopic, name))
    report = copy.audit(deep=False)
    assert report.verdict == "sound"
    assert report.total == Counts(records=204, raw=204, table=180, quarantined=18, dropped=6)
    assert {x.counts.records for x in report.lines} == {68}


@pytest.mark.slow
@pytest.mark.parametrize("first", sampled(range(0, 100, 25), 0, 50))
def test_every_one_of_100_hands_on_table_and_quarantine_is_found(
    told: Lab, tmp_path: Path, first: int
) -> None:
    missed = []
    for trial in range(first, first + 25):
        tamper = OF_TABLE_AND_QUARANTINE[trial % len(OF_TABLE_AND_QUARANTINE)]
        copy = copy_of(told, tmp_path / str(trial))
        expected = tamper(copy, seeded(trial))
        report = copy.audit(deep=False)
        if report.verdict != "unsound" or wrong(report.total) != expected:
            missed.append((trial, tamper.__name__, report.total))
    assert missed == []


def test_a_row_that_stands_for_another_is_seen_by_the_sum_of_offsets(copy: Copy) -> None:
    def swap(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        tombstones = [s for s in copy.lab.sent["t"] if s.value is None]
        place = {"_kafka_partition": tombstones[0].partition, "_kafka_offset": tombstones[0].offset}
        same = next(r for r in rows if r["_kafka_partition"] == tombstones[0].partition)
        return [r for r in rows if r is not same] + [same | place]

    rewrite_rows(copy.files("lake/t/*.parquet")[0], swap)
    assert wrong(copy.audit(deep=False).total) == Counts(lost=1, alien=1)


@pytest.mark.parametrize("hand", ["gone", "longer"])
def test_raw_objects_are_listed_and_measured(copy: Copy, hand: str) -> None:
    file = copy.files("raw/**/*.gz")[0]
    if hand == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"x")
    report = copy.audit(deep=False)
    assert not report.sound
    assert file.name in report.problems[0].text


def test_what_waits_is_pending_and_what_is_too_much_there_alien(lab: Lab) -> None:
    story(lab)
    lab.send({"id": 1, "name": "late"})
    lab.send(None)
    lab.dump()
    copy = Copy(lab, lab.home / "storage")
    report = copy.audit(deep=False)
    assert (report.verdict, report.total.pending) == ("pending", 2)
    rewrite_rows(
        copy.files("lake/t/*.parquet")[0],
        lambda rows: [*rows, *({**rows[0], "_kafka_offset": 500 + n} for n in range(3))],
    )
    assert copy.audit(deep=False).total.alien == 3


def test_clocks_that_are_not_believed_are_decided_by_the_range_of_their_commit(lab: Lab) -> None:
    story(lab)
    for at in (NOW_MS, NOW_MS - 20 * 365 * 86_400_000, NOW_MS - 3 * HOUR_MS, 2**62):
        lab.send({"id": 1, "name": "odd"}, at_ms=at)
    lab.cycle()
    copy = Copy(lab, lab.home / "storage")
    assert copy.audit(deep=False).verdict == "sound"
    file = copy.files("lake/t/*.parquet")[-1]
    rewrite_rows(file, lambda rows: rows[1:])
    report = copy.audit(deep=False)
    assert wrong(report.total) == Counts(lost=1)
    assert {x.window for x in report.lines if not x.counts.sound} == {"(not known)"}
    newest = read_commits(local_files(lab.home / "storage"), "t")[-1]
    assert [x.window for x in report.undecided] == newest.windows
    assert "not believed" in report.undecided[0].undecided
    assert not copy.audit(deep=False, window="2026-11-01-01:00").sound  # it may be in any hour


def test_a_log_of_before_the_tombstones_sum_is_held_by_count_alone(copy: Copy) -> None:
    for file in copy.files("checkpoints/t/phase1/*.json"):
        commit = json.loads(file.read_text())
        for raw in commit["objects"]:
            del raw["tombstone_offset_sum"]
        file.write_text(json.dumps(commit))
        assert RawCommit.from_bytes(file.read_bytes()).objects[0].tombstone_offset_sum is None
    assert copy.audit(deep=False).sound
    expected = append.table_row_lost(copy, seeded(3))
    assert wrong(copy.audit(deep=False).total) == expected


def test_raw_that_retention_removed_leaves_its_digests(lab: Lab) -> None:
    story(lab)
    copy = Copy(lab, lab.home / "storage")
    for file in copy.files("checkpoints/t/phase1/*.json"):
        commit = json.loads(file.read_text())
        file.write_text(json.dumps(commit | {"expired_at": NOW_MS}))
    for file in copy.files("raw/**/*.gz"):
        file.unlink()
    assert copy.audit(deep=False).verdict == "sound"
    for partition in (0, 1):
        lab.kafka.expire("topic.t", partition, 1_000)
    report = copy.audit()
    assert report.sound
    expected = append.table_row_lost(copy, seeded(3))
    assert wrong(copy.audit(deep=False).total) == expected
    assert wrong(copy.audit().total) == expected


def test_what_sql_steps_left_out_needs_deep(tmp_path: Path, patched: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    lab = parquet_lab(tmp_path / "lab", transforms=FILTER)
    story(lab)
    report = Copy(lab, lab.home / "storage").audit(deep=False)
    assert (report.sound, report.verdict) == (True, "needs --deep")
    assert "12 records" in report.undecided[0].undecided
    lab.close()


def test_an_upsert_needs_deep_but_keys_are_counted(tmp_path: Path) -> None:
    lab = upsert.make(tmp_path / "lab")
    upsert.tell(lab, seeded(5))
    copy = upsert.copied(lab, tmp_path / "c")
    report = copy.audit(deep=False)
    assert (report.sound, report.verdict) == (True, "needs --deep")
    assert len(report.undecided) == len(report.lines) >= 3
    rows = copy.reader.rows  # type: ignore[union-attr]
    taken = {(r["_kafka_partition"], r["_kafka_offset"]) for r in rows}
    other = next(s for s in lab.sent["t"] if s.at not in taken and s.value and not s.reason)
    place = {"_kafka_partition": other.partition, "_kafka_offset": other.offset}
    rows.append({**rows[0], **place, "_kafka_timestamp": other.timestamp * 1000})
    assert copy.audit(deep=False).total.duplicated == 1
    rows.append({**rows[0], "id": 77, "_kafka_offset": 100_000})
    assert copy.audit(deep=False).total.alien == 1
    lab.close()


def test_one_window_can_be_asked_for(copy: Copy) -> None:
    rewrite_rows(copy.files("lake/t/*.parquet")[0], lambda rows: rows[1:])
    assert not copy.audit(deep=False, window="2026-11-01-00:00").sound
    report = copy.audit(deep=False, window="2026-11-01-01:00")
    assert (report.sound, len(report.lines)) == (True, 1)


def test_reports_are_json(copy: Copy) -> None:
    plain = json.loads(json.dumps(copy.audit(deep=False).to_dict()))
    assert plain["verdict"] == "sound"
    assert plain["total"]["records"] == sum(w["records"] for w in plain["windows"]) == 204
    assert replace(copy.audit(deep=False), lines=()).total == Counts()
