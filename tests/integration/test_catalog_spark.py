"""Spark finds and reads the tables by name, through a metastore with the entries that Glue gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.glue.shapes import partition_input, table_input
from lake_platform.adapters.spark.session import session_config
from lake_platform.adapters.stored import stored
from lake_platform.catalog.entries import wanted
from tests.hudi_support import HudiLab, hudi_lab
from tests.spark_support import spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["hudi_lab", "spark"]
_REPO = Path(__file__).parents[2]
_SECONDS = 240


def read(lab: HudiLab, jars: Path, home: Path, tables: list[str], sql: list[str]) -> list[Any]:
    root = lab.store.url("").rstrip("/")
    entries: list[Any] = []
    partitions: dict[str, list[Any]] = {}
    for table in tables:
        held = stored(lab.store, lab.dataset(table))
        assert held is not None
        needed = wanted(lab.dataset(table), held, root)
        entries += [table_input(e) for e in needed.entries]
        partitions |= {
            e.name: [partition_input(e, p) for p in needed.partitions] for e in needed.entries
        }
    home.mkdir()
    asked = {
        "home": str(home), "config": session_config("local[2]", "1g", jars, {}),
        "tables": entries, "partitions": partitions, "sql": sql,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.hive_reader"],
        input=json.dumps(asked), capture_output=True, text=True, timeout=_SECONDS, cwd=_REPO,
        env={**os.environ, "PYTHONPATH": str(_REPO)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_tables_are_read_by_name(
    hudi_lab: HudiLab, spark: SparkSession, jars_dir: Path, tmp_path: Path
) -> None:
    lab = hudi_lab
    lab.register("flights", mode="upsert", primary_key=("id", "day"), partition_by=("day",))
    for n in range(6):
        lab.send({"id": n, "day": f"2026-11-0{n % 2 + 1}", "o": {"A": n}}, table="flights")
    lab.cycle("flights")
    lab.send({"id": 2, "day": "2026-11-01", "o": {"A": 2}}, table="flights")
    lab.cycle("flights")
    lab.compact("flights")
    lab.send({"id": 0, "day": "2026-11-01", "o": {"A": 7, "b": [1.5]}, "New": "x"}, table="flights")
    lab.cycle("flights")
    lab.register("plain", mode="append")
    lab.send({"id": 1, "d": 1.5, "m": {"a": {"b": 1}}}, table="plain")
    lab.cycle("plain")
    lab.register("weather", format="parquet", partition_by=("origin",))
    lab.engine = spark_engines(lambda: spark, lab.store)("parquet")
    for n in range(6):
        lab.send({"origin": ["JFK", "007", "a b/ü"][n % 3], "temp": 1.5 * n}, table="weather")
    lab.cycle("weather")
    lab.send({"origin": "JFK", "temp": 1, "o": {"New": True}}, table="weather")
    lab.cycle("weather")
    found = read(
        lab, jars_dir, tmp_path / "hive", ["flights", "plain", "weather"],
        [
            "SELECT id, o, New FROM lake.flights WHERE day = '2026-11-01' ORDER BY id",
            "SELECT id, o, New FROM lake.flights_rt WHERE day = '2026-11-01' ORDER BY id",
            "SELECT id, o.A FROM lake.flights_ro WHERE day = '2026-11-01' ORDER BY id",
            "SELECT id, d, m FROM lake.plain",
            "SELECT origin, count(*) AS n, sum(temp) AS t FROM lake.weather GROUP BY 1 ORDER BY 1",
            "SELECT count(*) AS n FROM lake.weather WHERE lake_part_origin = '007'",
            "SELECT o FROM lake.weather WHERE o IS NOT NULL",
            "DESCRIBE lake.flights",
        ],
    )  # fmt: skip
    merged = [
        {"id": 0, "o": {"A": 7, "b": [1.5]}, "New": "x"},
        {"id": 2, "o": {"A": 2, "b": None}, "New": None},
        {"id": 4, "o": {"A": 4, "b": None}, "New": None},
    ]
    assert found[0] == merged
    assert found[1] == merged
    assert found[2] == [{"id": 0, "A": 0}, {"id": 2, "A": 2}, {"id": 4, "A": 4}]
    (plain,) = found[3]
    assert (plain["id"], plain["d"]) == (1, 1.5)
    assert found[4] == [
        {"origin": "007", "n": 2, "t": 7.5}, {"origin": "JFK", "n": 3, "t": 5.5},
        {"origin": "a b/ü", "n": 2, "t": 10.5},
    ]  # fmt: skip
    assert found[5] == [{"n": 2}]
    assert found[6] == [{"o": {"New": True}}]
    types = {r["col_name"]: r["data_type"] for r in found[7]}
    assert types["o"] == "struct<A:bigint,b:array<double>>"
    assert types["New"] == "string"
