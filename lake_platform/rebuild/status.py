"""What is on record of a rebuild that is under way, without an engine, and which may begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.part import part_of
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.domain.rebuild import Rebuild
from lake_platform.errors import InvalidFieldError, NotRunnableError
from lake_platform.metastore.repository import Repository
from lake_platform.rebuild.asked import differing, wanted


@dataclass(frozen=True, slots=True)
class OnRecord:
    """Of one table, as its batches were counted: `records` are rows written, updates too."""

    upto: int
    records: int
    quarantined: int
    deduplicated: int
    deleted: int
    dropped: int


@dataclass(frozen=True, slots=True)
class RebuildStatus:
    """`changes`: field -> its value of before and after; `waiting`: raw commits that are still to
    be loaded; `error`: why the last try to build it stopped."""

    table: str
    changes: Mapping[str, tuple[Any, Any]]
    actor: str
    begun_at: int
    waiting: int
    live: OnRecord
    rebuilt: OnRecord
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        changes = {n: {"before": b, "after": a} for n, (b, a) in self.changes.items()}
        return asdict(self) | {"changes": changes}


def status(metastore: Repository, table: str) -> RebuildStatus | None:
    """None when no rebuild is under way. Raises: DatasetNotFoundError."""
    record, known = metastore.get(table), metastore.rebuild(table)
    if known is None:
        return None
    live, rebuilt = metastore.progress(table), metastore.progress(known.shadow.table)
    end = min(live.head_seq, live.ends_at) if live.ends_at else live.head_seq
    return RebuildStatus(
        table, differing(record.dataset, known.shadow.live), known.actor, known.begun_at,
        max(0, end - max(rebuilt.applied_seq, known.shadow.raw_span.after)),
        _on_record(live), _on_record(rebuilt), rebuilt.load_error,
    )  # fmt: skip


def agreed(
    metastore: Repository, table: str, changes: Mapping[str, Any]
) -> tuple[DatasetRecord, Rebuild | None, Dataset]:
    """The dataset, the rebuild that is under way, and the definition that is asked for: that of the
    rebuild when there are no `changes`.

    Raises:
        DatasetNotFoundError; NotRunnableError: it is retired.
        InvalidFieldError: nothing differs, it cannot be, or another rebuild is under way.
    """
    record, known = metastore.get(table), metastore.rebuild(table)
    if record.status is Status.RETIRED:
        raise NotRunnableError(table, record.status)
    after = known.shadow.live if known else record.dataset
    if changes or known is None:
        after = part_of(wanted(record.dataset, changes), record.dataset.raw_span)
    if known is not None and after != known.shadow.live:
        fields = ", ".join(differing(record.dataset, known.shadow.live))
        raise InvalidFieldError(
            "table", table, f"is being rebuilt with another {fields}",
            f"go on with that: lake rebuild {table}; or drop it: lake rebuild {table} --abort",
        )  # fmt: skip
    return record, known, after


def under_way(metastore: Repository, table: str) -> Rebuild:
    """Raises: DatasetNotFoundError; InvalidFieldError: there is none."""
    rebuild = metastore.rebuild(table)
    if rebuild is None:
        metastore.get(table)
        raise InvalidFieldError(
            "table", table, "is not being rebuilt",
            f"begin: lake rebuild {table} --change field=JSON",
        )  # fmt: skip
    return rebuild


def _on_record(found: Progress) -> OnRecord:
    return OnRecord(
        found.applied_seq, found.records, found.quarantined, found.deduplicated, found.deleted,
        found.dropped,
    )  # fmt: skip
