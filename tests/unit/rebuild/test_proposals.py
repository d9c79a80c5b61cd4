"""Which new columns are taken for renamed ones, and what is said for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.evolution.proposals import Proposal
from lake_platform.rebuild.proposals import proposals
from tests.support import Lab
from tests.unit.rebuild.test_altering import alias


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register()
    lab.send_all(record(n, customer_id=n % 7) for n in range(50))
    lab.cycle()
    yield lab
    lab.close()


def record(n: int, **more: Any) -> dict[str, Any]:
    return {"id": n, "total": n * 1000, "state": "x", **more}


def found(lab: Lab) -> list[Proposal]:
    return proposals("t", lab.metastore, lab.store)


def test_one_gone_as_the_other_comes_within_a_batch(lab: Lab) -> None:
    lab.send_all(record(n, customer_id=n % 7) for n in range(50, 60))
    lab.send(b"{")
    lab.send_all(record(n, customerId2=n % 7, note="n") for n in range(60, 100))
    lab.cycle()
    (one,) = found(lab)
    assert (one.column, one.key, one.version) == ("customer_id", "customerId2", 2)
    assert (one.before, one.gone, one.since, one.same_values) == (1.0, 1.0, 1.0, 1.0)
    assert 0.9 < one.score <= 1
    assert alias(lab, one.column, one.key)
    assert found(lab) == []
    assert [r["customer_id"] for r in lab.plain_rows()] == [n % 7 for n in range(100)]


@pytest.mark.parametrize(
    "more",
    [
        {"customer_id": 1, "customerId2": 1},  # both
        {"customer_id": 1, "extra": 1},
        {"customerId2": "one"},  # of another type
        {"note": [1]},
    ],
    ids=str,
)
def test_what_is_no_rename(lab: Lab, more: dict[str, Any]) -> None:
    lab.send_all(record(n, **more) for n in range(50, 90))
    lab.cycle()
    assert found(lab) == []


def test_nothing_came_yet(lab: Lab) -> None:
    lab.register("empty")
    assert found(lab) == []
    assert proposals("empty", lab.metastore, lab.store) == []
