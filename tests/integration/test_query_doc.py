"""docs/query.md: what it tells people to type is typed here, on real tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_platform.adapters.engines import spark_engines
from tests.hudi_support import HudiLab, hudi_lab
from tests.spark_support import spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["hudi_lab", "spark"]
_PAGE = Path(__file__).parents[2] / "docs" / "query.md"
_ROOT = "s3://shop-lake"
BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)


@pytest.fixture
def tables(hudi_lab: HudiLab) -> Iterator[HudiLab]:
    """The page's two tables; `flights` has a row that changed and one that is gone."""
    lab = hudi_lab
    lab.register("flights", mode="upsert", primary_key=("id",))
    for n in range(6):
        lab.send({"id": n, "carrier": "AA"}, key=f"{n}", table="flights")
    lab.cycle("flights")
    lab.send({"id": 1, "carrier": "B6"}, key="1", table="flights")
    lab.send(None, key="2", table="flights")
    lab.cycle("flights")
    lab.register("weather", format="parquet", partition_by=("origin",))
    engine, lab.engine = lab.engine, spark_engines(lambda: lab.session, lab.store)("parquet")
    for n in range(6):
        lab.send({"origin": ["JFK", "EWR"][n % 2], "temp": 1.5 * n}, table="weather")
    lab.cycle("weather")
    lab.engine = engine
    yield lab


def test_the_page_has_what_it_says_is_tried() -> None:
    assert len(BLOCKS) == 5


def test_what_the_page_says_works(
    tables: HudiLab, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tables.store.url("").rstrip("/").removeprefix("file://")
    said = {}
    for number, block in enumerate(BLOCKS):
        scope: dict[str, object] = {"spark": spark}
        exec(block.replace(_ROOT, root), scope)  # noqa: S102 - our own page
        said[number] = capsys.readouterr().out
        if "frame" in scope:
            assert scope["frame"].temp.sum() == 9.0  # type: ignore[attr-defined]
    assert re.search(r"JFK\s*\|\s*3\b", said[0])
    for number in (1, 3):  # by Spark, and by hudi-rs and DuckDB
        assert re.search(r"AA\s*[|│]\s*4\b", said[number]), said[number]
        assert re.search(r"B6\s*[|│]\s*1\b", said[number]), said[number]
    assert re.search(r"EWR\s*│\s*4\.5\b", said[2]), said[2]
