"""The rebuilt table beside the live one, and whether it is sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lake_platform.domain.batches import TableProfile
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import Progress
from lake_platform.domain.quality import Balance
from lake_platform.domain.rebuild import Shadow
from lake_platform.domain.schema import Struct, columns
from lake_platform.metastore.repository import Repository

_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of one table; `upto` is the newest raw commit in it."""

    upto: int
    rows: int
    keys: int
    quarantined: int
    deduplicated: int
    deleted: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Column:
    """Types are empty where a table has no such column."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`columns`: those that differ. `problems`: why the rebuilt table must not be swapped in."""

    before: Numbers
    after: Numbers
    columns: tuple[Column, ...]
    problems: tuple[str, ...]


def compared(shadow: Shadow, metastore: Repository, ports: Ports) -> Comparison:
    live = metastore.get(shadow.rebuild_of).dataset
    profile = _profile(shadow, ports)
    return Comparison(
        _numbers(metastore.progress(live.table), _profile(live, ports)),
        _numbers(metastore.progress(shadow.table), profile),
        tuple(differing_columns(_struct(live, metastore), _struct(shadow, metastore))),
        tuple(_problems(shadow, metastore, ports, profile)),
    )


def _profile(dataset: Dataset, ports: Ports) -> TableProfile:
    engine = ports.engine(dataset.format)
    return engine.profile(dataset) if engine.state(dataset).last else TableProfile(0, 0, 0)


def _struct(dataset: Dataset, metastore: Repository) -> Struct:
    active = metastore.active_schema(dataset.table)
    return active.columns if active else Struct()


def _numbers(progress: Progress, profile: TableProfile) -> Numbers:
    return Numbers(
        progress.applied_seq, profile.rows, profile.keys, progress.quarantined,
        progress.deduplicated, progress.deleted, progress.dropped,
    )  # fmt: skip


def differing_columns(before: Struct, after: Struct) -> Iterator[Column]:
    old, new = ({name: str(kind) for name, kind in columns(s)} for s in (before, after))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield Column(name, old.get(name, ""), new.get(name, ""))


def _problems(
    shadow: Shadow, metastore: Repository, ports: Ports, profile: TableProfile
) -> Iterator[str]:
    batches = [b for b in metastore.batches(shadow.table, _ALL) if b.counted]
    total = sum((b.balance for b in batches), Balance())
    if total.difference:
        yield f"of {total.records} records {total.difference} are nowhere"
    if shadow.mode == "append" and profile.rows != total.written:
        yield f"the table has {profile.rows} rows, and {total.written} were written"
    if profile.keys != profile.rows:
        yield f"of {profile.rows} rows {profile.rows - profile.keys} have a key that is there twice"
    if profile.null_keys:
        yield f"{profile.null_keys} rows have a key that is null"
    if not ports.engine(shadow.format).state(shadow).applied:
        yield "nothing was loaded"
