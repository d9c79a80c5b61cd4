"""Rebuilt tables on the real engines: read back by Spark, and by the audit's own engines, which
hold every value against the records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.auditor import audit
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.errors import CommitRaceError, SchemaBlockedError
from lake_platform.rebuild.rebuild import Rebuilder
from tests.audit_support import MemoryTopic, local_files
from tests.integration.test_phases import EngineByFormat
from tests.spark_support import spark, table_rows
from tests.support import Fault, Lab
from tests.unit.rebuild.test_refused import Late

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def lab(spark: SparkSession, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, store=open_store((tmp_path / "storage").as_uri()))
    lab.engine = cast(Any, EngineByFormat(lab, spark_engines(lambda: spark, lab.store)))
    lab.read_rows = table_rows(spark, lab.store)
    yield lab
    lab.close()


def rebuild(lab: Lab, spark: SparkSession, changes: dict[str, Any]) -> None:
    ports = replace(lab.ports(), engine=spark_engines(lambda: spark, lab.store))
    work = Rebuilder(lab.metastore, ports, lab.limits)
    work.begin("t", changes, "ops")
    assert list(work.build("t"))
    assert work.compare("t").problems == ()
    check_by_audit(lab, work.begin("t", {}, "ops").rebuild.shadow.table)
    work.swap("t")
    assert not [i.key for i in lab.store.list("") if ".rebuild-" in i.key]


def check(lab: Lab) -> None:
    """By Spark, and by another engine."""
    lab.account()
    check_by_audit(lab, "t")


def check_by_audit(lab: Lab, table: str) -> None:
    files = local_files(lab.home / "storage")
    sources = Sources(lab.metastore, files, MemoryTopic(lab.kafka), lambda f: open_reader(f, files))
    report = audit(table, sources, deep=True)
    assert report.sound and not report.total.pending, report
    assert report.total.table + report.total.quarantined


def fill(lab: Lab, *ids: int, **more: Any) -> None:
    for n in ids:
        lab.send({"id": n, "day": f"d{n % 2}", "amount": n * 10, **more}, key=str(n))
    lab.dump()


def blocked(lab: Lab) -> None:
    """A text where numbers were stops the table."""
    fill(lab, 1, 2, amount="ten EUR")
    with pytest.raises(SchemaBlockedError):
        lab.load()


def test_parquet_gets_other_partitions_and_a_text_column(lab: Lab, spark: SparkSession) -> None:
    lab.register(format="parquet", partition_by=("day",))
    fill(lab, 1, 2, 3)
    lab.load()
    fill(lab, 4, 5)
    lab.load()
    blocked(lab)
    rebuild(lab, spark, {"partition_by": [], "columns.amount": {"type": "string"}})
    check(lab)
    fill(lab, 6, 7)
    assert lab.load()
    check(lab)


def test_a_hudi_append_table_gets_other_partitions_and_a_text_column(
    lab: Lab, spark: SparkSession
) -> None:
    lab.register(partition_by=("day",))
    fill(lab, 1, 2, 3)
    lab.load()
    fill(lab, 4, 5)
    lab.load()
    blocked(lab)
    rebuild(lab, spark, {"partition_by": ["id"], "columns.amount": {"type": "string"}})
    check(lab)
    fill(lab, 6, 7)
    assert lab.load()
    check(lab)


@pytest.mark.parametrize("table_type", ["mor", pytest.param("cow", marks=pytest.mark.deep)])
def test_a_hudi_upsert_table_gets_another_key_and_a_text_column(
    lab: Lab, spark: SparkSession, table_type: Any
) -> None:
    lab.register(mode="upsert", primary_key=("id",), table_type=table_type)
    fill(lab, 1, 2, 3)
    lab.load()
    fill(lab, 2, 4)
    lab.load()
    blocked(lab)
    rebuild(lab, spark, {"primary_key": ["day"], "columns.amount": {"type": "string"}})
    check(lab)
    fill(lab, 6, 7)
    assert lab.load()
    check(lab)


@pytest.mark.deep
def test_a_table_changes_its_format_and_back(lab: Lab, spark: SparkSession) -> None:
    lab.register(format="parquet", partition_by=("day",))
    fill(lab, 1, 2, 3)
    lab.load()
    rebuild(lab, spark, {"format": "hudi", "mode": "upsert", "primary_key": ["id"]})
    check(lab)
    fill(lab, 2, 5)
    assert lab.load()
    check(lab)
    rebuild(lab, spark, {"format": "parquet", "mode": "append", "primary_key": []})
    fill(lab, 3)
    assert lab.load()
    check(lab)


@pytest.mark.deep
def test_a_hudi_writer_that_wakes_after_the_swap_commits_nothing(
    lab: Lab, spark: SparkSession
) -> None:
    lab.register(mode="upsert", primary_key=("id",))
    fill(lab, 1, 2)
    lab.load()
    fill(lab, 3)
    late: Any = Late(lab.engine)
    with pytest.raises(Fault):
        lab.load(engine=late)
    lab.workers.crash()
    rebuild(lab, spark, {"columns.amount": {"type": "string"}})
    with pytest.raises(CommitRaceError):
        lab.engine.write(late.job)
    check(lab)
    fill(lab, 4)
    assert lab.load()
    check(lab)
