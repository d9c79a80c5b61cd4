"""A table rebuilt beside the live one and swapped in, on the engine in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import Slice
from lake_platform.errors import BatchClaimedError, CommitRaceError, InvalidFieldError
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


class Interrupted:
    """The metastore of a load; before its call number `at` of `progress` something happens."""

    def __init__(self, lab: Lab, at: int, act: Callable[[], None]) -> None:
        self._inner, self._left, self._act = lab.metastore, at, act

    def __getattr__(self, name: str) -> Any:
        if name == "progress":
            self._left -= 1
            if not self._left:
                self._act()
        return getattr(self._inner, name)


@pytest.mark.parametrize("at", range(1, 14))
def test_a_load_that_goes_on_past_a_swap_writes_by_the_new_definition(lab: Lab, at: int) -> None:
    lab.limits = replace(lab.limits, slice=Slice(1 << 20, 1), batch_bytes=1)
    lab.register()
    lab.send_all([{"id": n % 2, "v": n} for n in range(4)])
    lab.cycle()
    lab.send_all([{"id": n % 2, "v": n} for n in range(4, 8)])
    lab.dump()

    def swap() -> None:
        with suppress(BatchClaimedError):
            rebuild(lab, {"mode": "upsert", "primary_key": ["id"]})

    with suppress(CommitRaceError, BatchClaimedError):
        lab.load(metastore=Interrupted(lab, at, swap))
    lab.load()
    lab.account()
    if lab.dataset().mode == "upsert":
        assert {r["id"]: r["v"] for r in lab.rows()} == {0: 6, 1: 7}
