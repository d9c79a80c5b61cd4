"""Audits of a table that is made of the raw of another dataset, or of a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.audit.auditor import audit
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.part import part_of
from lake_platform.domain.raw_span import RawSpan
from tests.audit_support import SOURCE, MemoryTopic, copy_of, parquet_lab, without_spark


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("after", [0, 2])
def test_it_is_held_against_the_raw_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, deep: bool
) -> None:
    without_spark(monkeypatch)
    lab = parquet_lab(tmp_path / "lab")
    for n in range(4):
        lab.send_all([{"id": n, "name": "a"}, {"id": n, "name": "b"}], partition=n % 2)
        lab.dump()
    second = Dataset(topic="topic.t", table="t2", format="parquet", raw_from="t")
    lab.metastore.register(part_of(second, RawSpan(after)), SOURCE, "test")
    lab.load("t2")
    files = copy_of(lab, tmp_path / "copy").open()
    sources = Sources(
        lab.metastore, files, MemoryTopic(lab.kafka), lambda format_: open_reader(format_, files)
    )
    report = audit("t2", sources, deep=deep)
    assert report.sound
    assert report.total.records == report.total.table == 8 - 2 * after
    assert not report.notes
    lab.close()
