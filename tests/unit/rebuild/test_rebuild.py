"""A table rebuilt beside the live one and swapped in, on the engine in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.errors import InvalidFieldError
from lake_platform.rebuild.rebuild import Rebuilder
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def rebuilder(lab: Lab, **ports: Any) -> Rebuilder:
    given = lab.ports(**ports)
    return Rebuilder(lab.metastore, given, lab.limits)


def rebuild(lab: Lab, changes: dict[str, Any], table: str = "t") -> None:
    work = rebuilder(lab)
    work.begin(table, changes, "ops")
    for _ in work.build(table):
        pass
    assert work.compare(table).problems == ()
    work.swap(table)


def shadow_objects(lab: Lab) -> list[str]:
    return [i.key for i in lab.store.list("") if ".rebuild-" in i.key]


def test_an_append_table_becomes_an_upsert_table_by_another_key(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}])
    lab.cycle()
    rebuild(lab, {"mode": "upsert", "primary_key": ["id"]})
    assert {r["id"]: r["v"] for r in lab.rows()} == {1: "c", 2: "b"}
    lab.account()
    assert lab.dataset().primary_key == ("id",)
    assert shadow_objects(lab) == []
    lab.send({"id": 2, "v": "d"})
    lab.cycle()
    lab.account()
    assert lab.metastore.progress("t").applied_seq == 2
    assert [r.dataset.table for r in lab.metastore.list_all()] == ["t"]


def test_a_column_becomes_text(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"id": 1, "amount": 5}, {"id": 2, "amount": 6}])
    lab.cycle()
    rebuild(lab, {"columns.amount": {"type": "string"}})
    assert [r["amount"] for r in lab.plain_rows()] == ["5", "6"]
    lab.send({"id": 3, "amount": "7 EUR"})
    lab.cycle()
    assert [r["amount"] for r in lab.plain_rows()] == ["5", "6", "7 EUR"]
    active = lab.metastore.active_schema("t")
    assert active is not None and active.version == 2
    assert "column amount: long became string (type)" in active.changes


def test_a_blocked_table_is_whole_and_live_again(lab: Lab) -> None:
    lab.register()
    lab.send_all([{"id": 1, "amount": 5}])
    lab.cycle()
    lab.metastore.set_status("t", Status.LIVE)
    lab.send({"id": 2, "amount": "six"})
    with pytest.raises(Exception, match="BLOCKED"):
        lab.cycle()
    assert lab.metastore.get("t").status is Status.BLOCKED
    rebuild(lab, {"columns.amount": {"type": "string"}})
    assert lab.metastore.get("t").status is Status.LIVE
    assert [r["amount"] for r in lab.plain_rows()] == ["5", "six"]
    (incident,) = lab.metastore.incidents("t")
    assert (incident.status, incident.resolution, incident.resolved_by) == (
        "RESOLVED", "rebuilt", "ops",
    )  # fmt: skip


def test_nothing_that_differs_is_refused(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1})
    lab.cycle()
    with pytest.raises(InvalidFieldError, match="nothing of the definition of t would differ"):
        rebuilder(lab).begin("t", {"owner": ""}, "ops")
    assert lab.metastore.rebuild("t") is None
