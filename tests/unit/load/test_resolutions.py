"""A table that is BLOCKED, and what operators can do about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.resolutions import Asked, Broken, possible
from lake_platform.domain.schema import Array, Field, Map, Scalar, Struct
from lake_platform.errors import InvalidFieldError, SchemaBlockedError
from lake_platform.load.held import look
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.service import UseCases
from lake_platform.rebuild.rebuild import Rebuilder
from lake_platform.rebuild.resolving import resolved as rebuilt
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]
LONG = Scalar("long")
ITEM = Struct((Field("x", LONG),))
SOURCE = Struct((
    Field("id", LONG), Field("n", LONG), Field("o", ITEM), Field("a", Array(LONG)),
    Field("m", Map(LONG)), Field("items", Array(ITEM)),
))  # fmt: skip
FIRST = {"id": 0, "n": 1, "o": {"x": 1}, "a": [1], "m": {"k": 1}, "items": [{"x": 1}]}
BREAKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "n": ({"n": "x"}, {"n": None}),
    "o.x": ({"o": {"x": "y"}}, {"o": {"x": None}}),
    "a[]": ({"a": [1, "x"]}, {"a": [1, None]}),
    "m{}": ({"m": {"k": "x"}}, {}),
    "items[].x": ({"items": [{"x": "y"}]}, {}),
    "items[]": ({"items": [5]}, {}),
    "o": ({"o": 5}, {"o": None}),
}
DECIDED = "a value is of another type than its column, put aside by an operator's decision"


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def use_cases(lab: Lab) -> UseCases:
    return compose.build_use_cases(lab.metastore, lab.kafka)


def blocked(lab: Lab, *bad: dict[str, Any], **options: Any) -> Incident:
    """A table with a row of its own, and behind it a good record and these."""
    lab.register(source=SOURCE, **options)
    lab.send(FIRST)
    lab.cycle()
    lab.send({"id": 1, "n": 1})
    for number, record in enumerate(bad, 2):
        lab.send({"id": number, **record})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    assert lab.metastore.get("t").status is Status.BLOCKED
    return lab.metastore.incidents("t", "OPEN")[0]


def resolved(lab: Lab, incident: Incident, resolution: str, **asked: Any) -> Incident:
    return use_cases(lab).resolve_incident(incident.id, Asked(resolution, **asked), "ann")


@pytest.mark.parametrize("path", BREAKS)
def test_the_incident_shows_each_change_with_its_records(lab: Lab, path: str) -> None:
    record, _ = BREAKS[path]
    incident = blocked(lab, record, record)
    (change,) = incident.changes
    assert (change["path"], change["records"], change["share"]) == (path, 2, 2 / 3)
    assert change["first"]["value"] == {"id": 2, **record}
    assert (change["first"]["partition"], change["first"]["offset"]) == (0, 2)
    assert [s["changes"] for s in incident.samples] == [[path]]


@pytest.mark.parametrize("path", BREAKS)
def test_rescue_keeps_the_value_beside_the_row(lab: Lab, path: str) -> None:
    record, columns = BREAKS[path]
    incident = blocked(lab, record)
    resolved(lab, incident, "rescue")
    (done,) = lab.load()
    row = next(r for r in lab.rows() if r["id"] == 2)
    assert list(done.rescued.values()) == [1]
    assert len(json.loads(row["_rescued"])) == 1
    assert {c: row[c] for c in columns} == columns
    lab.account()
    lab.load(replay=[*done.windows])
    lab.account()


@pytest.mark.parametrize("path", BREAKS)
@pytest.mark.parametrize("resolution", ["quarantine", "reject"])
def test_records_are_put_aside_or_dropped(lab: Lab, path: str, resolution: str) -> None:
    record, _ = BREAKS[path]
    incident = blocked(lab, *[record] * 20)  # more than a ratio would take
    resolved(lab, incident, resolution)
    (done,) = lab.load()
    assert [r["id"] for r in lab.rows()] == [0, 1]
    counts = (sum(done.quarantined.values()), done.applied.balance.dropped)
    assert counts == ((20, 0) if resolution == "quarantine" else (0, 20))
    assert {q["reason"] for q in lab.quarantined()} == ({DECIDED} if counts[0] else set())
    assert done.applied.balance.difference == 0
    again = lab.load(replay=[*done.windows])
    assert {a.applied.balance.difference for a in again} == {0}
    assert [r["id"] for r in lab.rows()] == [0, 1]


@pytest.mark.parametrize("resolution", ["rescue", "quarantine", "reject"])
def test_it_holds_for_what_was_held_and_no_more(lab: Lab, resolution: str) -> None:
    incident = blocked(lab, {"n": "x"})
    lab.send({"id": 3, "n": "y"})
    lab.dump()  # held too: nothing was loaded meanwhile
    resolved(lab, incident, resolution)
    lab.load()
    lab.send({"id": 4, "n": "z"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    (again,) = lab.metastore.incidents("t", "OPEN")
    assert again.changes[0]["records"] == 1
    resolved(lab, again, resolution, always=True)
    lab.load()
    lab.send({"id": 5, "n": "z"})
    lab.cycle()
    assert lab.metastore.get("t").status is Status.LIVE
    rows = {r["id"]: r.get("_rescued") for r in lab.rows()}
    assert rows.keys() == ({0, 1, 2, 3, 4, 5} if resolution == "rescue" else {0, 1})


def test_a_replay_over_the_border_says_what_the_first_loads_said(lab: Lab) -> None:
    first = blocked(lab, {"n": "x"})
    resolved(lab, first, "rescue")
    lab.load()
    lab.send({"id": 3, "n": "y"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    resolved(lab, lab.metastore.incidents("t", "OPEN")[0], "reject")
    (done,) = lab.load()
    before = [(r["id"], r.get("_rescued")) for r in lab.rows()]
    lab.load(replay=[*done.windows])
    assert [(r["id"], r.get("_rescued")) for r in lab.rows()] == before
    assert before == [(0, None), (1, None), (2, '{"/n":"x"}')]


def test_an_always_decision_can_be_ended(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"})
    resolved(lab, incident, "reject", always=True)
    lab.load()
    (decision,) = lab.metastore.decisions("t")
    assert (decision.path, decision.action, decision.last_seq) == ("n", "reject", None)
    use_cases(lab).end_decision("t", decision.id, "bob")
    lab.send({"id": 3, "n": "y"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    assert [r["id"] for r in lab.rows()] == [0, 1]


def test_each_change_its_own_way(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"}, {"o": {"x": "y"}}, {"a": "word"})
    with pytest.raises(InvalidFieldError, match="nothing is said of"):
        resolved(lab, incident, "", columns={"n": "rescue"})
    resolved(lab, incident, "reject", columns={"n": "rescue", "o.x": "quarantine"})
    lab.load()
    assert {r["id"] for r in lab.rows()} == {0, 1, 2}
    assert len(lab.quarantined()) == 1


def test_drop_column_passes_over_what_still_comes(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x", "a": [2]})
    resolved(lab, incident, "drop_column")
    (done,) = lab.load()
    assert done.passed_over == {"n": 2}
    lab.send({"id": 3, "n": 7})
    (later,) = lab.cycle()
    assert (later.changes, later.passed_over) == ((), {"n": 1})
    rows = {r["id"]: r.get("n") for r in lab.rows()}
    assert rows == {0: 1, 1: None, 2: None, 3: None}
    assert lab.dataset().columns == {"n": {"drop": True}}
    use_cases(lab).add_column("t", "n", "long", "ann")
    assert lab.dataset().columns == {}
    lab.send({"id": 4, "n": 8})
    lab.cycle()
    assert {r["id"]: r["n"] for r in lab.rows()}[4] == 8
    lab.load(replay=[*done.windows])
    again = {r["id"]: (r["n"], r.get("_rescued")) for r in lab.rows()}
    assert (again[2], again[4]) == ((None, '{"/n":"x"}'), (8, None)), "it stays a row"
    assert lab.quarantined() == []


def test_retry_looks_again(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"})
    resolved(lab, incident, "retry")
    assert lab.metastore.get("t").status is Status.LIVE
    with pytest.raises(SchemaBlockedError):
        lab.load()


REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "unknown": ("shrug", {}, "resolution='shrug': unknown; give rescue"),
    "no such change": ("rescue", {"zz": "reject"}, "its changes: o.x"),
    "inside": ("drop_column", {}, "inside of a column"),
    "nothing": ("", {}, "nothing is said of o.x"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(lab: Lab, case: str) -> None:
    resolution, columns, why = REFUSED[case]
    incident = blocked(lab, {"o": {"x": "y"}})
    with pytest.raises(InvalidFieldError, match=why):
        resolved(lab, incident, resolution, columns=columns)
    assert lab.metastore.incident(incident.id).status == "OPEN"
    assert lab.metastore.decisions("t") == []


def test_twice_is_once_and_two_operators_are_one(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"})
    first = resolved(lab, incident, "rescue")
    assert resolved(lab, incident, "rescue") == first
    assert len(lab.metastore.decisions("t")) == 1
    with pytest.raises(InvalidFieldError, match="was resolved by ann with rescue"):
        use_cases(lab).resolve_incident(incident.id, Asked("reject"), "bob")
    assert [d.actor for d in lab.metastore.decisions("t")] == ["ann"]


def test_a_flood_is_let_through_for_what_was_held(lab: Lab) -> None:
    lab.register(source=SOURCE, on_conflict="rescue")
    lab.send(FIRST)
    lab.cycle()
    lab.send_all({"id": n, "n": "x"} for n in range(1, 201))
    with pytest.raises(SchemaBlockedError, match="n: 200 of 200 values rescued"):
        lab.cycle()
    (incident,) = lab.metastore.incidents("t", "OPEN")
    with pytest.raises(InvalidFieldError, match="rescued already"):
        resolved(lab, incident, "reject")
    resolved(lab, incident, "rescue")
    lab.load()
    assert len(lab.rows()) == 201
    lab.account()


@pytest.mark.parametrize(
    ("resolution", "rows", "rescued", "quarantined", "dropped"),
    [("rescue", 3, 2, 0, 0), ("quarantine", 1, 0, 2, 0), ("reject", 1, 0, 0, 2),
     ("drop_column", 3, 0, 0, 0)],
)  # fmt: skip
def test_a_dry_run_counts_what_the_load_then_does(
    lab: Lab, resolution: str, rows: int, rescued: int, quarantined: int, dropped: int
) -> None:
    incident = blocked(lab, {"n": "x"}, {"n": {"y": 1}})
    before = {i.key for i in lab.store.list("")}
    dataset, active, decisions = use_cases(lab).tried(incident.id, Asked(resolution))
    found = look(dataset, active, lab.ports(), lab.limits, decisions)
    assert (found.records, found.rows, found.dropped) == (3, rows, dropped)
    assert (sum(found.rescued.values()), sum(found.quarantined.values())) == (rescued, quarantined)
    assert {i.key for i in lab.store.list("")} == before
    assert lab.metastore.incident(incident.id).status == "OPEN"
    resolved(lab, incident, resolution)
    (done,) = lab.load()
    balance = done.applied.balance
    assert (balance.written, balance.dropped, balance.quarantined) == (rows, dropped, quarantined)


def test_a_dry_run_says_what_would_stop_it_again(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"}, {"o": 5})
    dataset, active, decisions = use_cases(lab).tried(
        incident.id, Asked("rescue", columns={"o": "retry"})
    )
    found = look(dataset, active, lab.ports(), lab.limits, decisions)
    assert "column o" in found.stops
    assert len(lab.metastore.incidents("t")) == 1


RETYPED: dict[str, tuple[dict[str, Any], dict[str, Any], str, Any, Any]] = {
    # first record, breaking one, resolution, and what the column says of both then
    "text": ({"n": 1}, {"n": "x"}, "text", "1", "x"),
    "json": ({"n": 1}, {"n": {"y": [1]}}, "json", "1", '{"y": [1]}'),
    "widen": ({"n": 1}, {"n": 1.5}, "widen", 1.0, 1.5),
    "text inside": ({"o": {"x": 1}}, {"o": {"x": "y"}}, "text", {"x": "1"}, {"x": "y"}),
    "json element": ({"a": [1]}, {"a": [{"b": 1}]}, "json", ["1"], ['{"b": 1}']),
    "text element": ({"a": [1]}, {"a": ["x"]}, "text", ["1"], ["x"]),
    "text of a map": ({"m": {"k": 1}}, {"m": {"k": "x"}}, "text", {"k": "1"}, {"k": "x"}),
    "json in elements": (
        {"items": [{"x": 1}]}, {"items": [{"x": [2]}]}, "json", [{"x": "1"}], [{"x": "[2]"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RETYPED)
def test_another_type_for_all_rows_as_if_from_the_start(make_lab: MakeLab, case: str) -> None:
    first, bad, resolution, before, after = RETYPED[case]
    lab, start = make_lab(), make_lab()
    incident = blocked(lab, bad)
    anew(lab, incident, resolution)
    (column,) = first
    lab.send({"id": 9, **first})
    lab.cycle()
    assert lab.metastore.get("t").status is Status.LIVE
    closed = lab.metastore.incident(incident.id)
    assert (closed.status, closed.resolution, closed.resolved_by) == ("RESOLVED", resolution, "ann")
    rows = {r["id"]: r[column] for r in lab.rows()}
    assert (rows[0], rows[2], rows[9]) == (before, after, before)
    lab.account()
    # A table that had this schema from the beginning.
    active = lab.metastore.active_schema("t")
    assert active is not None
    start.register(source=active.source, columns=lab.dataset().columns)
    for sent in lab.sent["t"]:
        start.send(sent.value, at_ms=sent.timestamp)
    start.cycle()
    assert start.rows() == lab.rows()


def anew(lab: Lab, incident: Incident, resolution: str, **asked: Any) -> Incident:
    cases = use_cases(lab)
    rebuilder = Rebuilder(lab.metastore, lab.ports(), lab.limits, cases.check_on)
    return rebuilt(cases, rebuilder, incident.id, Asked(resolution, **asked), "ann")


def test_one_column_anew_and_another_decided(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"}, {"o": {"x": "y"}}, {"o": 5, "n": "z"})
    anew(lab, incident, "reject", columns={"n": "text", "o.x": "rescue"})
    rows = {r["id"]: (r["n"], r["_rescued"]) for r in lab.rows()}
    assert rows == {0: ("1", None), 1: ("1", None), 2: ("x", None), 3: (None, '{"/o/x":"y"}')}
    (window,) = {r.window for c in lab.dump() for r in c.objects} or {"2026-11-01-00:00"}
    lab.load(replay=[window])
    assert {r["id"]: (r["n"], r["_rescued"]) for r in lab.rows()} == rows


def test_a_decision_that_is_held_stays_with_the_table_that_is_made_anew(lab: Lab) -> None:
    resolved(lab, blocked(lab, {"o": {"x": "y"}}), "reject")
    lab.load()
    lab.send({"id": 3, "n": "x"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()
    anew(lab, lab.metastore.incidents("t", "OPEN")[0], "text")
    assert [r["id"] for r in lab.rows()] == [0, 1, 3]
    (decision,) = lab.metastore.decisions("t")
    assert (decision.path, decision.action) == ("o.x", "reject")


def test_the_api_sends_on_what_takes_its_time(lab: Lab) -> None:
    incident = blocked(lab, {"n": "x"})
    with pytest.raises(InvalidFieldError, match=f"lake incidents resolve {incident.id} text"):
        resolved(lab, incident, "text")
    assert lab.metastore.incident(incident.id).status == "OPEN"


@pytest.mark.parametrize(
    ("before", "after", "fitting"),
    [
        ("long", "double", {"widen", "text", "json"}),
        ("long", "decimal(20,2)", {"widen", "text", "json"}),
        ("decimal(38,0)", "decimal(30,20)", {"text", "json"}),
        ("long", "string", {"text", "json"}),
        ("string", "struct<a:long>", {"json"}),
        ("struct<a:long>", "string", {"json"}),
        ("boolean", "long", {"text", "json"}),
    ],
)
def test_which_types_are_offered(before: str, after: str, fitting: set[str]) -> None:
    change = Broken("n", "type", before, after)
    found = {*possible(change, Dataset(topic="t", table="t"), "000000000001-000000000001")}
    assert found & {"widen", "text", "json"} == fitting


def test_what_was_rejected_or_put_aside_stays_so_when_the_column_gets_another_type(
    lab: Lab,
) -> None:
    """The hint that a new type is would rescue the values; what was decided first holds."""
    incident = blocked(lab, {"n": {"no": "number"}})
    resolved(lab, incident, "reject")
    lab.load()
    breaks: dict[str, dict[str, Any]] = {"quarantine": {"n": "x"}, "widen": {"n": 1.5}}
    for number, (resolution, bad) in enumerate(breaks.items()):
        lab.send({"id": 20 + number, **bad}, reason=DECIDED if resolution == "quarantine" else "")
        with pytest.raises(SchemaBlockedError):
            lab.cycle()
        (incident,) = lab.metastore.incidents("t", "OPEN")
        if resolution == "quarantine":
            resolved(lab, incident, resolution)
            lab.load()
    anew(lab, incident, "widen")
    assert {r["id"]: r["n"] for r in lab.rows()} == {0: 1.0, 1: 1.0, 21: 1.5}
    assert [r["reason"] for r in lab.quarantined()] == [DECIDED]


@pytest.mark.parametrize(("resolution", "why"), [
    ("widen", "no number holds both long and string"),
    ("text", "text holds numbers, booleans and texts, and no struct<x:long> beside string"),
])  # fmt: skip
def test_a_refusal_says_what_is_not_held(lab: Lab, resolution: str, why: str) -> None:
    incident = blocked(lab, {"n": "x"} if resolution == "widen" else {"o": "y"})
    with pytest.raises(InvalidFieldError) as refused:
        resolved(lab, incident, resolution)
    assert why in str(refused.value)
