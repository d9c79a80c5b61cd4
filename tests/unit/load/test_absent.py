"""Columns that records no longer have are dropped when the definition says so."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.absent import AbsentFor
from lake_platform.load.results import LoadResult
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_HOUR = 3_600_000
_POLICY = AbsentFor(batches=2, hours=3, records=4)


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def _hourly(lab: Lab, *batches: dict[str, Any]) -> list[LoadResult]:
    """Two records of each, an hour apart."""
    found = []
    for value in batches:
        lab.now_ms += _HOUR
        at = len(lab.sent["t"])
        lab.send_all({"id": at + n, **value} for n in range(2))
        found += lab.cycle()
    return found


def _columns(lab: Lab) -> list[str]:
    active = lab.metastore.active_schema("t")
    assert active is not None
    return [f.name for f in active.source.fields]


def test_a_column_without_values_for_so_long_is_dropped(lab: Lab) -> None:
    lab.register(absent_for=_POLICY)
    results = _hourly(lab, {"a": 1, "b": 1, "c": {"d": 1}}, {"c": {}}, {"b": 1}, {"b": None}, {})
    assert [r.dropped_columns for r in results] == [(), (), (), (), ("a",)]
    assert _columns(lab) == ["id", "b", "c"]
    assert [v.actor for v in lab.metastore.schema_versions("t")][1:] == ["absent_for"]
    (changes,) = [v.changes for v in lab.metastore.schema_versions("t")][1:]
    assert changes == ("DROP COLUMN a: absent for 2 batches, 3 hours, 4 records",)
    assert lab.dataset().columns == {"a": {"drop": True}}
    # A producer that sends it again does not bring it back; what it sends is counted.
    (again,) = _hourly(lab, {"a": 7, "b": 2, "c": {"d": 2}})
    assert (dict(again.passed_over), again.changes) == ({"a": 2}, ())
    assert [row["a"] for row in lab.rows()[:3]] == [1, 1, None]


@pytest.mark.parametrize(
    "more",
    [
        {"primary_key": ("a",), "mode": "upsert"},
        {"partition_by": ("a",)},
        {"columns": {"a": {"type": "long"}}},
        {"rules": [{"column": "a", "min": 0}]},
        {"absent_for": None},
        {"absent_for": AbsentFor(batches=2, hours=3, records=400)},
    ],
    ids=["key", "partition", "hint", "rule", "never", "few"],
)
def test_what_is_named_stays(lab: Lab, more: dict[str, Any]) -> None:
    from lake_platform.domain.rules import Rule

    more = {**more, "rules": tuple(Rule(**r) for r in more.get("rules", ()))}
    lab.register(**{"absent_for": _POLICY, **more})
    _hourly(lab, {"a": 1}, {}, {}, {}, {}, {})
    assert "a" in _columns(lab)


def test_rescued_values_are_values(lab: Lab) -> None:
    lab.register(absent_for=_POLICY, on_conflict="rescue", max_rescued_ratio=1)
    _hourly(lab, {"a": 1}, *[{"a": "x"}] * 5)
    assert "a" in _columns(lab)


def test_a_batch_that_nobody_looked_at_begins_anew(lab: Lab) -> None:
    lab.register(absent_for=_POLICY)
    _hourly(lab, {"a": 1}, {})
    _set(lab, None)
    _hourly(lab, {})
    _set(lab, {"batches": 2, "hours": 3, "records": 4})
    assert [r.dropped_columns for r in _hourly(lab, {}, {}, {}, {})] == [(), (), (), ("a",)]


def _set(lab: Lab, policy: dict[str, int] | None) -> None:
    version = lab.metastore.get("t").version
    lab.metastore.update("t", {"absent_for": policy}, version, "test")
