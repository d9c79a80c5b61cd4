"""Hudi's options one by one: what each adds to or takes from the CPU time of a write.

    python -m bench.options --jars .lake/jars --rows 200000 --rounds 3

Every variant is measured beside the platform's own options, one after the other in one warm session
and in turns, and its table is read back and counted. CPU is that of the JVM, user and system.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from lake_platform.adapters.hudi.options import (
    COMMON,
    fence_options,
    key_options,
    mode_options,
)
from lake_platform.adapters.spark.session import open_session, session_config
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import PLACE
from lake_platform.embedded.java import java_home
from lake_platform.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MASTER = "local[2]"
Options = Mapping[str, str]
BULK: Options = {"hoodie.datasource.write.operation": "bulk_insert"}
INSERT: Options = {"hoodie.datasource.write.operation": "insert"}
# What is changed against the platform's options, by name; see docs/performance.md for the results.
VARIANTS: dict[str, Options] = {
    "combine before upsert": {"hoodie.combine.before.upsert": "true"},
    "metadata table": {"hoodie.metadata.enable": "true"},
    "timeline server": {"hoodie.embed.timeline.server": "true"},
    "timeline server and its markers": {
        "hoodie.embed.timeline.server": "true",
        "hoodie.write.markers.type": "timeline_server_based",
    },
    "Spark's record merger, Parquet log blocks": {
        "hoodie.write.record.merge.custom.implementation.classes": (
            "org.apache.hudi.DefaultSparkRecordMerger"
        ),
        "hoodie.logfile.data.block.format": "parquet",
    },
    "Avro schema not validated": {"hoodie.avro.schema.validate": "false"},
    "no dictionary": {"hoodie.parquet.dictionary.enabled": "false"},
    "snappy": {"hoodie.parquet.compression.codec": "snappy"},
    "bloom filter off": {"hoodie.parquet.bloom.filter.enabled": "false"},
    "parallelism 4": {
        "hoodie.upsert.shuffle.parallelism": "4",
        "hoodie.bulkinsert.shuffle.parallelism": "4",
    },
    "row writer off": {"hoodie.datasource.write.row.writer.enable": "false"},
    "bulk_insert": BULK,
    "insert": INSERT,
}
_APPEND_TOO = {
    "metadata table", "timeline server", "no dictionary", "snappy", "bloom filter off",
    "parallelism 4", "row writer off", "Avro schema not validated",
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    cpu: float
    wall: float


class Meter:
    """CPU time of the session's JVM."""

    def __init__(self, spark: SparkSession) -> None:
        jvm = spark.sparkContext._jvm
        if jvm is None:
            raise EngineError("Spark Connect has no JVM here; measure a classic session")
        self._stat = Path(f"/proc/{jvm.java.lang.ProcessHandle.current().pid()}/stat")

    def of(self, act: Callable[[], None]) -> Cost:
        cpu, wall = self._cpu(), time.monotonic()
        act()
        return Cost(self._cpu() - cpu, time.monotonic() - wall)

    def _cpu(self) -> float:
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows(spark: SparkSession, first: int, count: int, order: int) -> DataFrame:
    """Events of some 250 bytes with the technical columns of a batch."""
    return spark.range(first, first + count, 1, 2).selectExpr(
        "concat('user-', id) AS k", "id AS n", "id * 0.37 AS amount", "id % 7 = 0 AS flag",
        "concat('page/', id % 1000, '?q=', hex(hash(id))) AS page", "sha2(string(id), 256) AS note",
        "timestamp_millis(1793491200000 + id) AS at", "id % 8 AS _kafka_partition",
        "id AS _kafka_offset", "timestamp_millis(1793491200000 + id) AS _kafka_timestamp",
        "concat('user-', id) AS _kafka_key", f"lpad({order}00000000 + id, 34, '0') AS _kafka_order",
        "false AS _hoodie_is_deleted", "concat('user-', id) AS _lake_key",
    )  # fmt: skip


class Trial:
    def __init__(self, spark: SparkSession, home: Path, count: int) -> None:
        self._spark, self._home, self._count = spark, home, count
        self._meter, self._number = Meter(spark), 0
        for name, first, size, order in (
            ("full", 0, count, 1), ("tenth", count // 2, count // 10, 2),
        ):  # fmt: skip
            rows(spark, first, size, order).write.parquet(str(home / f"{name}.parquet"))

    def append(self, changed: Options) -> dict[str, Cost]:
        own = _own(Dataset(topic="t", table="t"), PLACE)
        return self._run({"append": ("full", {**own, **changed})})

    def upsert(self, changed: Options) -> dict[str, Cost]:
        """First all rows into an empty table, then updates of a tenth."""
        own = _own(Dataset(topic="t", table="t", mode="upsert", primary_key=("k",)), ("_lake_key",))
        # How the empty table is filled is a matter of the first write alone.
        later = {} if changed in (BULK, INSERT) else changed
        return self._run(
            {"bootstrap": ("full", {**own, **changed}), "updates": ("tenth", {**own, **later})}
        )

    def _run(self, steps: Mapping[str, tuple[str, Options]]) -> dict[str, Cost]:
        self._number += 1
        path = str(self._home / f"table{self._number}")
        found = {}
        for step, (source, options) in steps.items():
            frame = self._spark.read.parquet(str(self._home / f"{source}.parquet"))
            chosen = {**COMMON, **fence_options(f"{path}.lock"), **options}
            writer = frame.write.format("hudi").options(**chosen).mode("append")
            found[step] = self._meter.of(partial(writer.save, path))
        table = self._spark.read.format("hudi").load(path)
        held = (table.count(), table.select("_hoodie_record_key").distinct().count())
        if held != (self._count, self._count):
            raise EngineError(f"{held} rows and keys, not {self._count}")
        shutil.rmtree(path)
        return found


def _own(dataset: Dataset, key: tuple[str, ...]) -> dict[str, str]:
    job = cast(BatchJob, SimpleNamespace(dataset=dataset, replay=False))
    tasks = {f"hoodie.{kind}.shuffle.parallelism": "2" for kind in ("upsert", "bulkinsert")}
    return {**key_options(dataset, key), **mode_options(job), **tasks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jars", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    os.environ.setdefault("JAVA_HOME", str(java_home()))
    home = Path(tempfile.mkdtemp(prefix="lake-options-"))
    spark = open_session(session_config(_MASTER, "2g", asked.jars), _MASTER)
    try:
        trial = Trial(spark, home, asked.rows)
        for kind, run in (("append", trial.append), ("upsert", trial.upsert)):
            run({})  # warm
            for name, changed in VARIANTS.items():
                if (kind == "append" and name not in _APPEND_TOO) or asked.only not in name:
                    continue
                _compare(f"{kind}: {name}", run, changed, asked.rounds)
    finally:
        spark.stop()
        shutil.rmtree(home, ignore_errors=True)


def _compare(
    name: str, run: Callable[[Options], dict[str, Cost]], changed: Options, rounds: int
) -> None:
    try:
        pairs = [(run({}), run(changed)) for _ in range(rounds)]
    except Exception as error:  # what Hudi or the count says against it
        print(f"| {name} | failed: {str(error).splitlines()[0][:120]} |", flush=True)
        return
    for step in pairs[0][0]:
        own = median(a[step].cpu for a, _ in pairs)
        other = median(b[step].cpu for _, b in pairs)
        ratio = median(b[step].cpu / a[step].cpu for a, b in pairs)
        print(f"| {name} | {step} | {own:.2f} | {other:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
