"""Windows: hours in UTC and whose clock is believed."""

from __future__ import annotations

import time

import pytest

from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.windows import (
    EARLIEST_MS,
    FIRST_WINDOW,
    HOUR_MS,
    in_range,
    window_of,
    window_path,
    window_start_ms,
)

NOW_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC


def test_window_of_a_timestamp() -> None:
    assert window_of(NOW_MS) == "2026-11-01-00:00"
    assert window_of(NOW_MS - 1) == "2026-10-31-23:00"
    assert window_of(NOW_MS + HOUR_MS - 1) == "2026-11-01-00:00"
    assert window_of(EARLIEST_MS) == FIRST_WINDOW


@pytest.mark.parametrize("at", [EARLIEST_MS, NOW_MS, 1_709_164_800_000])
def test_start_is_the_inverse(at: int) -> None:
    assert window_start_ms(window_of(at)) == at - at % HOUR_MS


@pytest.mark.parametrize("key", ["2026-11-01-00:30", "2026-11-01", "x", "2026-13-01-00:00"])
def test_a_wrong_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"2026|does not match"):
        window_start_ms(key)


def test_belief_ends_are_exact() -> None:
    assert in_range(EARLIEST_MS, NOW_MS)
    assert not in_range(EARLIEST_MS - 1, NOW_MS)
    assert in_range(NOW_MS + HOUR_MS, NOW_MS)
    assert not in_range(NOW_MS + HOUR_MS + 1, NOW_MS)
    assert not in_range(-1, NOW_MS)


def test_path_of_a_window() -> None:
    assert window_path("2026-11-24-03:00") == "2026/11/24/03"


def test_windows_are_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert window_start_ms("2026-11-01-00:00") == NOW_MS
        assert window_of(NOW_MS) == "2026-11-01-00:00"
    time.tzset()


def test_a_range_is_as_long_as_it_is_and_never_negative() -> None:
    assert [len(OffsetRange(*r)) for r in ((3, 7), (0, 1), (5, 5), (7, 3))] == [4, 1, 0, 0]
