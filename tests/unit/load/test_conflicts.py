"""What becomes of values of another type than their column, in a table that is there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lake_platform.domain.dataset import Status
from lake_platform.domain.schema import Array, Field, Map, Scalar, Struct
from lake_platform.errors import QuarantineRatioError, SchemaBlockedError
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]
LONG = Scalar("long")
SOURCE = Struct((
    Field("id", LONG), Field("n", LONG), Field("o", Struct((Field("x", LONG),))),
    Field("a", Array(LONG)), Field("m", Map(LONG)),
    Field("items", Array(Struct((Field("x", LONG),)))),
))  # fmt: skip
FIRST = {"id": 0, "n": 1, "o": {"x": 1}, "a": [1], "m": {"k": 1}, "items": [{"x": 1}]}
CONFLICTS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "scalar": ('{"id":1,"n":"x"}', {"/n": '"x"'}, {"n": None}),
    "number a long has not": ('{"id":1,"n":1.50}', {"/n": "1.50"}, {"n": None}),
    "object for a scalar": ('{"id":1,"n":{"b":1, "a":[ ]}}', {"/n": '{"b":1, "a":[ ]}'}, {}),
    "in a struct": ('{"id":1,"o":{"x":"y"}}', {"/o/x": '"y"'}, {"o": {"x": None}}),
    "for a struct": ('{"id":1,"o":5}', {"/o": "5"}, {"o": None}),
    "element": ('{"id":1,"a":[1,"x",3]}', {"/a/1": '"x"'}, {"a": [1, None, 3]}),
    "map value": ('{"id":1,"m":{"a/b~":"x","c":2}}', {"/m/a~1b~0": '"x"'}, {}),
    "for a map": ('{"id":1,"m":"x"}', {"/m": '"x"'}, {"m": None}),
    "in an element": ('{"id":1,"items":[{"x":"y"},{"x":2}]}', {"/items/0/x": '"y"'}, {}),
    "beside a new column": ('{"id":1,"n":"x","new":2}', {"/n": '"x"'}, {"new": 2}),
    "beside a new one inside": (
        '{"id":1,"items":[{"x":1,"z":7},"y"]}', {"/items/1": '"y"'},
        {"items": [{"x": 1, "z": 7}, None]},
    ),
}  # fmt: skip


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def begun(lab: Lab, **options: Any) -> None:
    lab.register(source=SOURCE, **options)
    lab.send(FIRST)
    lab.cycle()


@pytest.mark.parametrize("name", CONFLICTS)
def test_rescued_values_are_in_the_row_as_they_came(lab: Lab, name: str) -> None:
    text, rescued, columns = CONFLICTS[name]
    begun(lab, on_conflict="rescue")
    lab.send(text.encode())
    (done,) = lab.cycle()
    row = next(r for r in lab.rows() if r["id"] == 1)
    pairs = ",".join(f"{json.dumps(p)}:{value}" for p, value in rescued.items())
    assert row["_rescued"] == f"{{{pairs}}}"
    assert {c: row[c] for c in columns} == columns
    assert sum(done.rescued.values()) == len(rescued)
    lab.account()
    lab.load(replay=[*done.windows])
    lab.account()


@pytest.mark.parametrize("name", CONFLICTS)
def test_quarantined_with_their_record(lab: Lab, name: str) -> None:
    text, _, _ = CONFLICTS[name]
    begun(lab, on_conflict="quarantine")
    lab.send(text.encode(), reason="a value is of another type than its column")
    lab.send({"id": 2, "n": 5})
    (done,) = lab.cycle()
    assert sum(done.quarantined.values()) == 1
    assert done.changes == ()
    lab.account()


@pytest.mark.parametrize("name", CONFLICTS)
def test_block_is_the_default(lab: Lab, name: str) -> None:
    begun(lab)
    lab.send(CONFLICTS[name][0].encode())
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    assert lab.metastore.get("t").status == Status.BLOCKED
    assert len(lab.rows()) == 1


def test_the_platform_may_say_it_for_all(lab: Lab) -> None:
    begun(lab)
    lab.limits = replace(lab.limits, on_conflict="rescue")
    lab.send({"id": 1, "n": "x"})
    (done,) = lab.cycle()
    assert done.rescued == {"n": 1}
    lab.account()


@pytest.mark.parametrize("mode", ["block", "rescue", "quarantine"])
def test_key_and_ordering_never_change(lab: Lab, mode: str) -> None:
    begun(
        lab, mode="upsert", primary_key=("id",), ordering_field="n", on_conflict=mode,
        max_quarantine_ratio=1.0,
    )  # fmt: skip
    reason = "a value of a key, partition or ordering column is of another type"
    lab.send(b'{"id":"x","n":1}', reason=reason)
    lab.send(b'{"id":2,"n":"x"}', reason=reason)
    lab.send({"id": 3, "n": 1})
    (done,) = lab.cycle()
    assert done.quarantined == {reason: 2}
    assert sorted(r["id"] for r in lab.rows()) == [0, 3]
    lab.account()


def test_too_many_key_conflicts_stop(lab: Lab) -> None:
    begun(lab, mode="upsert", primary_key=("id",))
    lab.send_all([{"id": f"x{n}"} for n in range(20)])
    with pytest.raises(QuarantineRatioError):
        lab.cycle()


@pytest.mark.parametrize(("bad", "stops"), [(100, False), (101, True)])
def test_a_flood_stops_the_table(lab: Lab, bad: int, stops: bool) -> None:
    begun(lab, on_conflict="rescue")
    lab.send_all([{"id": 1, "n": "x"}] * bad + [{"id": 2, "n": 1}] * 100)
    if not stops:
        (done,) = lab.cycle()
        assert done.rescued == {"n": bad}
        return
    with pytest.raises(SchemaBlockedError, match="n: 101 of 201 values rescued"):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t")
    assert incident.samples[0]["value"] in ('"x"', {"id": 1, "n": "x"})


def test_proven_widenings_are_no_conflict(lab: Lab) -> None:
    lab.register(source=Struct((Field("n", Scalar("int")),)), on_conflict="rescue")
    lab.send({"n": 1})
    lab.cycle()
    lab.send({"n": 2**40})
    (done,) = lab.cycle()
    assert [str(c) for c in done.changes] == ["column n: int became long (widen)"]
    assert done.rescued == {}
