"""The partitions of raw and lake assets, and how often a growing window is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.windows import FIRST_WINDOW, KEY_FORMAT, window_of, window_start_ms

# One object for all assets: Dagster compares partitions of related assets by it. `end_offset=1`
# adds the current hour, which is open and grows.
WINDOWS = dg.HourlyPartitionsDefinition(FIRST_WINDOW, timezone="UTC", fmt=KEY_FORMAT, end_offset=1)
_REPORT_EVERY_MS = 60_000


def is_window(key: str, now_ms: int) -> bool:
    """Whether Dagster has this partition now; it takes an event for any other without a word."""
    try:
        start = window_start_ms(key)
    except ValueError:
        return False
    return key >= FIRST_WINDOW and start <= now_ms


def newest_window(windows: Iterable[str], now_ms: int) -> str:
    """The greatest of `windows` that is a partition now; the current hour when there is none."""
    return max((w for w in windows if is_window(w, now_ms)), default=window_of(now_ms))


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
