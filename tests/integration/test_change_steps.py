"""Change events behind SQL steps, on the real engine: keys that change and rows that go."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.raw import log
from tests.integration.test_rules_steps import MakeLab, ids, make_lab
from tests.spark_support import spark
from tests.unit.load.test_changes import debezium

__all__ = ["make_lab", "spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
_STORY: list[dict[str, Any]] = [
    debezium("c", None, {"id": 1, "n": "a"}, 1),
    debezium("c", None, {"id": 2, "n": "b"}, 2),
    debezium("c", None, {"id": 3, "n": "c"}, 3),
    debezium("u", {"id": 1, "n": "a"}, {"id": 10, "n": "a"}, 4),
    debezium("u", {"id": 2, "n": "b"}, {"id": 20, "n": "hidden"}, 5),
    debezium("d", {"id": 3, "n": "c"}, None, 6),
    debezium("c", None, {"id": 4, "n": None}, 7),
    debezium("u", {"id": 4, "n": None}, {"id": None, "n": "x"}, 8),
]


def test_behind_a_step(make_lab: MakeLab) -> None:
    step = "SELECT CAST(id AS BIGINT) AS key, upper(n) AS n, _op FROM input WHERE n <> 'hidden'"
    lab = make_lab(
        step=step + " OR n IS NULL",
        mode="upsert",
        primary_key=("key",),
        envelope="debezium",
    )
    lab.send_all(_STORY[:3])
    lab.cycle()
    lab.send_all(_STORY[3:])
    [done] = lab.cycle()
    found = sorted((r["key"], r["n"], r["_op"]) for r in lab.plain_rows())
    # The row of a record that no longer passes, or has no key any more, is gone under the old one.
    assert found == [(4, None, "c"), (10, "A", "u")]
    balance = done.applied.balance
    assert (balance.records, balance.exploded, balance.dropped) == (5, 2, 1)
    assert (balance.quarantined, balance.difference) == (1, 0)
    windows = [o.window for c in log.iter_commits_after(lab.store, "t", 0) for o in c.objects]
    lab.load(replay=[windows[0]])
    assert sorted((r["key"], r["n"], r["_op"]) for r in lab.plain_rows()) == found


def test_without_a_step(make_lab: MakeLab) -> None:
    lab = make_lab(step="", mode="upsert", primary_key=("id",), envelope="debezium")
    lab.send_all(_STORY[:3])
    lab.cycle()
    lab.send_all(_STORY[3:])
    [done] = lab.cycle()
    assert ids(lab) == [4, 10, 20]
    balance = done.applied.balance
    assert (balance.exploded, balance.quarantined, balance.difference) == (2, 1, 0)
