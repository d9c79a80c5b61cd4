"""What the metastore keeps of a dataset: its definition, schema versions, and where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.schema import Struct


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """`source` types the raw values, `table` the columns after transforms (None before the first
    batch of a dataset with transforms)."""

    version: int
    source: Struct
    table: Struct | None = None
    status: str = "ACTIVE"
    changes: tuple[str, ...] = ()
    created_at: int = 0

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


NEVER = -1


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a dataset stands, from durable state. Times in ms; 0 = never.

    `head_seq`/`applied_seq`: newest raw commit and newest one in the table. `complete_through`:
    all records Kafka had at that time are in the table. `backlog`: records Kafka had beyond the
    raw log when last looked at. `reported_seq`: raw commits whose windows Dagster was told of.
    `looked_at`: when Kafka's end offsets were last read; `loss_at`: when the oldest record not read
    yet, as known then, may age out of Kafka, and `kept_ms`: how long a new record stays; for these
    two 0 is not known and NEVER no limit (dump/forecast).
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
    backlog: int = 0
    complete_as_of: int = 0
    complete_through: int = 0
    dumped_at: int = 0
    loaded_at: int = 0
    looked_at: int = 0
    loss_at: int = 0
    kept_ms: int = 0
    last_error: str = ""


def lag_seconds(record: DatasetRecord, progress: Progress, now_ms: int) -> float:
    """Age of the newest moment up to which the table is known to be complete; before the first
    load the age of the dataset."""
    through = progress.complete_through
    if progress.applied_seq >= progress.head_seq:
        through = max(through, progress.complete_as_of)
    return max(0, now_ms - (through or record.registered_at)) / 1000


def time_to_data_loss_seconds(
    record: DatasetRecord, progress: Progress, now_ms: int
) -> float | None:
    """How long until records that were not read may age out of Kafka; None when not known.

    Infinite without a limit, and while nothing was unread at the last look and that look is not
    older than max_lag_seconds: what came after an older one may be unread, so time runs from it.
    """
    if progress.loss_at == 0 or record.status == Status.RETIRED:
        return None
    age_ms = now_ms - progress.looked_at
    fresh = progress.backlog == 0 and age_ms <= record.dataset.max_lag_seconds * 1000
    if progress.loss_at == NEVER or fresh:
        return math.inf
    return max(0, progress.loss_at - now_ms) / 1000
