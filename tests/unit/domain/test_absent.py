"""When a column counts as gone."""

from __future__ import annotations

import pytest

from lake_platform.domain.absent import AbsentFor, Applied, gone
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import dataset_to_dict, parse_dataset

_HOUR = 3_600_000
_POLICY = AbsentFor(batches=3, hours=2, records=30)


def _batches(*newest_first: set[str] | None, rows: int = 10) -> list[Applied]:
    """One an hour; the newest is of now."""
    now = 1_000 * _HOUR
    return [
        Applied(None if absent is None else frozenset(absent), rows, now - n * _HOUR)
        for n, absent in enumerate(newest_first)
    ]


@pytest.mark.parametrize(
    ("batches", "found"),
    [
        (_batches({"c"}, {"c"}, {"c"}), ["c"]),
        (_batches({"d", "c"}, {"c", "d", "e"}, {"c", "d"}, {"e"}), ["c", "d"]),
        (_batches({"c"}, {"c"}), []),
        (_batches({"c"}, set(), {"c"}, {"c"}), []),
        (_batches({"c"}, None, {"c"}, {"c"}), []),
        (_batches({"c"}, {"c"}, {"c"}, rows=9), []),
        (_batches({"c"}, {"c"}, {"c"}, {"c"}, rows=9), ["c"]),
        (_batches({"c"}, {"c"}, {"c"}, rows=0), []),
        ([], []),
    ],
)
def test_all_three_must_be_reached(batches: list[Applied], found: list[str]) -> None:
    assert list(gone(_POLICY, batches, 1_000 * _HOUR)) == found


def test_the_first_of_them_must_be_so_old() -> None:
    batches = _batches({"c"}, {"c"}, {"c"})
    assert gone(_POLICY, batches, 1_000 * _HOUR - 1) == []


@pytest.mark.parametrize(
    ("field", "value"), [("batches", 1), ("hours", 0), ("records", 0), ("records", 10**10)]
)
def test_what_says_nothing_is_refused(field: str, value: int) -> None:
    with pytest.raises(InvalidFieldError, match=f"absent_for.{field}"):
        AbsentFor(**{field: value})


def test_a_definition_has_it_as_json() -> None:
    said = {"topic": "t", "table": "t", "absent_for": {"batches": 5, "hours": 24, "records": 100}}
    dataset = parse_dataset(said)
    assert dataset.absent_for == AbsentFor(batches=5, hours=24, records=100)
    assert parse_dataset(dataset_to_dict(dataset)) == dataset
    with pytest.raises(InvalidFieldError, match="days"):
        parse_dataset({**said, "absent_for": {"days": 1}})


def test_behind_steps_it_means_nothing() -> None:
    with pytest.raises(InvalidFieldError, match="its steps make"):
        Dataset(topic="t", table="t", absent_for=AbsentFor(), explode="items")
