"""Datasets to audit, made by the real use cases, and hands that tamper with what they wrote.

Parquet tables are written by the real `ParquetEngine`, with pyarrow in the place of Spark.
"""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.auditor import audit
from lake_platform.audit.files import ArrowFiles, open_files
from lake_platform.audit.report import AuditReport, Counts
from lake_platform.audit.sources import File, Sources, TableLook, TopicLook
from lake_platform.audit.tables import open_reader
from lake_platform.domain.batches import BatchJob, StagedFile
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.ports import KafkaMessage
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.storage import ObjectStore
from tests.support import Lab

SOURCE = Struct((Field("id", Scalar("long")), Field("name", Scalar("string"))))
TECHNICAL = [
    pa.field("_kafka_partition", pa.int64()),
    pa.field("_kafka_offset", pa.int64()),
    pa.field("_kafka_timestamp", pa.timestamp("us", "UTC")),
]


def storable(milliseconds: int | None) -> int | None:
    """Microseconds, of what Spark would keep."""
    inside = milliseconds is not None and 0 <= milliseconds <= 253_402_300_799_999
    return milliseconds * 1000 if inside and milliseconds is not None else None


def no_session() -> Any:
    raise AssertionError("a Parquet table without transforms needs no Spark")


def without_spark(monkeypatch: Any) -> None:
    """A dataset's SQL steps, whatever they say, leave out ids that five divides."""

    def through(engine: ParquetEngine, job: BatchJob) -> list[StagedFile]:
        store, made = engine._store, []
        for file in job.staged:
            table = pq.read_table(pa.BufferReader(store.get(file.key)))
            kept = [v["id"] % 5 != 0 for v in table.select(["id"]).to_pylist()]
            table = table.filter(pa.array(kept))
            out = pa.BufferOutputStream()
            pq.write_table(table, out)
            key = file.key.replace("/part-", "/transformed/part-")
            data = bytes(out.getvalue())
            store.put(key, data)
            made.append(StagedFile(key, table.num_rows, len(data)))
        return made

    monkeypatch.setattr(ParquetEngine, "_through_spark", through)
    monkeypatch.setattr(ParquetEngine, "derive", lambda _self, _dataset, source, _seen=None: source)


@dataclass
class MemoryTopic:
    """The audit's view of a topic in memory."""

    kafka: MemoryKafka
    compacted: bool = False
    gone: bool = False

    def look(self, topic: str) -> TopicLook:
        if self.gone:
            return TopicLook("", {})
        info = self.kafka.describe(topic)
        return TopicLook(info.topic_id, info.ranges, self.compacted)

    def read(
        self, topic: str, ranges: Mapping[int, OffsetRange]
    ) -> Iterator[Sequence[KafkaMessage]]:
        with self.kafka.open(topic, ranges) as reader:
            while not reader.finished():
                yield reader.poll()


class RowReader:
    """The audit's view of a table in memory: `rows`, which a test may change."""

    def __init__(self, lab: Lab, columns: Sequence[pa.Field]) -> None:
        self._engine = MemoryEngine(lab.store)
        self._schema = pa.schema([*columns, *TECHNICAL])
        self.rows = [dict(r) for r in self._engine.rows(lab.dataset())]
        for row in self.rows:
            row["_kafka_timestamp"] = storable(row["_kafka_timestamp"])

    def look(self, dataset: Dataset) -> TableLook:
        return TableLook(self._engine.state(dataset).applied, "1")

    def schema(self, dataset: Dataset) -> pa.Schema:  # noqa: ARG002 - port
        return self._schema

    def batches(self, dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        table = pa.Table.from_pylist(self.rows, self._schema)
        yield from table.select(list(columns)).to_batches()


@dataclass
class StoredFiles:
    """The audit's view of a store in memory."""

    store: ObjectStore
    root: str = "memory:///"

    def list(self, prefix: str) -> Iterator[File]:
        return (File(info.key, info.size) for info in self.store.list(prefix))

    def size(self, key: str) -> int | None:
        info = self.store.head(key)
        return None if info is None else info.size

    def read(self, key: str) -> bytes:
        return self.store.get(key)


def local_files(root: Path) -> ArrowFiles:
    return open_files(root.as_uri(), {}, {})


@dataclass
class Copy:
    """A lab's storage, copied, to be tampered with and audited."""

    lab: Lab
    root: Path
    reader: RowReader | None = None

    def audit(self, *, deep: bool = True, window: str | None = None, **topic: Any) -> AuditReport:
        files = self.open()
        sources = Sources(
            self.lab.metastore, files, MemoryTopic(self.lab.kafka, **topic),
            lambda format_: self.reader or open_reader(format_, files),
        )  # fmt: skip
        return audit("t", sources, deep=deep, window=window)

    def open(self) -> ArrowFiles:
        return local_files(self.root)

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.root.glob(pattern))


def parquet_lab(
    home: Path, kafka: MemoryKafka | None = None, table: str = "t", **definition: Any
) -> Lab:
    home.mkdir(exist_ok=True)
    lab = Lab(home, kafka=kafka or MemoryKafka())
    lab.store = open_store((home / "storage").as_uri())
    lab.engine = ParquetEngine(no_session, lab.store)
    values = {"partitions": 2, "format": "parquet", "source": SOURCE, "max_quarantine_ratio": 1.0}
    lab.register(table, **{**values, **definition})
    return lab


def copy_of(lab: Lab, target: Path) -> Copy:
    shutil.copytree(lab.home / "storage", target)
    return Copy(lab, target)


Lines = Callable[[list[bytes]], list[bytes]]
Rows = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def seeded(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311 - nothing secret, and the same in every run


def rewrite_lines(path: Path, change: Lines) -> None:
    """A gzip NDJSON object, with its lines changed."""
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(change(lines)), 1))


def rewrite_rows(
    path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    """A Parquet file, with its rows changed."""
    table = pq.read_table(path, partitioning=None)
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def without_one(chance: random.Random, items: list[Any]) -> list[Any]:
    gone = chance.randrange(len(items))
    return [item for n, item in enumerate(items) if n != gone]


def one_twice(chance: random.Random, items: list[Any]) -> list[Any]:
    return [*items, chance.choice(items)]


def wrong(counts: Counts) -> Counts:
    """`counts` without what is no fault."""
    return replace(counts, records=0, raw=0, table=0, quarantined=0, dropped=0, pending=0)


def ten_and_a_bad_one(lab: Lab) -> None:
    """Ten records and a bad one of two partitions, in the table."""
    for n in range(10):
        lab.send({"id": n, "name": "n"}, partition=n % 2)
    lab.send(b"{", reason="not one valid JSON document")
    lab.cycle()
