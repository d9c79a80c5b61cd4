"""The newest windows of a dataset on their way from raw into the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from lake_platform.domain.progress import DatasetRecord
from lake_platform.domain.storage import ObjectStore
from lake_platform.metastore.batch_rows import BatchStatistics
from lake_platform.raw import log as raw_log

MOST_WINDOWS = 48
MOST_BATCHES = 200
_MOST_WAITING = 100
BAR_HEIGHT = 100


@dataclass(frozen=True, slots=True)
class Window:
    """`applied` records went through a batch, `waiting` ones are in raw only; both heights of their
    bars are shares of the chart's."""

    name: str
    applied: int
    waiting: int
    applied_height: float
    waiting_height: float

    @property
    def records(self) -> int:
        return self.applied + self.waiting


@dataclass(frozen=True, slots=True)
class Timeline:
    """`whole`: all raw commits that wait were looked at."""

    windows: tuple[Window, ...]
    whole: bool

    @property
    def newest_first(self) -> list[Window]:
        return list(reversed(self.windows))


def timeline(
    record: DatasetRecord, applied_seq: int, batches: Sequence[BatchStatistics], store: ObjectStore
) -> Timeline:
    """Of the newest batches on record, and of the raw commits behind them.

    Raises: StorageUnavailableError, CorruptRawError.
    """
    applied: Counter[str] = Counter()
    for batch in batches:
        if batch.counted:
            applied.update(batch.windows)
    waiting: Counter[str] = Counter()
    commits = raw_log.of_table(store, record.dataset, applied_seq)
    for commit in islice(commits, _MOST_WAITING):
        for held in commit.objects:
            waiting[held.window] += held.records
    newest = sorted({*applied, *waiting})[-MOST_WINDOWS:]
    top = max((applied[w] + waiting[w] for w in newest), default=0) or 1
    windows = tuple(
        Window(
            w, applied[w], waiting[w],
            applied[w] / top * BAR_HEIGHT, waiting[w] / top * BAR_HEIGHT,
        )
        for w in newest
    )  # fmt: skip
    return Timeline(windows, next(commits, None) is None)
