"""A lab whose tables are Hudi's, read back by Spark and by hudi-rs. Import the fixture `hudi_lab`
together with `spark`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json
from lake_platform.maintain.compaction import compact_table
from tests.integration.real_kafka import hudi_rs_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class HudiLab(Lab):
    """A lab whose tables are Hudi's; rows are compared as Spark and hudi-rs read them."""

    session: SparkSession

    def both(self, *columns: str, table: str = "t") -> list[tuple[Any, ...]]:
        path = self.store.url(f"lake/{table}")
        frame = self.session.read.format("hudi").load(path)
        ours = [tuple(row) for row in frame.select(*[f"`{c}`" for c in columns]).collect()]
        held = hudi_rs_rows(Path(path.removeprefix("file:")))
        found = [r for r in held if not r.get("_hoodie_is_deleted")]
        theirs = [tuple(r.get(c) for c in columns) for r in found]
        assert sorted(ours, key=repr) == sorted(theirs, key=repr), "Spark and hudi-rs differ"
        return sorted(ours, key=repr)

    def compact(self, table: str = "t") -> None:
        found = compact_table(table, self.ports(), self.limits, after=1)
        assert found is not None and not found.put_off, found

    def folders(self, table: str = "t") -> set[str]:
        """Of partitions that hold a file."""
        root = f"lake/{table}/"
        keys = [i.key.removeprefix(root) for i in self.store.list(root)]
        return {k.rsplit("/", 1)[0] for k in keys if "/" in k and not k.startswith(".hoodie")}


@pytest.fixture
def hudi_lab(spark: SparkSession, tmp_path: Path) -> Iterator[HudiLab]:
    lab = HudiLab(tmp_path)
    lab.session = spark
    lab.store = open_store((tmp_path / "storage").as_uri())
    lab.engine = spark_engines(lambda: spark, lab.store)("hudi")
    yield lab
    lab.close()


def schema(**columns: str) -> Struct:
    fields = [{"name": n, "type": t, "nullable": True, "metadata": {}} for n, t in columns.items()]
    return struct_from_json({"type": "struct", "fields": fields})
