"""Schedules of datasets: cron lines, in UTC."""

from __future__ import annotations

from functools import cache
from itertools import islice, pairwise

from croniter import CroniterError, croniter

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError

_LOOKED_AT = 400  # times from a Thursday on: a year of a daily line, a week of an hourly one


def check_schedule(dataset: Dataset) -> None:
    """Raises: InvalidFieldError for what is no cron line, or for one that never comes (30 2)."""
    wrong = _wrong_with(dataset.schedule)
    if wrong:
        raise InvalidFieldError(
            "schedule",
            dataset.schedule,
            f"not a cron line ({wrong})",
            "give five fields, as in */5 * * * *",
        )


def check_times(dataset: Dataset, before: Dataset | None) -> None:
    """What is wrong with schedule and promise; with both as they were `before`, only what no line
    may be.

    Raises: InvalidFieldError.
    """
    check_schedule(dataset)
    promise = (dataset.schedule, dataset.max_lag_seconds)
    if before is not None and promise == (before.schedule, before.max_lag_seconds):
        return
    longest = _longest_wait(dataset.schedule)
    if dataset.max_lag_seconds < longest:
        raise InvalidFieldError(
            "max_lag_seconds", dataset.max_lag_seconds,
            f"less than the {longest} seconds that may be between two dumps by the schedule "
            f"{dataset.schedule!r}: the table would be late before each of them",
            f"give {longest} or more, or another schedule (* * * * * is every minute)",
        )  # fmt: skip


@cache
def _wrong_with(schedule: str) -> str:
    try:
        croniter(schedule, 0).get_next()
    except CroniterError as error:
        return str(error)
    return ""


@cache
def _longest_wait(schedule: str) -> int:
    """Seconds between two times of a line that is one."""
    times = islice(croniter(schedule, 0).all_next(float), _LOOKED_AT)
    return int(max(later - earlier for earlier, later in pairwise(times)))
