"""Steps that are code, on the real engines: functions of JARs in SQL, classes over a whole
DataFrame, functions of the definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.code.pins import CodeBase, pinned
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.transform import Transform
from tests.audit_support import Copy
from tests.spark_support import spark, table_rows
from tests.step_jars import Jar, build_jar
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = pytest.mark.spark
MakeLab = Callable[..., Lab]
TIDY = """
from pyspark.sql import DataFrame, functions as F
from .words import RATES

def tidy(frame: DataFrame) -> DataFrame:
    return frame.where(F.col("n") >= 0).withColumn("eur", F.col("n") * RATES["eur"])
"""
WORDS = 'RATES = {"eur": 2}\n'
ROWS = (
    {"id": 1, "name": "alice", "n": 3},
    {"id": 2, "name": "test-1", "n": 4},
    {"id": 3, "name": "bob", "n": -1},
    {"id": 4, "name": "carol", "n": 5},
)


@pytest.fixture(scope="session")
def jar(java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Jar:
    return build_jar(java_home, tmp_path_factory.mktemp("jars") / "example.jar")


@pytest.fixture
def base(tmp_path: Path, jar: Jar) -> CodeBase:
    definitions = tmp_path / "definitions"
    (definitions / "steps").mkdir(parents=True)
    (definitions / "steps" / "orders.py").write_text(TIDY)
    (definitions / "steps" / "words.py").write_text(WORDS)
    return CodeBase((jar.path.parent,), definitions)


@pytest.fixture
def make_lab(spark: SparkSession, tmp_path: Path, base: CodeBase) -> Iterator[MakeLab]:
    labs: list[Lab] = []

    def make(*values: Any, steps: tuple[Transform, ...], **fields: Any) -> Lab:
        lab = Lab(tmp_path)
        labs.append(lab)
        lab.store = open_store((tmp_path / "storage").as_uri())
        format_: Format = fields.get("format", "hudi")
        lab.engine = spark_engines(lambda: spark, lab.store, base)(format_)
        lab.read_rows = table_rows(spark, lab.store)
        wanted = pinned(Dataset(topic="topic.t", table="t", transforms=steps, **fields), base)
        lab.register(transforms=wanted.transforms, max_quarantine_ratio=1.0, **fields)
        lab.send_all(values)
        return lab

    yield make
    for lab in labs:
        lab.close()


def values(lab: Lab) -> list[dict[str, Any]]:
    return [
        {c: v for c, v in row.items() if not c.startswith("_lake_")} for row in lab.plain_rows()
    ]


def chain(jar: Jar) -> tuple[Transform, ...]:
    return (
        Transform(
            kind="jar", jar=jar.path.name, sha256=jar.sha256,
            functions={"mask": "example.Mask"}, class_name="example.WithoutTests",
        ),
        Transform(sql="SELECT id, mask(name) AS name, initial, n FROM input WHERE n <> 100"),
        Transform(kind="python", function="steps.orders:tidy"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"format": "parquet"}, {}, {"mode": "upsert", "primary_key": ("id",)}],
    ids=["parquet", "hudi", "upsert"],
)
def test_steps_of_all_kinds_run_in_their_order(
    make_lab: MakeLab, tmp_path: Path, jar: Jar, fields: dict[str, Any]
) -> None:
    lab = make_lab(*ROWS, steps=chain(jar), **fields)
    (result,) = lab.cycle()
    found = result.applied.balance
    assert (found.records, found.written, found.dropped, found.difference) == (4, 2, 2, 0)
    wanted = [
        {"id": 1, "name": "***ce", "initial": "a", "n": 3, "eur": 6},
        {"id": 4, "name": "***ol", "initial": "c", "n": 5, "eur": 10},
    ]
    assert values(lab) == wanted
    assert [row["_kafka_offset"] for row in lab.rows()] == [0, 3]
    (again,) = lab.load(replay=["2026-11-01-00:00"])
    assert again.applied.balance.difference == 0
    assert values(lab) == wanted
    report = Copy(lab, tmp_path / "storage").audit(deep=True)
    assert report.sound, report
