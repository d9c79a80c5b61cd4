"""Two versions of one JAR in one process: the other half of test_step_versions.

A process of its own, because the engines end the Spark session and open another one.
Arguments: directory for state, directory of Spark's jars.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import open_session, session_config
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.code.pins import CodeBase
from lake_platform.domain.transform import Transform
from tests.spark_support import table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main(home: Path, jars: Path) -> None:
    opened: list[str] = []

    def session() -> SparkSession:
        spark = open_session(session_config("local[2]", "1g", jars), "local[2]")
        opened.append(str(spark.sparkContext.applicationId))
        return spark

    lab = Lab(home, store=open_store((home / "storage").as_uri()))
    lab.engine = spark_engines(session, lab.store, CodeBase((home / "jars",)))("parquet")
    for table in ("one", "two"):
        jar = home / "jars" / f"{table}.jar"
        code = Transform(
            kind="jar", jar=jar.name, sha256=hashlib.sha256(jar.read_bytes()).hexdigest(),
            functions={"masked": "example.Mask"}, class_name="example.WithoutTests",
        )  # fmt: skip
        steps = (code, Transform(sql="SELECT id, masked(name) AS name FROM input"))
        lab.register(table, format="parquet", transforms=steps)
    for number, table in enumerate(("one", "two", "one", "one")):
        lab.send_all([{"id": number, "name": "alice"}, {"id": 9, "name": "test"}], table=table)
        lab.cycle(table)
    read = table_rows(session(), lab.store)
    found = {t: sorted((r["id"], r["name"]) for r in read(lab.dataset(t))) for t in ("one", "two")}
    assert found == {
        "one": [(0, "***ce"), (2, "***ce"), (3, "***ce")],
        "two": [(1, "###ce")],
    }, found
    # The same classes again open nothing.
    assert len(set(opened)) == 3, opened
    lab.close()
    sys.stdout.write("each table by its own version\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
