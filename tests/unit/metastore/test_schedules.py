"""What a dataset promises of freshness must be possible by its schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.schedules import check_schedule, check_times


def dataset(schedule: str, seconds: int) -> Dataset:
    return Dataset(topic="t", table="t", schedule=schedule, max_lag_seconds=seconds)


@pytest.mark.parametrize(
    ("schedule", "longest"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("*/7 * * * *", 420),  # not across the full hour: 56, 00
        ("0,50 * * * *", 3_000),
        ("0 9-17 * * *", 16 * 3_600),
        ("0 9-17 * * 1-5", 64 * 3_600),
        ("30 3 * * 0", 7 * 86_400),
    ],
)
def test_a_promise_below_the_longest_wait_is_refused(schedule: str, longest: int) -> None:
    check_times(dataset(schedule, longest), None)
    with pytest.raises(InvalidFieldError, match=rf"max_lag_seconds={longest - 1}: .*{longest} or"):
        check_times(dataset(schedule, longest - 1), None)


def test_what_an_older_release_took_goes_on_until_it_is_touched() -> None:
    old = dataset("*/5 * * * *", 60)
    check_times(replace(old, owner="team"), old)
    check_schedule(old)
    with pytest.raises(InvalidFieldError, match="max_lag_seconds=61"):
        check_times(replace(old, max_lag_seconds=61), old)
    with pytest.raises(InvalidFieldError, match="max_lag_seconds=60"):
        check_times(replace(old, schedule="*/2 * * * *"), old)
    check_times(replace(old, schedule="* * * * *"), old)
