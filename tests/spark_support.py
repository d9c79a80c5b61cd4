"""A real Spark session for tests, and the rows of a table as plain Python values.

Import the fixture `spark` into the module that needs it; all of them share one session.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.spark.session import open_session, session_config
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.storage import ObjectStore
from lake_platform.embedded.jars import ensure_jars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.support import ReadRows


@pytest.fixture(scope="session")
def spark(
    jars_dir: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    ensure_jars(jars_dir, ["spark"])
    os.environ["JAVA_HOME"] = str(java_home)
    warehouse = tmp_path_factory.mktemp("warehouse").as_uri()
    config = session_config("local[2]", "2g", jars_dir, {"spark.sql.warehouse.dir": warehouse})
    session = open_session(config, "local[2]")
    yield session
    session.stop()


def table_rows(session: SparkSession, store: ObjectStore) -> ReadRows:
    """Reads a table as Spark's users do; a table nobody wrote yet is empty."""

    def read(dataset: Dataset) -> list[dict[str, Any]]:
        prefix = f"lake/{dataset.table}"
        if not any(True for _ in store.list(f"{prefix}/")):
            return []
        reader = session.read
        if dataset.format == "parquet":
            frame = reader.option("mergeSchema", "true").parquet(store.url(prefix))
            # The folders' columns, which the files have too.
            frame = frame.drop(*[c for c in frame.columns if c.startswith("lake_part_")])
        else:
            frame = reader.format("hudi").load(store.url(prefix))
        return [row.asDict(recursive=True) for row in frame.collect()]

    return read
