"""The audit's table readers where there is little to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.adapters.object_store import open_store
from lake_platform.audit.sources import TableLook
from lake_platform.audit.tables import open_reader
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.errors import TableUnreadableError, UnsupportedError

PROPERTIES = """\
hoodie.table.name=t
hoodie.table.type=COPY_ON_WRITE
hoodie.table.version=9
hoodie.timeline.layout.version=2
hoodie.table.initial.version=9
hoodie.timeline.path=timeline
hoodie.table.recordkey.fields=_kafka_partition,_kafka_offset
"""


def dataset(format_: Format) -> Dataset:
    return Dataset(topic="t", table="t", format=format_)


@pytest.mark.parametrize("format_", ["hudi", "parquet"])
def test_a_table_nobody_wrote_yet_is_empty(tmp_path: Path, format_: Format) -> None:
    reader = open_reader(format_, open_store(tmp_path.as_uri()))
    assert reader.look(dataset(format_)) == TableLook(0, "")
    assert list(reader.batches(dataset(format_), ["_kafka_offset"])) == []
    assert len(reader.schema(dataset(format_))) == 0


def test_a_hudi_table_whose_first_write_was_killed_is_empty(tmp_path: Path) -> None:
    home = tmp_path / "lake/t/.hoodie"
    (home / "timeline").mkdir(parents=True)
    (home / "hoodie.properties").write_text(PROPERTIES)
    (home / "timeline/20261124222948766.commit.requested").write_bytes(b"")
    reader = open_reader("hudi", open_store(tmp_path.as_uri()))
    assert reader.look(dataset("hudi")) == TableLook(0, "")
    assert list(reader.batches(dataset("hudi"), ["_kafka_offset"])) == []
    assert len(reader.schema(dataset("hudi"))) == 0


def test_a_hudi_table_that_is_none_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path / "lake/t/.hoodie"
    home.mkdir(parents=True)
    (home / "hoodie.properties").write_text("hoodie.table.type=NONE\n")
    reader = open_reader("hudi", open_store(tmp_path.as_uri()))
    with pytest.raises(TableUnreadableError, match="table 't': hudi-rs cannot read it"):
        reader.look(dataset("hudi"))


@pytest.mark.parametrize("format_", ["hudi", "parquet"])
def test_storage_that_is_no_disk_is_refused(format_: Format) -> None:
    with pytest.raises(UnsupportedError, match="local disk only"):
        open_reader(format_, open_store("memory:///"))
