"""An audit of tables of which an operator let records go: those, and no others, may be nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake_platform import compose
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import SchemaBlockedError
from tests.audit_support import Copy, RowReader, copy_of, parquet_lab, rewrite_rows, without_spark
from tests.support import Lab
from tests.unit.audit.test_upsert import COLUMNS, SOURCE, make

MODES = ["append", "upsert"]


@pytest.fixture
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        yield patch


def blocked(lab: Lab, *values: dict[str, Any]) -> None:
    for value in values:
        lab.send(value, key=str(value["id"]))
    with pytest.raises(SchemaBlockedError):
        lab.cycle()


def resolve(lab: Lab, asked: Asked) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    (incident,) = lab.metastore.incidents("t", "OPEN")
    use_cases.resolve_incident(incident.id, asked, "ann")
    lab.load()


def told(home: Path, mode: str) -> tuple[Lab, Copy]:
    """A table with a record rejected, one rescued, one in quarantine, and good ones of each key."""
    (home / "lab").mkdir()
    make_ = parquet_lab if mode == "append" else make
    lab = make_(home / "lab", source=SOURCE)
    for id_ in range(4):
        lab.send({"id": id_, "name": "n", "ver": id_}, key=str(id_))
    lab.cycle()
    blocked(lab, {"id": 0, "name": "n", "ver": "no"}, {"id": 4, "name": "n", "ver": 4})
    resolve(lab, Asked("reject"))
    blocked(lab, {"id": 1, "name": "n", "ver": {"x": 1}}, {"id": 5, "name": "n", "ver": "no"})
    resolve(lab, Asked("quarantine"))
    blocked(lab, {"id": 2, "name": "n", "ver": "no"}, {"id": 0, "name": "last", "ver": 9})
    resolve(lab, Asked("rescue"))
    copy = copy_of(lab, home / "copy")
    if mode == "upsert":
        columns = [*COLUMNS, pa.field("_rescued", pa.string())]
        copy = replace(copy, reader=RowReader(lab, columns))
    return lab, copy


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deep", [True, False])
def test_what_was_let_go_is_dropped(
    tmp_path: Path,
    patched: pytest.MonkeyPatch,  # noqa: ARG001
    mode: str,
    deep: bool,
) -> None:
    lab, copy = told(tmp_path, mode)
    report = copy.audit(deep=deep)
    # Which record was let go, digests cannot tell.
    assert report.verdict == ("sound" if deep else "needs --deep"), report.findings
    total = report.total
    assert (total.records, total.quarantined) == (10, 2)
    if mode == "append" and deep:
        assert (total.table, total.dropped, total.filtered) == (7, 1, 0)
    lab.close()


@pytest.mark.parametrize("gone", [0, 4])
def test_a_sound_record_of_the_same_commits_is_lost(
    tmp_path: Path,
    patched: pytest.MonkeyPatch,  # noqa: ARG001
    gone: int,
) -> None:
    """The first batch, and the good record beside the one that was let go."""
    lab, copy = told(tmp_path, "append")
    lost = next(s.offset for s in lab.sent["t"] if json.loads(s.value or b"")["id"] == gone)
    for file in copy.files("lake/t/*.parquet"):
        rewrite_rows(file, lambda rows: [r for r in rows if r["_kafka_offset"] != lost])
    report = copy.audit()
    assert (report.verdict, report.total.lost) == ("unsound", 1)
    assert report.findings[0].offset == lost
    cheap = copy.audit(deep=False)
    assert cheap.verdict == "unsound"
    lab.close()
