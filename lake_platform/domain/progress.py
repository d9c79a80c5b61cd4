"""What the metastore keeps of a dataset: its definition, schema versions, and where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.schema import Struct


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """`source` types the raw values, `table` the columns after transforms (None before the first
    batch of a dataset with transforms). `mapped`: how paths came to columns, of those that are new
    in this version, until it is on record (`Metastore.mapping` tells it then). `actor`: who made
    it, empty where nobody noted it."""

    version: int
    source: Struct
    table: Struct | None = None
    status: str = "ACTIVE"
    changes: tuple[str, ...] = ()
    created_at: int = 0
    actor: str = ""
    mapped: tuple[Mapped, ...] = ()

    @property
    def columns(self) -> Struct:
        """What the table has."""
        return self.table if self.table is not None else self.source


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A dataset as the metastore has it; `version` is for compare-and-set."""

    dataset: Dataset
    version: int
    status: Status
    registered_at: int


class Promised(Protocol):
    """What must be known of a definition to judge how its dataset does."""

    @property
    def table(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def max_lag_seconds(self) -> int: ...
    @property
    def raw_from(self) -> str: ...


class Watched(Protocol):
    """A dataset to be judged: a `DatasetRecord`, or less where many are looked at."""

    @property
    def dataset(self) -> Promised: ...
    @property
    def status(self) -> Status: ...
    @property
    def registered_at(self) -> int: ...


NEVER = -1
LOSSES = frozenset(["OffsetsMissingError", "TopicRecreatedError", "OffsetsWentBackError"])


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a dataset stands, from durable state. Times in ms; 0 = never.

    `head_seq`/`applied_seq`: newest raw commit and newest one in the table. `complete_through`:
    all records Kafka had at that time are in the table. `backlog`: records Kafka had beyond the
    raw log when last looked at. `reported_seq`: raw commits whose windows Dagster was told of.
    `looked_at`: when Kafka's end offsets were last read; `loss_at`: when the oldest record not read
    yet, as known then, may age out of Kafka, and `kept_ms`: how long a new record stays; for these
    two 0 is not known and NEVER no limit (dump/forecast). `quarantined_deletes`: those of
    `quarantined` that are deletes of an upsert table, so their rows are still there.
    `rescued`: values in `_rescued`. `begins_at`: the first window that raw ever had; 0 is none yet.

    `replaying` is a replay that must go on to the end of the log, while it is not there
    (load/unfinished).

    `dump_error` and `load_error` are why the last dump and the last load failed, each empty once
    one of its phase goes through; `…_kind` is the error's class. `load_failures`: how often in a
    row loads failed in the same way, none of them applying anything (domain/failures).
    `failed_dumps` and `failed_loads` count all failures there ever were; `…_failing_since` is the
    first one since the last success, 0 after a success.

    Of a dataset that reads the raw of another one, what is about phase 1 is that one's. The table
    ends at raw commit `ends_at`, where it is not 0: what comes then is in table `continued_in`.
    """

    head_seq: int = 0
    applied_seq: int = 0
    reported_seq: int = 0
    records_ingested: int = 0
    bytes_ingested: int = 0
    records: int = 0
    quarantined: int = 0
    deleted: int = 0
    deduplicated: int = 0
    dropped: int = 0
    quarantined_deletes: int = 0
    rescued: int = 0
    backlog: int = 0
    complete_as_of: int = 0
    complete_through: int = 0
    dumped_at: int = 0
    loaded_at: int = 0
    looked_at: int = 0
    begins_at: int = 0
    loss_at: int = 0
    kept_ms: int = 0
    dump_error: str = ""
    dump_error_kind: str = ""
    load_error: str = ""
    load_error_kind: str = ""
    load_failures: int = 0
    failed_dumps: int = 0
    failed_loads: int = 0
    dump_failing_since: int = 0
    load_failing_since: int = 0
    replaying: str = ""
    ends_at: int = 0
    continued_in: str = ""

    @property
    def waiting(self) -> int:
        """Raw commits that are still to come into the table."""
        last = min(self.head_seq, self.ends_at) if self.ends_at else self.head_seq
        return max(0, last - self.applied_seq)

    @property
    def last_error(self) -> str:
        """What stands in the way, the table's side first."""
        return self.load_error or self.dump_error

    @property
    def unread_is_gone(self) -> bool:
        """Whether the last dump found that Kafka lost records it had not read."""
        return self.dump_error_kind in LOSSES

    @property
    def all_quarantined(self) -> bool:
        """Whether records came and none of them ever was fit to be a row or a delete."""
        used = self.records or self.deduplicated or self.deleted
        return bool(self.quarantined) and not used


def lag_seconds(record: Watched, progress: Progress, now_ms: int) -> float:
    """Age of the newest moment up to which the table is known to be complete; before the first
    load the age of the dataset."""
    return lag_ms(record.registered_at, progress, now_ms) / 1000


def lag_ms(registered_at: int, progress: Progress, now_ms: int) -> int:
    through = progress.complete_through
    if not progress.waiting:
        through = max(through, progress.complete_as_of)
    return max(0, now_ms - (through or registered_at))


def time_to_data_loss_seconds(record: Watched, progress: Progress, now_ms: int) -> float | None:
    """How long until records that were not read may age out of Kafka; None when not known.

    Infinite without a limit, and while nothing was unread at the last look and that look is not
    older than max_lag_seconds, nor than Kafka keeps a record: what came after an older one may be
    unread, so time runs from it. 0 when the last dump found that unread records are gone.
    """
    return loss_seconds(record.status, record.dataset.max_lag_seconds, progress, now_ms)


def loss_seconds(
    status: Status, max_lag_seconds: int, progress: Progress, now_ms: int
) -> float | None:
    if status == Status.RETIRED:
        return None
    if progress.unread_is_gone:
        return 0.0
    if progress.loss_at == 0:
        return None
    age_ms = now_ms - progress.looked_at
    fresh = progress.backlog == 0 and age_ms <= max_lag_seconds * 1000
    fresh = fresh and now_ms < progress.loss_at
    if progress.loss_at == NEVER or fresh:
        return math.inf
    return max(0, progress.loss_at - now_ms) / 1000


def data_loss_limit_seconds(record: Watched, progress: Progress) -> float:
    """With less time than this left before Kafka may drop unread records somebody must know."""
    return max(2 * record.dataset.max_lag_seconds, progress.kept_ms / 5_000)


def concerns(progress: Progress) -> list[str]:
    """What an operator must know though the status may say LIVE; empty when all is well."""
    found = []
    if progress.dump_error:
        found.append(f"the last dump failed: {progress.dump_error}")
    if progress.load_error:
        found.append(f"the last load failed: {progress.load_error}")
    if progress.continued_in:
        found.append(
            f"the table ends at raw commit {progress.ends_at}: table {progress.continued_in} goes "
            f"on with what came then"
        )
    if progress.all_quarantined:
        found.append(f"no row came of {progress.quarantined} records: all are in quarantine")
    if progress.quarantined_deletes:
        found.append(
            f"{progress.quarantined_deletes} deletes are in quarantine: rows that were deleted at "
            f"the source are still in the table"
        )
    return found
