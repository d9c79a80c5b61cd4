"""The audit on a real broker and tables that Spark and Hudi wrote: read by its own consumer and by
hudi-rs and Arrow, from the disk and, the same files, from an S3 server."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.auditor import audit
from lake_platform.audit.files import ArrowFiles, open_files
from lake_platform.audit.report import AuditReport, Counts
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.audit.topic import KafkaTopic
from lake_platform.domain.offsets import Slice
from lake_platform.domain.quality import Reason
from lake_platform.domain.transform import Transform
from tests.audit_support import local_files, seeded
from tests.contract.seaweed import s3_url
from tests.integration.real_kafka import RealKafka
from tests.integration.s3_copy import Server, put_all
from tests.integration.test_phases import BAD, EngineByFormat, stream
from tests.spark_support import spark
from tests.support import HOUR_MS, Lab, infer_now

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.embedded.broker import Broker

__all__ = ["s3_url", "spark"]
pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    # What py4j leaves open when Spark sends rows to Python is closed by the collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Rows = list[dict[str, Any]]


@pytest.fixture
def lab(broker: Broker, spark: SparkSession, tmp_path: Path) -> Iterator[Lab]:
    now_ms = time.time_ns() // 1_000_000
    kafka = cast(MemoryKafka, RealKafka(broker.bootstrap))
    store = open_store((tmp_path / "storage").as_uri())
    lab = Lab(tmp_path, kafka=kafka, store=store, now_ms=now_ms)
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 40))
    lab.engine = cast(Any, EngineByFormat(lab, spark_engines(lambda: spark, store)))
    yield lab
    lab.close()


@pytest.fixture
def run(lab: Lab, broker: Broker, s3_url: Server) -> Callable[..., AuditReport]:
    """The report, which must be the same of the disk and of the S3 server."""

    def audited(files: ArrowFiles, deep: bool) -> AuditReport:
        topic = KafkaTopic(broker.bootstrap)
        sources = Sources(lab.metastore, files, topic, lambda f: open_reader(f, files))
        (table,) = lab.sent
        return audit(table, sources, deep=deep)

    def both(*, deep: bool = True, root: Path | None = None) -> AuditReport:
        home = root or lab.home / "storage"
        report = audited(local_files(home), deep)
        remote = open_files(put_all(home, s3_url), s3_url[1], {})
        assert audited(remote, deep) == report
        return report

    return both


def register(lab: Lab, **definition: Any) -> str:
    table = f"t{uuid.uuid4().hex[:8]}"
    lab.register(table, **{"partitions": 2, "max_quarantine_ratio": 1.0, **definition})
    return table


def wrong(counts: Counts) -> Counts:
    return replace(
        counts, records=0, raw=0, table=0, quarantined=0, dropped=0, filtered=0, pending=0
    )


def change_base_file(path: Path, change: Callable[[Rows], Rows]) -> None:
    table = pq.read_table(path, partitioning=None)
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def base_files(root: Path) -> list[Path]:
    """The files readers see: of Hudi's file groups the newest version."""
    newest: dict[str, Path] = {}
    for path in root.glob("lake/*/**/*.parquet"):
        group, _, rest = path.name.partition("_")
        name = f"{path.parent}/{group}"
        known = newest.get(name)
        if known is None or _instant(known) < rest.rpartition("_")[2]:
            newest[name] = path
    return sorted(newest.values())


def _instant(path: Path) -> str:
    return path.name.rpartition("_")[2]


@pytest.mark.parametrize(
    ("format_", "partition_by"),
    [
        pytest.param("hudi", (), marks=pytest.mark.deep),
        pytest.param("hudi", ("day",), marks=pytest.mark.deep),
        pytest.param("parquet", ("day",), marks=pytest.mark.deep),
    ],
)
def test_append(
    lab: Lab, run: Callable[..., AuditReport], format_: str, partition_by: tuple[str, ...]
) -> None:
    table = register(lab, format=format_, partition_by=partition_by)
    stream(lab, table)
    infer_now(lab, table)
    lab.send(None, table=table, key="4")
    done = lab.cycle(table)
    lab.now_ms += HOUR_MS
    lab.send({"id": 200, "day": "d9", "late": [{"x": 1}]}, table=table)
    lab.cycle(table)
    for deep in (True, False):
        report = run(deep=deep)
        assert (report.verdict, report.findings, report.problems) == ("sound", (), ())
        assert report.total.records == len(lab.sent[table])
        assert (report.total.quarantined, report.total.dropped) == (len(BAD), 1)
    lab.load(table, replay=sorted({w for r in done for w in r.windows}))
    assert run().verdict == run(deep=False).verdict == "sound"
    lab.send({"id": 201, "day": "d9"}, table=table)
    lab.dump(table)
    lab.send({"id": 202, "day": "d9"}, table=table)
    report = run()
    assert (report.verdict, report.total.pending, report.backlog) == ("pending", 1, 1)
    for seed in range(12):
        root = lab.home / f"copy{seed}"
        shutil.copytree(lab.home / "storage", root)
        expected = _tamper(root, seed)
        for deep in (True, False):
            assert wrong(run(deep=deep, root=root).total) == expected, (seed, deep)


