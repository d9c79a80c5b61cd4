"""Decodes raw objects into staged Parquet.

A pure function of raw objects and a question: a crash leaves files under the claim's own staging
prefix, which nobody reads, and the cleaner removes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lake_platform.domain.batches import Delete, Layout, StagedFile
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Names, Ruling
from lake_platform.domain.offsets import RawObject
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import NotDecodedError
from lake_platform.load.decode import Decoder, judged_later
from lake_platform.load.folders import laid_out
from lake_platform.load.report import ScanReport
from lake_platform.load.rules import Aside, rejected, row_rules
from lake_platform.load.scan import Scanner
from lake_platform.raw.objects import read_text
from lake_platform.records.columns import parquet_bytes
from lake_platform.records.uncollected import uncollected
from lake_platform.records.unique import Place, doubled

if TYPE_CHECKING:
    import pyarrow as pa

_TASK_BYTES = 96 << 20  # what one process holds at a time
_LEAST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """What the objects of a batch are decoded for. `layout` is set where the staged files become
    the table's own: then they have its `columns`. `aside`: what was decided of records before.
    `unused`: of `source`, what no step looks at."""

    dataset: Dataset
    source: Struct
    columns: Struct
    prefix: str
    layout: Layout | None = None
    projecting: bool = False
    ruling: Ruling = field(default_factory=Ruling)
    aside: Aside = field(default_factory=Aside)
    unused: frozenset[Names] = frozenset()


@dataclass(frozen=True, slots=True)
class Staged:
    """`unique`: no key is in `files` and deletes together more than once. `keys`: what rules on
    unique values compare; `doubled`: the records that they put aside, which are in `files` yet."""

    report: ScanReport
    files: tuple[StagedFile, ...]
    unique: bool = True
    keys: Mapping[str, Sequence[pa.RecordBatch]] = field(default_factory=dict)
    doubled: Mapping[Place, str] = field(default_factory=dict)


def stage(question: Question, objects: Sequence[RawObject], store: ObjectStore) -> Staged:
    """In this process. Raises: as `stage_objects`."""

    def run(asked: Question) -> Staged:
        chosen = enumerate(shares(objects, 1))
        return together(asked, [stage_objects(store, asked, c, n) for n, c in chosen], store)

    return without_doubled(question, run)


def together(question: Question, parts: Sequence[Staged], store: ObjectStore) -> Staged:
    """One batch of its shares, in their order."""
    limits = None if question.ruling.usual == "report" else question.dataset
    report = ScanReport(question.source, question.source, limits)
    for part in parts:
        report.add(part.report)
    files = tuple(f for part in parts for f in part.files)
    twice = _doubled(question, parts, report)
    one_a_key = all(p.unique for p in parts) and (
        len(parts) <= 1 or _is_unique(question, files, report.deletes, store)
    )
    return Staged(report, files, one_a_key, doubled=twice)


def _doubled(
    question: Question, parts: Sequence[Staged], report: ScanReport
) -> Mapping[Place, str]:
    """Notes what rules on unique values find; gives back the records that are put aside."""
    names = dict.fromkeys(name for part in parts for name in part.keys)
    if not names or report.changes:
        return {}
    keys = {name: [k for p in parts for k in p.keys.get(name, ())] for name in names}
    broken, aside = doubled(question.dataset, keys)
    report.rules |= broken
    only = question.aside.only
    return {p: reason for p, reason in aside.items() if only is None or p in only}


def without_doubled(question: Question, run: Callable[[Question], Staged]) -> Staged:
    """Decoded once more where a rule on unique values puts records aside: which they are is known
    only of the whole."""
    found = run(question)
    if not found.doubled:
        return found
    before = replace(question.aside, reasons={**question.aside.reasons, **found.doubled})
    again = run(replace(question, aside=before))
    again.report.rules = found.report.rules
    return again


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
        question.ruling, question.unused,
    )  # fmt: skip
    rules = row_rules(question.dataset, question.aside)
    decoder = Decoder(question.dataset, question.source, rules)
    with uncollected():
        for raw in objects:
            for rows in scanner.scan(raw, read_text(store, raw)):
                decoder.add(rows)
    report = scanner.report
    if report.changes:  # decoded again with the schema that comes of them
        return Staged(report, ())
    if rules is not None:
        report.rules = rules.broken
        report.rejected += rejected(store, objects, rules.aside)
        report.rows -= len(rules.aside)
        report.deletes = without(report.deletes, rules.aside)
    if report.unaccounted:
        raise NotDecodedError(question.dataset.table, report.unaccounted, objects[0].key)
    # A tombstone has no ordering value before the table is looked at.
    ordered = bool(report.deletes and question.dataset.ordering_field)
    one_a_key = not (ordered or judged_later(question.dataset))
    if decoder.newest is not None:
        report = replace(report, deletes=decoder.newest.add_deletes(report.deletes))
    table = decoder.table()
    if question.dataset.absent_for is not None:
        names = (f.name for f in question.source.fields)
        report.valued = {name for name in names if table[name].null_count < table.num_rows}
    files = tuple(_written(store, question, table, number))
    if missing := table.num_rows - sum(f.rows for f in files):
        raise NotDecodedError(question.dataset.table, missing, objects[0].key)
    return Staged(report, files, one_a_key, keys=rules.keys if rules is not None else {})


def without(deletes: Iterable[Delete], aside: Container[Place]) -> list[Delete]:
    """Less those of records that are put aside: the row keeps the key it had."""
    return [d for d in deletes if not (d.beside and (d.partition, d.offset) in aside)]


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
