"""Both phases on a real broker and real Spark, with every kind of bad record in the stream.

Two engines read each table: Spark, and one that shares no code with it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.offsets import Slice
from lake_platform.domain.quality import MAX_VALUE_BYTES, Reason
from tests.integration.real_kafka import RealKafka, duckdb_rows, hudi_rs_rows
from tests.spark_support import spark, table_rows
from tests.support import HOUR_MS, Lab, check_append, check_upsert, infer_now

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.embedded.broker import Broker

__all__ = ["spark"]
pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    # What py4j leaves open when Spark sends rows to Python is closed by the collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
BAD: list[tuple[bytes, Reason]] = [
    (b'{"id":1}{"id":2}', Reason.NOT_JSON),
    (b'{"id":1} trailing', Reason.NOT_JSON),
    (b"{'id':1}", Reason.NOT_JSON),
    (b'{"id":1,"name":"\xff"}', Reason.NOT_UTF8),
    (b'{"id":NaN}', Reason.NOT_JSON),
    (b'{"id":1,"score":1e400}', Reason.NUMBER_RANGE),
    (b'\xef\xbb\xbf{"id":1}', Reason.NOT_JSON),
    (b"", Reason.EMPTY),
    (b'{"id":1,"name":"a\x00b"}', Reason.NOT_JSON),
    (b'{"id":1,"name":"a\nb"}', Reason.NOT_JSON),
    (b'{"id":01}', Reason.NOT_JSON),
    (b'{"id":1,}', Reason.NOT_JSON),
    (b'{"id":1,"name":"x', Reason.NOT_JSON),
    (b'{"id":1,"name":"\\ud800"}', Reason.NOT_JSON),
    (b'{"id":1,"deep":' + b"[" * 2000 + b"]" * 2000 + b"}", Reason.TOO_DEEP),
    (b"[1,2]", Reason.NOT_OBJECT),
    (b'"text"', Reason.NOT_OBJECT),
    (b"null", Reason.NOT_OBJECT),
    (b'{"id":1,"name":"' + b"x" * MAX_VALUE_BYTES + b'"}', Reason.TOO_LARGE),
    (b'{"id":1},"offset":99,"value":{"id":2}', Reason.NOT_JSON),
]
ODD: list[Any] = [
    b'{"id":101,"name":"first","name":"last"}',
    b'{ "id" : 102 ,\n\t"name" : "spread\\nout" }\r\n',
    {"id": 103, "name": 'Ünï 🙂 \u2028 " \\ / \x7f'},
    {"id": 9_007_199_254_740_993, "score": 0.30000000000000004},
    {"id": -(2**63), "score": -5e-324},
    {"id": 2**63 - 1, "score": 1.7976931348623157e308},
    {"id": 104, "o": {"a": [{"k": 1}, {"k": None}, None], "b": {}}},
    {"id": 105, "name": "x" * 1_000_000},
    {"id": 106, "name": ""},
    {"id": 107},
]


@pytest.fixture
def lab(broker: Broker, spark: SparkSession, tmp_path: Path) -> Iterator[Lab]:
    # Real time: the broker deletes what is older than its retention.
    now_ms = time.time_ns() // 1_000_000
    kafka = cast(MemoryKafka, RealKafka(broker.bootstrap))
    store = open_store((tmp_path / "storage").as_uri())
    lab = Lab(tmp_path, kafka=kafka, store=store, now_ms=now_ms)
    lab.read_rows = table_rows(spark, store)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 40))
    engines = spark_engines(lambda: spark, store)
    lab.engine = cast(Any, EngineByFormat(lab, engines))
    yield lab
    lab.close()


class EngineByFormat:
    """The lab has one engine; here it is the one of the first dataset's format."""

    def __init__(self, lab: Lab, engines: Any) -> None:
        self._lab, self._engines = lab, engines

    def __getattr__(self, name: str) -> Any:
        (table,) = self._lab.sent
        return getattr(self._engines(self._lab.dataset(table).format), name)


def stream(lab: Lab, table: str) -> None:
    first = {"id": 0, "name": "n", "day": "d", "score": 1.5, "o": {"a": [{"k": 1}], "b": {"c": 1}}}
    lab.send(first, table=table, key="0")
    for number, value in enumerate(ODD):
        lab.send(value, table=table, partition=number % 2, headers=[("h", b"\xff")])
    for number, (bad, reason) in enumerate(BAD):
        lab.send(bad, table=table, partition=number % 2, reason=reason.value)
    for number in range(60):
        value = {"id": number % 7, "name": f"v{number}", "day": f"d{number % 3}"}
        # A key stays in its partition.
        lab.send(value, table=table, partition=number % 7 % 2, key=str(number % 7))


@pytest.mark.parametrize(
    ("format_", "partition_by"), [("hudi", ()), ("hudi", ("day",)), ("parquet", ("day",))]
)
def test_append(lab: Lab, tmp_path: Path, format_: str, partition_by: tuple[str, ...]) -> None:
    table = f"t{uuid.uuid4().hex[:8]}"
    lab.register(
        table, partitions=2, format=format_, partition_by=partition_by, max_quarantine_ratio=1.0
    )
    stream(lab, table)
    infer_now(lab, table)
    lab.send(None, table=table, key="4")
    done = lab.cycle(table)
    assert sum(r.applied.balance.difference for r in done) == 0
    assert sum(r.applied.balance.quarantined for r in done) == len(BAD)
    lab.account(table)
    lab.now_ms += HOUR_MS
    lab.send({"id": 200, "day": "d9", "late": [{"x": 1}]}, table=table)
    lab.cycle(table)
    lab.account(table)
    windows = sorted({w for r in done for w in r.windows})
    lab.load(table, replay=windows)
    lab.account(table)
    path = tmp_path / "storage" / "lake" / table
    check_append(duckdb_rows(path) if format_ == "parquet" else hudi_rs_rows(path), lab.sent[table])


def test_upsert(lab: Lab, tmp_path: Path) -> None:
    table = f"t{uuid.uuid4().hex[:8]}"
    dataset = lab.register(
        table, partitions=2, mode="upsert", primary_key=("id",), max_quarantine_ratio=1.0
    )
    stream(lab, table)
    infer_now(lab, table)
    lab.send({"name": "no key"}, table=table, reason=Reason.NULL_KEY.value)
    lab.send({"id": None, "name": "null key"}, table=table, reason=Reason.NULL_KEY.value)
    lab.send(None, table=table, reason=Reason.TOMBSTONE_KEY.value)
    lab.send(None, table=table, key="not a number", reason=Reason.TOMBSTONE_KEY.value)
    lab.send(None, table=table, key="4")
    lab.send(None, table=table, key='{"id":5}', partition=1)
    lab.now_ms += 1
    lab.send({"id": 5, "name": "back"}, table=table, key="5", partition=1)
    done = lab.cycle(table)
    assert sum(r.applied.balance.difference for r in done) == 0
    lab.account(table)
    lab.now_ms += HOUR_MS
    lab.send({"id": 1, "name": "again", "late": 7}, table=table, key="1", partition=1)
    lab.send(None, table=table, key="2")
    lab.cycle(table)
    lab.account(table)
    lab.load(table, replay=sorted({w for r in done for w in r.windows}))
    lab.account(table)
    rows = hudi_rs_rows(tmp_path / "storage" / "lake" / table)
    check_upsert(dataset, [r for r in rows if not r.get("_hoodie_is_deleted")], lab.sent[table])
