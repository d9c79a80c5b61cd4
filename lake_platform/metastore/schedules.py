"""Schedules of datasets: cron lines, in UTC."""

from __future__ import annotations

from functools import cache

from croniter import CroniterError, croniter

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError


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


@cache
def _wrong_with(schedule: str) -> str:
    try:
        croniter(schedule, 0).get_next()
    except CroniterError as error:
        return str(error)
    return ""
