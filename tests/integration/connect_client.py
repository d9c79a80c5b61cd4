"""The client half of test_connect: both phases with every Spark call going over Spark Connect.

A process of its own, because pyspark cannot hold a classic and a remote session at once.
Arguments: directory for state, Spark Connect URL.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import open_session
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.code.pins import CodeBase, pinned
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError, TransformError
from tests.spark_support import table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main(home: Path, remote: str) -> None:
    store = open_store((home / "storage").as_uri())
    session = open_session({}, "", remote)
    engine = spark_engines(lambda: session, store)
    lab = Lab(home, store=store)
    lab.read_rows = table_rows(session, store)
    lab.register("events", format="parquet", transforms=())
    lab.register("orders", mode="upsert", primary_key=("id",))
    for number in range(20):
        lab.send({"id": number, "tags": ["a"]}, table="events")
        lab.send({"id": number % 5, "n": number}, table="orders", key=str(number % 5))
    lab.send(b"{broken", table="events", reason="not one valid JSON document")
    lab.send(None, table="orders", key="3")
    for table, form in (("events", "parquet"), ("orders", "hudi")):
        lab.engine = engine("parquet" if form == "parquet" else "hudi")
        lab.cycle(table)
        lab.account(table)
    lab.send({"id": 1, "n": 99, "late": True}, table="orders", key="1")
    lab.cycle("orders")
    lab.account("orders")
    assert {r["id"] for r in lab.rows("orders")} == {0, 1, 2, 4}
    step = Transform(sql="SELECT id, CAST(n AS INT) AS n FROM input")
    lab.register("cast", format="parquet", transforms=(step,))
    lab.send_all([{"id": 1, "n": "5"}, {"id": 2, "n": "n/a"}], table="cast")
    lab.engine = engine("parquet")
    [result] = lab.cycle("cast")
    first = {"partition": 0, "offset": 1, "value": "n/a"}
    assert result.lost == {"n": Lost(2, 1, first)}, result.lost
    check_code(lab, home, session)
    lab.close()
    sys.stdout.write("both phases over Spark Connect\n")


def check_code(lab: Lab, home: Path, session: SparkSession) -> None:
    """Functions of a JAR and of the definitions; a class over a whole DataFrame is refused."""
    definitions = home / "definitions"
    definitions.mkdir()
    (definitions / "mine.py").write_text(
        "from pyspark.sql import functions as F\n\n"
        "@F.udf('long')\ndef more(n):\n    return n + 1\n\n"
        "def step(frame):\n    return frame.where('n > 0').withColumn('n', more('n'))\n\n"
        "def twice(frame):\n    return frame.union(frame)\n"
    )
    base = CodeBase((home / "jars",), definitions, connect=True)
    lab.engine = spark_engines(lambda: session, lab.store, base)("parquet")
    steps = [Transform(kind="python", function="mine:step")]
    jar = home / "jars" / "example.jar"
    shown = "name"
    if jar.exists():
        sha256 = hashlib.sha256(jar.read_bytes()).hexdigest()
        code = Transform(
            kind="jar", jar=jar.name, sha256=sha256, functions={"masked": "example.Mask"}
        )
        steps = [code, Transform(sql="SELECT id, masked(name) AS name, n FROM input"), *steps]
        shown = "**me"
        try:
            pinned(_dataset(replace(code, class_name="example.Twice")), base)
        except InvalidFieldError as error:
            assert "Spark Connect" in str(error), error
        else:
            raise AssertionError("a class over a whole DataFrame was not refused")
    lab.register("code", format="parquet", transforms=pinned(_dataset(*steps), base).transforms)
    lab.send_all([{"id": 1, "name": "name", "n": 5}, {"id": 2, "name": "x", "n": 0}], table="code")
    lab.cycle("code")
    assert [(r["id"], r["name"], r["n"]) for r in lab.rows("code")] == [(1, shown, 6)]
    doubling = pinned(_dataset(Transform(kind="python", function="mine:twice")), base)
    lab.register("twice", format="parquet", transforms=doubling.transforms)
    lab.send_all([{"id": 1}], table="twice")
    try:
        lab.cycle("twice")
    except TransformError as error:
        assert "mine:twice" in str(error), error
    else:
        raise AssertionError("two rows of one record were taken")


def _dataset(*steps: Transform) -> Dataset:
    return Dataset(topic="t", table="t", transforms=steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
