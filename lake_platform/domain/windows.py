"""Windows: one UTC hour each, the partition key of raw and table assets."""

from __future__ import annotations

from datetime import UTC, datetime

HOUR_MS = 3_600_000
FIRST_WINDOW = "2020-01-01-00:00"
KEY_FORMAT = "%Y-%m-%d-%H:%M"  # Dagster's hourly partition key
EARLIEST_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)


def in_range(timestamp_ms: int, ingest_ms: int) -> bool:
    """Whether a record's clock is believed: within [2020-01-01, ingest time + 1 h]."""
    return EARLIEST_MS <= timestamp_ms <= ingest_ms + HOUR_MS


def window_key(hour: int) -> str:
    """`hour` is hours since 1970 UTC."""
    return datetime.fromtimestamp(hour * 3600, UTC).strftime(KEY_FORMAT)


def window_of(timestamp_ms: int) -> str:
    return window_key(timestamp_ms // HOUR_MS)


def window_start_ms(key: str) -> int:
    """Raises ValueError when `key` is no window key."""
    parsed = datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    if parsed.minute:
        raise ValueError(f"{key!r} is not a full hour")
    return int(parsed.timestamp() * 1000)


def first_of_day(timestamp_ms: int) -> str:
    """The first window of the day."""
    return window_of(timestamp_ms - timestamp_ms % (24 * HOUR_MS))


def window_path(key: str) -> str:
    """`2026-11-24-03:00` -> `2026/11/24/03`."""
    return f"{key[0:4]}/{key[5:7]}/{key[8:10]}/{key[11:13]}"


def window_of_path(key: str) -> str:
    """Of an object under a window's path: `…/2026/11/24/03/name` -> `2026-11-24-03:00`."""
    year, month, day, hour = key.split("/")[-5:-1]
    return f"{year}-{month}-{day}-{hour}:00"
