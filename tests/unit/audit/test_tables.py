"""The audit's table readers where there is little to read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from lake_platform.audit.files import ArrowFiles
from lake_platform.audit.sources import TableLook
from lake_platform.audit.tables import open_reader
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.errors import StorageUnavailableError, TableUnreadableError
from tests.audit_support import local_files

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
    reader = open_reader(format_, local_files(tmp_path))
    assert reader.look(dataset(format_)) == TableLook(0, "")
    assert list(reader.batches(dataset(format_), ["_kafka_offset"])) == []
    assert len(reader.schema(dataset(format_))) == 0


def test_a_hudi_table_whose_first_write_was_killed_is_empty(tmp_path: Path) -> None:
    home = tmp_path / "lake/t/.hoodie"
    (home / "timeline").mkdir(parents=True)
    (home / "hoodie.properties").write_text(PROPERTIES)
    (home / "timeline/20261124222948766.commit.requested").write_bytes(b"")
    reader = open_reader("hudi", local_files(tmp_path))
    assert reader.look(dataset("hudi")) == TableLook(0, "")
    assert list(reader.batches(dataset("hudi"), ["_kafka_offset"])) == []
    assert len(reader.schema(dataset("hudi"))) == 0


def test_a_hudi_table_that_is_none_is_a_named_error(tmp_path: Path) -> None:
    home = tmp_path / "lake/t/.hoodie"
    home.mkdir(parents=True)
    (home / "hoodie.properties").write_text("hoodie.table.type=NONE\n")
    reader = open_reader("hudi", local_files(tmp_path))
    with pytest.raises(TableUnreadableError, match="table 't': hudi-rs cannot read it"):
        reader.look(dataset("hudi"))


class Failing(ArrowFiles):
    """A storage that answers only the first `times` questions for a size."""

    times = 1

    def size(self, key: str) -> int | None:
        self.times -= 1
        if self.times < 0:
            raise StorageUnavailableError("no answer")
        return super().size(key)


@pytest.mark.parametrize(
    ("times", "error"), [(1, StorageUnavailableError), (2, TableUnreadableError)]
)
def test_a_storage_that_stops_answering_is_not_called_a_damaged_table(
    tmp_path: Path, times: int, error: type[Exception]
) -> None:
    home = tmp_path / "lake/t/.hoodie"
    home.mkdir(parents=True)
    (home / "hoodie.properties").write_text("hoodie.table.type=NONE\n")
    files = Failing(LocalFileSystem(), str(tmp_path), tmp_path.as_uri())
    files.times = times
    with pytest.raises(error):
        open_reader("hudi", files).look(dataset("hudi"))


def parquet(home: Path, name: str, **columns: list[int]) -> None:
    (home / "lake/t").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), home / "lake/t" / name, row_group_size=2)


def test_parquet_files_are_read_group_by_group_and_seen_as_one_schema(tmp_path: Path) -> None:
    parquet(tmp_path, "a.parquet", _kafka_offset=[1, 2, 3], x=[1, 2, 3])
    parquet(tmp_path, "b.parquet", _kafka_offset=[4], y=[1])
    parquet(tmp_path, "_hidden.parquet", _kafka_offset=[5])
    reader = open_reader("parquet", local_files(tmp_path))
    found = [b.to_pydict() for b in reader.batches(dataset("parquet"), ["_kafka_offset"])]
    assert found == [{"_kafka_offset": part} for part in ([1, 2], [3], [4])]
    assert reader.schema(dataset("parquet")).names == ["_kafka_offset", "x", "y"]


def test_a_parquet_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    parquet(tmp_path, "a.parquet", x=[1])
    reader = open_reader("parquet", local_files(tmp_path))
    with pytest.raises(TableUnreadableError, match=r"a\.parquet: it has no column _kafka_offset"):
        list(reader.batches(dataset("parquet"), ["_kafka_offset"]))
    parquet(tmp_path, "a.parquet", _kafka_offset=[1])
    parquet(tmp_path, "b.parquet", _kafka_offset=[2])
    rows = reader.batches(dataset("parquet"), ["_kafka_offset"])
    assert next(rows).num_rows == 1
    (tmp_path / "lake/t/b.parquet").unlink()
    with pytest.raises(TableUnreadableError, match=r"b\.parquet: it is gone"):
        next(rows)
