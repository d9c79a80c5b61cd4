"""Decodes raw objects into staged Parquet.

A pure function of raw objects and a question: a crash leaves files under the claim's own staging
prefix, which nobody reads, and the cleaner removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lake_platform.domain.batches import Delete, Layout, StagedFile
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Ruling
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.ports import ObjectStore
from lake_platform.domain.schema import Struct
from lake_platform.errors import NotDecodedError
from lake_platform.load.decode import Decoder
from lake_platform.load.folders import laid_out
from lake_platform.load.report import ScanReport
from lake_platform.load.scan import Scanner
from lake_platform.raw.objects import read_text
from lake_platform.records.columns import parquet_bytes
from lake_platform.records.uncollected import uncollected

if TYPE_CHECKING:
    import pyarrow as pa

_TASK_BYTES = 96 << 20  # what one process holds at a time
_LEAST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """What the objects of a batch are decoded for. `layout` is set where the staged files become
    the table's own: then they have its `columns`."""

    dataset: Dataset
    source: Struct
    columns: Struct
    prefix: str
    layout: Layout | None = None
    projecting: bool = False
    ruling: Ruling = field(default_factory=Ruling)


@dataclass(frozen=True, slots=True)
class Staged:
    """`unique`: no key is in `files` and deletes together more than once."""

    report: ScanReport
    files: tuple[StagedFile, ...]
    unique: bool = True


def stage(question: Question, objects: Sequence[RawObject], store: ObjectStore) -> Staged:
    """In this process. Raises: as `stage_objects`."""
    parts = [
        stage_objects(store, question, chosen, number)
        for number, chosen in enumerate(shares(objects, 1))
    ]
    return together(question, parts, store)


def together(question: Question, parts: Sequence[Staged], store: ObjectStore) -> Staged:
    """One batch of its shares, in their order."""
    report = ScanReport(source=question.source, observed=question.source)
    for part in parts:
        report.add(part.report)
    files = tuple(f for part in parts for f in part.files)
    unique = all(p.unique for p in parts) and (
        len(parts) <= 1 or _is_unique(question, files, report.deletes, store)
    )
    return Staged(report, files, unique)


def shares(objects: Sequence[RawObject], processes: int) -> Iterator[tuple[RawObject, ...]]:
    """Objects of one Kafka partition stay together where they fit: most keys live in one."""
    ordered = sorted(objects, key=lambda o: (o.partition, o.first_offset))
    total = sum(o.raw_bytes for o in ordered)
    share = min(_TASK_BYTES, max(_LEAST_BYTES, total // processes + 1))
    chosen: list[RawObject] = []
    size = 0
    for raw in ordered:
        if chosen and size + raw.raw_bytes / 2 > share:
            yield tuple(chosen)
            chosen, size = [], 0
        chosen.append(raw)
        size += raw.raw_bytes
    if chosen:
        yield tuple(chosen)


def stage_objects(
    store: ObjectStore, question: Question, objects: Sequence[RawObject], number: int
) -> Staged:
    scanner = Scanner(
        question.dataset, question.source, question.projecting, question.columns,
        question.ruling,
    )  # fmt: skip
    decoder = Decoder(question.dataset, question.source)
    with uncollected():
        for raw in objects:
            for rows in scanner.scan(raw, read_text(store, raw)):
                decoder.add(rows)
    report = scanner.report
    if report.changes:  # decoded again with the schema that comes of them
        return Staged(report, ())
    if report.unaccounted:
        raise NotDecodedError(question.dataset.table, report.unaccounted, objects[0].key)
    # A tombstone has no ordering value before the table is looked at.
    unique = not (report.deletes and question.dataset.ordering_field)
    if decoder.newest is not None:
        report = replace(report, deletes=decoder.newest.add_deletes(report.deletes))
    table = decoder.table()
    files = tuple(_written(store, question, table, number))
    if missing := table.num_rows - sum(f.rows for f in files):
        raise NotDecodedError(question.dataset.table, missing, objects[0].key)
    return Staged(report, files, unique)


def _written(
    store: ObjectStore, question: Question, table: pa.Table, number: int
) -> Iterator[StagedFile]:
    if not table.num_rows:
        return
    for folder, rows in laid_out(table, question.dataset, question.columns, question.layout):
        data = parquet_bytes(rows, kept=question.layout is not None)
        key = f"{question.prefix}{folder}part-{number:05d}.zstd.parquet"
        store.put(key, data)
        yield StagedFile(key, rows.num_rows, len(data))


def _is_unique(
    question: Question, files: Sequence[StagedFile], deletes: Sequence[Delete], store: ObjectStore
) -> bool:
    """Tasks make keys unique among their own rows; a key may live in two Kafka partitions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(question.dataset.primary_key)
    if not names or question.dataset.transformed or not files:
        return True
    if deletes:
        return False
    tables = [
        pq.read_table(pa.BufferReader(store.get(f.key)), columns=names, partitioning=None)
        for f in files
    ]
    whole = pa.concat_tables(tables)
    return bool(whole.group_by(names).aggregate([]).num_rows == whole.num_rows)