def _tamper(root: Path, seed: int) -> Counts:
    chance = seeded(seed)
    file = chance.choice(base_files(root))
    hands: list[tuple[Callable[[Rows], Rows], Counts]] = [
        (lambda rows: rows[1:], Counts(lost=1)),
        (lambda rows: [*rows, rows[0]], Counts(duplicated=1)),
        (lambda rows: [*rows, {**rows[0], "_kafka_offset": 1_000_000}], Counts(alien=1)),
    ]
    hand, expected = hands[seed % 3]
    change_base_file(file, hand)
    return expected


def test_upsert(lab: Lab, run: Callable[..., AuditReport]) -> None:
    table = register(lab, mode="upsert", primary_key=("id",))
    stream(lab, table)
    infer_now(lab, table)
    lab.send({"name": "no key"}, table=table, reason=Reason.NULL_KEY.value)
    lab.send(None, table=table, key="not a number", reason=Reason.TOMBSTONE_KEY.value)
    lab.send(None, table=table, key="4")
    lab.send(None, table=table, key='{"id":5}', partition=1)
    lab.now_ms += 1
    lab.send({"id": 5, "name": "back"}, table=table, key="5", partition=1)
    lab.cycle(table)
    # Only base files so far: a row of them is a row of the table.
    for seed, (hand, expected) in enumerate(_upsert_hands()):
        root = lab.home / f"copy{seed}"
        shutil.copytree(lab.home / "storage", root)
        change_base_file(base_files(root)[seed % 2], hand)
        report = run(root=root)
        assert wrong(report.total) == expected, (seed, report.findings)
    lab.now_ms += HOUR_MS
    lab.send({"id": 1, "name": "again", "late": 7}, table=table, key="1", partition=1)
    lab.send(None, table=table, key="2")
    lab.cycle(table)
    report = run()
    assert (report.verdict, report.findings, report.notes) == ("sound", (), ())
    assert report.total.quarantined == len(BAD) + 2
    assert (run(deep=False).sound, run(deep=False).verdict) == (True, "needs --deep")


def _upsert_hands() -> list[tuple[Callable[[Rows], Rows], Counts]]:
    return [
        (lambda rows: rows[1:], Counts(lost=1)),
        (lambda rows: [*rows, {**rows[0], "id": 4_711}], Counts(alien=1)),
        (lambda rows: [{**rows[0], "name": "forged"}, *rows[1:]], Counts(lost=1, alien=1)),
    ]


def test_order_deletes_and_steps(lab: Lab, run: Callable[..., AuditReport]) -> None:
    """An ordering field, `delete_when`, and a key that is part of the partition path."""
    table = register(
        lab, mode="upsert", primary_key=("day", "id"), partition_by=("day",),
        ordering_field="ver", delete_when="op = 'D' AND ver > 0",
    )  # fmt: skip
    for n in range(40):
        value = {"id": n % 5, "day": f"d{n % 2}", "ver": n * 7 % 11, "op": "U", "x": 0.1 * n}
        lab.send(value, table=table, key=str(n % 5), partition=n % 2)
    lab.send({"id": 3, "day": "d1", "ver": 50, "op": "D", "x": 1}, table=table, partition=1)
    lab.cycle(table)
    report = run()
    assert (report.verdict, report.findings, report.notes) == ("sound", (), ())
    assert report.total.table == 9


def test_steps_that_leave_records_out(lab: Lab, run: Callable[..., AuditReport]) -> None:
    table = register(
        lab, transforms=(Transform(sql="SELECT id, name FROM input WHERE id % 3 <> 0"),)
    )
    for n in range(30):
        lab.send({"id": n, "name": "n"}, table=table, partition=n % 2)
    lab.cycle(table)
    report = run()
    assert (report.verdict, report.total.filtered, report.total.table) == ("sound", 10, 20)
    assert run(deep=False).verdict == "needs --deep"
