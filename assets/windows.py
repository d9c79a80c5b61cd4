"""The partitions of raw and lake assets, and how often a growing window is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import Progress
from lake_platform.domain.windows import (
    FIRST_WINDOW,
    KEY_FORMAT,
    first_of_day,
    window_of,
    window_start_ms,
)
from resources.platform import PlatformResource

WINDOWS_TAG = "lake/windows_from"  # of runs a sensor asked for
_REPORT_EVERY_MS = 60_000
_asked_for: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Windows:
    """The partitions of a code location, from `first` to the current hour, which is open and grows.
    The same for all assets: a run serves many datasets, and has one partition."""

    first: str = FIRST_WINDOW

    def partitions(self) -> dg.PartitionsDefinition[str]:
        return dg.HourlyPartitionsDefinition(
            self.first, timezone="UTC", fmt=KEY_FORMAT, end_offset=1
        )

    def has(self, key: str, now_ms: int) -> bool:
        """Whether Dagster has this partition now; it takes an event for any other without a
        word."""
        try:
            start = window_start_ms(key)
        except ValueError:
            return False
        return key >= self.first and start <= now_ms

    def newest(self, windows: Iterable[str], now_ms: int) -> str:
        """The greatest of `windows` that is a partition now; the current hour when none is."""
        return max((w for w in windows if self.has(w, now_ms)), default=window_of(now_ms))


def windows_of(progress: Iterable[Progress], now_ms: int) -> Windows:
    """From the day on which the data of the oldest dataset begins; from the earliest there can be
    as long as none has any."""
    begins = [p.begins_at for p in progress if p.begins_at]
    return Windows(first_of_day(min(*begins, now_ms)) if begins else FIRST_WINDOW)


def settle(platform: PlatformResource, table: str, shown: str) -> None:
    """Has Dagster reload once data begins on another day than its partitions: with the first
    records of all, or with older ones. `shown`: where those of who asked for the run begin, which
    may be older than this process; empty where nobody said."""
    ports, first = platform.ports, shown or platform.first_window
    begins, now = ports.metastore.progress(table).begins_at, ports.clock()
    if not begins or first_of_day(begins) == first or FIRST_WINDOW < first < first_of_day(begins):
        return
    wanted = windows_of(platform.catalogue.all_progress().values(), now).first
    if wanted != first and (first, wanted) not in _asked_for:
        _asked_for.add((first, wanted))  # a run of many tables asks once
        platform.reload()


class Pace:
    """Which windows to report when: at the first touch, then at most once a minute, and at the
    end. One event costs about 30 ms, and a bootstrap touches the same window again and again."""

    def __init__(self) -> None:
        self._reported_ms: dict[str, int] = {}
        self._touched: set[str] = set()

    def touch(self, windows: Iterable[str]) -> None:
        self._touched.update(windows)

    def due(self, now_ms: int) -> Iterator[str]:
        for window in sorted(self._touched):
            if now_ms - self._reported_ms.get(window, -_REPORT_EVERY_MS) >= _REPORT_EVERY_MS:
                self._reported_ms[window] = now_ms
                self._touched.discard(window)
                yield window

    def rest(self) -> Iterator[str]:
        yield from sorted(self._touched)
        self._touched.clear()


@dataclass(slots=True)
class WindowTotals:
    """What raw commits put into one window; times are record times in ms."""

    first_seq: int
    last_seq: int
    min_timestamp: int
    max_timestamp: int
    records: int = 0
    rejected: int = 0
    objects: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0


class RawTally(dict[str, WindowTotals]):
    """Totals per window of the raw commits added."""

    def add(self, commit: RawCommit) -> None:
        for found in commit.objects:
            held = self.setdefault(
                found.window,
                WindowTotals(commit.seq, commit.seq, found.min_timestamp, found.max_timestamp),
            )
            held.records += found.records
            held.rejected += found.rejected
            held.objects += 1
            held.raw_bytes += found.raw_bytes
            held.stored_bytes += found.stored_bytes
            held.last_seq = commit.seq
            held.min_timestamp = min(held.min_timestamp, found.min_timestamp)
            held.max_timestamp = max(held.max_timestamp, found.max_timestamp)


def when(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
