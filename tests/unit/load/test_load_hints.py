"""Hints through both phases: in the first batch, and on a table that is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import shown
from lake_platform.domain.schema import Field, Scalar, Struct, columns
from lake_platform.errors import InvalidFieldError, SchemaBlockedError
from lake_platform.load.keys import TombstoneKeys
from lake_platform.rebuild.rebuild import Rebuilder
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

PLACES: dict[str, tuple[Any, str, str]] = {
    "root": (lambda v: v, "", ""),
    "struct": (lambda v: {"s": v}, "s.", "s."),
    "element": (lambda v: {"s": [v, None]}, "s[].", "s[]."),
    "value": (lambda v: {"s": {"k k": v}}, "s[].", "s{}."),
}
BASE: dict[str, dict[str, Any]] = {"value": {"s": {"type": "map"}}}


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def _columns(lab: Lab) -> dict[str, str]:
    active = lab.metastore.active_schema("t")
    assert active is not None
    return {path: str(kind) for path, kind in columns(active.source)}


@pytest.fixture(params=["first", "live", "new-parent"])
def when(request: pytest.FixtureRequest) -> str:
    """Whether hints meet the first batch, a table with what they are in, or one without."""
    return str(request.param)


def _load(lab: Lab, place: str, when: str, hints: dict[str, Any], *values: Any) -> Any:
    wrap, prefix, _ = PLACES[place]
    given = BASE.get(place, {}) | {f"{prefix}{path}": hint for path, hint in hints.items()}
    lab.register(columns=given)
    if when != "first":
        lab.send({"id": 0} if when == "new-parent" else wrap({"id": 0}))
        lab.cycle()
    lab.send_all(wrap({"id": n, **value}) for n, value in enumerate(values, 1))
    (done,) = lab.cycle()
    lab.account()
    return done


def _said(lab: Lab) -> list[str]:
    return [r["_rescued"] for r in lab.plain_rows() if r.get("_rescued")]


@pytest.mark.parametrize("place", PLACES)
class TestHints:
    def test_name(self, lab: Lab, place: str, when: str) -> None:
        _load(lab, place, when, {'"+1"': {"name": "up"}}, {"up": 1, "+1": 2})
        at = PLACES[place][2]
        found = _columns(lab)
        assert found[f"{at}up"] == "long"
        assert any(path.startswith(f"{at}up_") for path in found)
        mapped = {shown(m.path): m for _, m in lab.metastore.mapping("t")}
        assert "hint" in mapped[f'{PLACES[place][1]}"+1"'].rules

    def test_type(self, lab: Lab, place: str, when: str) -> None:
        hints = {"a": {"type": "long"}, "b": {"type": "json"}, "c": {"type": "string"}}
        _load(
            lab, place, when, hints,
            {"a": "x", "b": {"k": 1}, "c": 5}, {"a": 1, "b": "x"}, {"a": [2], "c": {"d": 1}},
        )  # fmt: skip
        at, found = PLACES[place][2], _columns(lab)
        assert (found[f"{at}a"], found[f"{at}b"], found[f"{at}c"]) == ("long", "json", "string")
        assert len(_said(lab)) == 2

    def test_map_and_array(self, lab: Lab, place: str, when: str) -> None:
        hints = {
            "m": {"type": "map", "values": "string"}, "n": {"type": "map"},
            "l": {"type": "array", "values": "long"},
        }  # fmt: skip
        _load(
            lab, place, when, hints,
            {"m": {"a-b": 1, "c": {}}, "n": {"x": 1}, "l": 5}, {"m": 5, "n": {"y": 2}, "l": ["x"]},
        )  # fmt: skip
        at, found = PLACES[place][2], _columns(lab)
        assert found[f"{at}m"] == "map<string,string>"
        assert (found[f"{at}n"], found[f"{at}l"]) == ("map<string,long>", "array<long>")
        assert len(_said(lab)) == 2

    def test_timestamps(self, lab: Lab, place: str, when: str) -> None:
        hints = {
            "s": {"type": "timestamp", "format": "s"},
            "l": {"type": "array", "values": "timestamp", "format": "ms"},
        }  # fmt: skip
        _load(
            lab, place, when, hints,
            {"s": 1793527200, "l": [1793527200000, "x"]}, {"s": 10**15}, {"s": 1.5},
        )  # fmt: skip
        at, found = PLACES[place][2], _columns(lab)
        assert (found[f"{at}s"], found[f"{at}l"]) == ("timestamp", "array<timestamp>")
        assert len(_said(lab)) == 2

    def test_drop(self, lab: Lab, place: str, when: str) -> None:
        done = _load(
            lab, place, when, {"x": {"drop": True}},
            {"x": 1}, {"x": {"y": ["z"]}}, {"x": None}, {"X": 5}, {"x": "t", "f": 1.5},
        )  # fmt: skip
        assert done.passed_over == {f"{PLACES[place][1]}x": 4}
        assert not any("x" in path.lower() for path in _columns(lab))
        lab.send(PLACES[place][0]({"id": 9, "x": [5]}))
        (later,) = lab.cycle()
        assert (later.passed_over, later.changes) == ({f"{PLACES[place][1]}x": 1}, ())
        lab.account()

    def test_aliases(self, lab: Lab, place: str, when: str) -> None:
        hints = {"req": {"aliases": ["request-id", "rid"]}}
        _load(
            lab, place, when, hints,
            {"request-id": "a"}, {"rid": "b", "req": "b"}, {"rid": "c", "request-id": "d"},
        )  # fmt: skip
        at = PLACES[place][2]
        assert _columns(lab).keys() >= {f"{at}req"}
        assert not any("rid" in c or "request" in c for c in _columns(lab))
        (said,) = _said(lab)
        assert '"c"' in said
        lab.send(PLACES[place][0]({"id": 9, "rid": "z"}))
        (later,) = lab.cycle()
        assert later.changes == ()
        lab.account()


def test_a_key_that_is_named_as_the_column_of_what_is_rescued(lab: Lab) -> None:
    lab.register(columns={"a": {"type": "long"}})
    lab.send({"_rescued": 1})
    lab.cycle()
    lab.send({"_rescued": 2, "a": "x"})
    lab.cycle()
    assert _said(lab) == ['{"/a":"x"}']
    lab.account()


def test_all_that_is_new_is_dropped(lab: Lab) -> None:
    lab.register(columns={"a.b": {"drop": True}, "l[].x": {"drop": True}, "m": {"drop": True}})
    lab.send({"id": 1})
    lab.cycle()
    lab.send({"id": 2, "a": {"b": 1}, "l": [{"x": 1}, {"x": "y"}], "m": {"k": [1, "x"]}})
    (done,) = lab.cycle()
    assert (done.changes, done.schema_version) == ((), 1)
    assert done.passed_over == {"a.b": 1, "l[].x": 2, "m": 1}
    lab.account()


def test_a_key_by_hint_is_key_partition_and_order(lab: Lab) -> None:
    given = {
        '"+1"': {"name": "key", "type": "long"}, "d": {"name": "day", "type": "date"},
        "t": {"name": "at", "type": "timestamp", "format": "ms"},
    }  # fmt: skip
    lab.register(
        mode="upsert", primary_key=("key", "day"), ordering_field="at", partition_by=("day",),
        columns=given,
    )  # fmt: skip
    lab.send({"+1": 1, "t": 1793527200000, "d": "2026-11-01", "v": 1})
    lab.send({"+1": 1, "t": 1793527199999, "d": "2026-11-01", "v": 2})
    lab.send({"+1": 2, "t": 1793527199999, "d": "2026-11-02", "v": 3})
    lab.send(None, key='{"+1":2,"d":"2026-11-02"}')
    lab.cycle()
    (row,) = lab.plain_rows()
    assert (row["key"], row["at"], row["day"], row["v"]) == (1, 1793527200000, "2026-11-01", 1)


@pytest.mark.parametrize(
    ("kind", "sent", "key"),
    [
        ({"type": "timestamp", "format": "ms"}, 1793527200001, "2026-11-01T10:00:00.001000+00:00"),
        ({"type": "timestamp", "format": "ns"}, -1, "1969-12-31T23:59:59.999999+00:00"),
        ({"type": "date", "format": "s"}, 86400, "1970-01-02"),
        ({"type": "date", "format": "s"}, 86401, None),
        ({"type": "timestamp", "format": "ms"}, "2026-11-01", None),
    ],
)
def test_a_tombstones_key_is_written_as_in_records(
    kind: dict[str, Any], sent: Any, key: str | None
) -> None:
    """Engines get it as a text."""
    dataset = Dataset(
        topic="t", table="t", mode="upsert", primary_key=("at",), columns={"at": kind}
    )
    source = Struct((Field("at", Scalar(kind["type"], kind["format"])),))
    found = TombstoneKeys(dataset, source, source).key_of(json.dumps({"at": sent}))
    assert found == (None if key is None else {"at": key})


def test_what_does_not_fit_a_key_by_hint_is_quarantined(lab: Lab) -> None:
    lab.register(
        mode="upsert", primary_key=("id",), columns={"id": {"type": "long"}},
        max_quarantine_ratio=1.0,
    )  # fmt: skip
    lab.send({"id": 1})
    lab.send({"id": "x"}, reason="primary key is null")
    lab.cycle()
    assert len(lab.quarantined()) == 1
    assert [r["id"] for r in lab.plain_rows()] == [1]


def _change(lab: Lab, hints: dict[str, Any]) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    version = lab.metastore.get("t").version
    use_cases.change_dataset("t", {"columns": hints}, version, "test")


def test_aliases_added_to_a_live_table_are_taken_up_by_the_next_load(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "s": {"a": 1}, "l": [{"a": 1}]})
    lab.cycle()
    _change(lab, {"id": {"aliases": ["ID-2"]}, "s.a": {"aliases": ["b"]},
                  "l[].a": {"aliases": ["b"]}})  # fmt: skip
    lab.send({"ID-2": 2, "s": {"b": 2}, "l": [{"b": 2}]})
    (done,) = lab.cycle()
    assert {c.kind for c in done.changes} == {"alias"}
    assert _columns(lab).keys() == {"id", "s", "s.a", "l", "l[].a"}
    row = lab.plain_rows()[1]
    assert (row["id"], row["s"], row["l"]) == (2, {"a": 2}, [{"a": 2}])
    lab.account()


def test_an_alias_whose_values_do_not_fit_is_a_break(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1})
    lab.cycle()
    _change(lab, {"id": {"aliases": ["other"]}})
    lab.send({"other": "x"})
    with pytest.raises(SchemaBlockedError):
        lab.cycle()


def test_what_was_dropped_of_rows_comes_back_by_a_rebuild(lab: Lab) -> None:
    lab.register(columns={"x": {"drop": True}})
    _change(lab, {"x": {"drop": True}, "o.y": {"drop": True}})
    lab.send({"id": 1, "x": 1, "o": {"y": 2, "z": 3}})
    lab.cycle()
    for given in ({}, {"x": {"drop": True}}, {"x": {"type": "long"}, "o.y": {"drop": True}}):
        with pytest.raises(InvalidFieldError, match="may be rows without what it drops; have the"):
            _change(lab, given)
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", {"columns": {"x": {"type": "string"}}}, "ops")
    assert list(work.build("t"))
    work.swap("t")
    assert lab.plain_rows() == [{"id": 1, "x": "1", "o": {"y": 2, "z": 3}}]


LIVE: list[tuple[str, dict[str, Any], str]] = [
    ("id", {"drop": True}, "columns.id.drop='id': there is a column id long; have the table built "
     "anew with the hint: lake rebuild t --change 'columns.id={\"drop\": true}'"),
    ("id", {"name": "key"}, "columns.id.name='id': the column is id long; have the table built"),
    ("id", {"type": "string"}, "columns.id.type='id': column id is long; have the table built"),
    ("id", {"type": "array"}, "columns.id.type='id': column id is long"),
    ("id.x", {"type": "string"}, "columns.id.x='id.x': column id is long, so id.x can be "),
    ("s[].x", {"type": "long"}, "columns.s[].x='s[].x': column s is struct<a_b:long> and has no "),
    ('s."a-b"', {"name": "ab"}, "the column is s.a_b long"),
    ("l[]", {"type": "json"}, "columns.l[].type='l[]': column l[] is long"),
    ("l", {"type": "array", "values": "json"}, "columns.l[].type='l[]': column l[] is long"),
    ("new", {"name": "ID"}, "columns.new.name='new': there is another column id long"),
    ("new", {"aliases": ["id"]}, "columns.new.aliases='new': id is read into column id long"),
    ("at", {"type": "timestamp", "format": "s"}, "column at is timestamp from ms"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "hint", "sentence"), LIVE)
def test_what_would_change_a_live_column_is_refused(
    lab: Lab, path: str, hint: dict[str, Any], sentence: str
) -> None:
    held: dict[str, Any] = {"at": {"type": "timestamp", "format": "ms"}}
    lab.register(columns=held)
    lab.send({"id": 1, "s": {"a-b": 1}, "l": [1], "at": 5})
    lab.cycle()
    with pytest.raises(InvalidFieldError) as caught:
        _change(lab, held | {path: hint})
    assert sentence in str(caught.value)
    assert lab.metastore.get("t").version == 1


def test_hints_that_say_what_is_or_what_is_not_there_yet_are_taken(lab: Lab) -> None:
    lab.register()
    lab.send({"id": 1, "s": {"a-b": 1}, "l": [1], "p": None})
    lab.cycle()
    _change(lab, {
        "id": {"type": "long", "name": "id", "aliases": ["x"]}, 's."a-b"': {"name": "a_b"},
        "l": {"type": "array", "values": "long"}, "p": {"type": "json", "name": "q"},
        "s.new[].x": {"drop": True}, "y": {"name": "z"},
    })  # fmt: skip
    lab.send({"x": 2, "p": 5, "y": 1, "s": {"new": [{"x": 1, "k": 2}]}})
    lab.cycle()
    found = _columns(lab)
    assert (found["q"], found["z"], found["s.new"]) == ("json", "long", "array<struct<k:long>>")
    lab.account()


def test_a_hint_that_nothing_was_seen_of_warns(lab: Lab) -> None:
    lab.kafka.create_topic("topic.u")
    lab.kafka.produce("topic.u", None, b'{"id":1,"p":null}', partition=0)
    given: dict[str, Any] = {"s.x": {"drop": True}, "p": {"name": "q"}}
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    done = use_cases.register_dataset(Dataset(topic="topic.u", table="u", columns=given), "test")
    assert [w for w in done.warnings if "columns" in w] == [
        "columns: no record that was looked at has s.x; the hint for it holds for those that come"
    ]


@pytest.mark.parametrize("first", [True, False], ids=["first", "live"])
@pytest.mark.parametrize("named", [
    {"partition_by": ("p",)},
    {"mode": "upsert", "primary_key": ("id", "p")},
    {"mode": "upsert", "primary_key": ("id",), "ordering_field": "p"},
])  # fmt: skip
def test_what_rows_are_found_by_is_never_rescued(
    lab: Lab, named: dict[str, Any], first: bool
) -> None:
    lab.register(columns={"p": {"type": "date"}}, max_quarantine_ratio=1.0, **named)
    lab.send({"id": 1, "p": "2026-11-01"})
    if not first:
        lab.cycle()
    why = "a value of a key, partition or ordering column is of another type"
    lab.send({"id": 2, "p": "x"}, reason=why)
    lab.send({"id": 3, "p": 5}, reason=why)
    lab.cycle()
    for _ in range(2):
        assert [r["id"] for r in lab.rows()] == [1]
        assert {q["record"]["offset"] for q in lab.quarantined()} == {1, 2}
        lab.load(replay=["2026-11-01-00:00"])
    lab.account()
