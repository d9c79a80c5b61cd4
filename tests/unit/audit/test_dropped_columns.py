"""A column that was dropped and came back: rows of between have NULL, and are sound so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.metastore.service import UseCases
from lake_platform.raw import log as raw_log
from lake_platform.records.columns import arrow_fields
from tests.audit_support import Copy, RowReader, copy_of
from tests.support import Lab
from tests.unit.audit.test_upsert import make


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = make(tmp_path / "lab", source=None)
    yield lab
    lab.close()


def load(lab: Lab, *values: dict[str, Any]) -> None:
    for value in values:
        lab.send(value, key=str(value["id"]), partition=value["id"] % 2)
    lab.cycle()


def dropped_and_back(lab: Lab) -> UseCases:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    load(lab, {"id": 1, "x": 5, "y": 1}, {"id": 2, "x": 5, "y": 1})
    use_cases.drop_column("t", "x", "ann")
    load(lab, {"id": 2, "x": 6, "y": 2}, {"id": 3, "x": 6, "y": 1})
    use_cases.add_column("t", "x", "long", "ann")
    load(lab, {"id": 4, "x": 7, "y": 1})
    return use_cases


def looked_at(lab: Lab, tmp_path: Path) -> tuple[Copy, RowReader]:
    active = lab.metastore.active_schema("t")
    assert active is not None
    reader = RowReader(lab, arrow_fields(active.source))
    number = len(list(tmp_path.glob("copy*")))
    return replace(copy_of(lab, tmp_path / f"copy{number}"), reader=reader), reader


def test_rows_of_between_are_sound(lab: Lab, tmp_path: Path) -> None:
    dropped_and_back(lab)
    copy, reader = looked_at(lab, tmp_path)
    assert {row["id"]: row["x"] for row in reader.rows} == {1: 5, 2: None, 3: None, 4: 7}
    assert copy.audit().verdict == "sound"


@pytest.mark.parametrize(("id_", "value"), [(1, None), (2, 6), (3, 5), (4, None)])
def test_and_no_other_value_is(lab: Lab, tmp_path: Path, id_: int, value: int | None) -> None:
    dropped_and_back(lab)
    copy, reader = looked_at(lab, tmp_path)
    next(row for row in reader.rows if row["id"] == id_)["x"] = value
    report = copy.audit()
    assert (report.verdict, report.total.lost) == ("unsound", 1)


def test_a_replay_fills_them(lab: Lab, tmp_path: Path) -> None:
    dropped_and_back(lab)
    windows = {
        w for commit in raw_log.iter_commits_after(lab.store, "t", 0) for w in commit.windows
    }
    assert lab.load(replay=sorted(windows))
    copy, reader = looked_at(lab, tmp_path)
    assert {row["id"]: row["x"] for row in reader.rows} == {1: 5, 2: 6, 3: 6, 4: 7}
    assert copy.audit().verdict == "sound"
