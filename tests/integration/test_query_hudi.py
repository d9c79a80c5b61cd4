"""Hudi tables by others than their writer: `lake datasets query`, and Spark through a metastore
that holds what we put into Glue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.hudi.stored import META
from lake_platform.adapters.memory.catalog import MemoryCatalog
from lake_platform.adapters.stored import stored
from lake_platform.audit.files import open_files
from lake_platform.catalog.drift import drift
from lake_platform.catalog.entries import wanted
from lake_platform.catalog.sync import sync
from lake_platform.errors import NothingToQueryError
from lake_platform.query.engine import query
from lake_platform.query.tables import readable
from tests.hudi_support import HudiLab, hudi_lab
from tests.spark_support import spark

if TYPE_CHECKING:
    pass

__all__ = ["hudi_lab", "spark"]


def ask(lab: HudiLab, sql: str, table: str = "t") -> list[tuple[Any, ...]]:
    dataset, root = lab.dataset(table), lab.store.url("").rstrip("/")
    answer = query(dataset, readable(dataset, open_files(root, {}, os.environ)), sql, 0)
    return list(answer.rows)


@pytest.fixture
def filled(hudi_lab: HudiLab) -> Iterator[HudiLab]:
    """An upsert table (MOR, partitioned) that grew, with a deleted row, and rows that changed."""
    lab = hudi_lab
    with pytest.raises(NothingToQueryError, match="nothing is loaded"):
        lab.register(mode="upsert", primary_key=("id", "day"), partition_by=("day",))
        ask(lab, "SELECT 1")
    for n in range(9):
        lab.send({"id": n, "day": f"2026-11-0{n % 3 + 1}", "o": {"a": n}, "v": 1}, key=f"{n}")
    lab.cycle()
    lab.send({"id": 1, "day": "2026-11-02", "o": {"a": 1, "b": [1.5]}, "v": 2, "new": "x"})
    lab.send({"id": 20, "day": "2026-11-09", "o": {"a": 1}, "v": 2, "m": {"k": {"z": 1}}})
    lab.cycle()
    yield lab


def test_an_upsert_table_is_read_as_it_is_now(filled: HudiLab) -> None:
    found = ask(filled, "SELECT id, v, o, new FROM t WHERE v = 2 ORDER BY id")
    assert found == [(1, 2, {"a": 1, "b": [1.5]}, "x"), (20, 2, {"a": 1, "b": None}, None)]
    assert ask(filled, "SELECT count(*), sum(v), max(day) FROM t") == [(10, 12, "2026-11-09")]
    assert ask(filled, "SELECT count(*) FROM t a JOIN t b USING (id)") == [(10,)]
    assert len(ask(filled, "SELECT * FROM t")[0]) > 10


def test_lake_metastore_and_catalog_agree_after_a_sync(filled: HudiLab) -> None:
    catalog, dataset = MemoryCatalog(), filled.dataset()
    held = stored(filled.store, dataset)
    assert held is not None
    assert (held.hudi_type, held.keys, len(held.folders)) == ("mor", ("day",), 4)
    needed = wanted(dataset, held, filled.store.url("").rstrip("/"))
    sync(needed, catalog)
    found = drift(needed, held, filled.metastore.active_schema("t"), catalog)
    assert found.differences == ()
    columns = {c.name: c.type for c in needed.entries[0].columns}
    assert columns["o"] == "struct<a:bigint,b:array<double>>"
    assert columns["_hoodie_commit_time"] == "string"
    assert "day" not in columns
    # hudi-rs, which reads the files themselves, finds the same columns beside Hudi's own.
    root = filled.store.url("").rstrip("/")
    there = readable(dataset, open_files(root, {}, os.environ)).schema()
    assert set(there.names) == {f.name for f in held.columns.fields} - {*META, "_hoodie_is_deleted"}
