"""Rebuilt tables on an S3 server, where a move is a copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import storage_config
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.embedded.jars import ensure_jars
from lake_platform.rebuild.rebuild import Rebuilder
from tests.contract.seaweed import s3_url
from tests.integration.test_phases import EngineByFormat
from tests.spark_support import spark, table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.integration.s3_copy import Server

__all__ = ["s3_url", "spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def session(jars_dir: Path, request: pytest.FixtureRequest) -> SparkSession:
    ensure_jars(jars_dir, ["s3"])  # before Spark starts: they are on its class path
    opened: SparkSession = request.getfixturevalue("spark")
    return opened


@pytest.fixture
def lab(session: SparkSession, s3_url: Server, tmp_path: Path) -> Iterator[Lab]:
    url, options = s3_url
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    named = storage_config(options) | {
        "spark.hadoop.fs.s3a.access.key": options["access_key_id"],
        "spark.hadoop.fs.s3a.secret.key": options["secret_access_key"],
    }
    for name, value in named.items():
        key = name.removeprefix("spark.hadoop.fs.s3a.")
        hadoop.set(f"fs.s3a.bucket.{urlsplit(url).netloc}.{key}", value)
    lab = Lab(tmp_path, store=open_store(f"{url}/{tmp_path.name}", options))
    lab.engine = cast(Any, EngineByFormat(lab, spark_engines(lambda: session, lab.store)))
    lab.read_rows = table_rows(session, lab.store)
    yield lab
    lab.close()


@pytest.mark.parametrize("table_type", ["mor", pytest.param("cow", marks=pytest.mark.deep)])
def test_a_hudi_table_and_back_from_parquet(
    lab: Lab, session: SparkSession, table_type: str
) -> None:
    ports = replace(lab.ports(), engine=spark_engines(lambda: session, lab.store))
    work = Rebuilder(lab.metastore, ports, lab.limits)
    lab.register(mode="upsert", primary_key=("id",), partition_by=("id",))
    for n in range(6):
        lab.send({"id": n, "amount": n}, key=str(n))
    lab.cycle()
    steps: list[dict[str, Any]] = [
        {"columns.amount": {"type": "string"}, "table_type": table_type},
        {"format": "parquet", "mode": "append", "primary_key": [], "table_type": None},
        {"format": "hudi", "partition_by": []},
    ]
    for number, step in enumerate(steps):
        work.begin("t", step, "ops")
        assert list(work.build("t"))
        work.swap("t")
        lab.account()
        lab.send({"id": 10 + number, "amount": number}, key="k")
        assert lab.cycle()
        lab.account()
    left = [i.key for i in lab.store.list("") if ".rebuild-" in i.key]
    assert [key for key in left if lab.store.head(key) is not None] == []  # folders of Hadoop
