"""Keys that come new to a table: how many make columns, and where the others go."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.memory import engine as memory
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.domain.dataset import Dataset, Transform
from lake_platform.domain.schema import Struct
from lake_platform.errors import SchemaBlockedError
from lake_platform.metastore.columns import compare, describe
from lake_platform.rebuild.rebuild import Rebuilder
from tests.support import Lab

Wrap = Callable[[dict[str, Any]], dict[str, Any]]
PLACES: dict[str, Wrap] = {
    "root": lambda o: o,
    "struct": lambda o: {"attrs": o},
    "deep": lambda o: {"s": {"attrs": o}},
    "array": lambda o: {"list": [o, {"a": 1}]},
    "map": lambda o: {"seen": {"10.0.0.1": o, "10.0.0.2": {"a": 1}, "10.0.0.3": {"a": 2}}},
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "append": {"format": "parquet"},
    "upsert": {"format": "hudi", "mode": "upsert", "primary_key": ("id",)},
    "next batch": {"format": "parquet", "evolution": "next_batch"},
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def begin(lab: Lab, wrap: Wrap, **values: Any) -> None:
    limits: dict[str, Any] = {"max_new_keys": 3, "max_object_keys": 6}
    lab.register(**(limits | {"format": "parquet"} | values))
    lab.send({"id": 0} | wrap({"a": 1}))
    lab.cycle()


def send(lab: Lab, wrap: Wrap, first: int, *objects: dict[str, Any]) -> None:
    for number, one in enumerate(objects, first):
        lab.send({"id": number} | wrap(one))


def source(lab: Lab) -> Struct:
    version = lab.metastore.active_schema("t")
    assert version is not None
    return version.source


def text_of(lab: Lab) -> str:
    return str(source(lab))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
class TestFlood:
    def test_the_most_frequent_keys_come_in_the_others_are_rescued(
        self, lab: Lab, place: Wrap, layout: dict[str, Any]
    ) -> None:
        begin(lab, place, **layout)
        send(lab, place, 1, *({f"k {n}": n} for n in range(5)), {"k 3": 7, "k 4": {"x": 1}})
        lab.cycle()
        assert all(name in text_of(lab) for name in ("k_0", "k_3"))
        assert "k_2" not in text_of(lab)
        lab.account()
        before = text_of(lab)
        send(lab, place, 10, {"a": 3, "later": 1}, {"k 2": 1})
        (found,) = lab.cycle()
        assert text_of(lab) == before
        assert sum(found.rescued.values()) == 2
        assert len(found.rescued) == 1
        lab.account()

    def test_a_replay_gives_the_same(self, lab: Lab, place: Wrap, layout: dict[str, Any]) -> None:
        begin(lab, place, **layout)
        send(lab, place, 1, *({f"k{n}": n} for n in range(5)))
        lab.cycle()
        before, rows = text_of(lab), lab.rows()[1:]
        lab.load(replay=["2026-11-01-00:00"])
        assert (text_of(lab), lab.rows()[1:]) == (before, rows)
        lab.account()

    def test_keys_that_look_like_data_make_no_column(
        self, lab: Lab, place: Wrap, layout: dict[str, Any]
    ) -> None:
        begin(lab, place, **layout)
        send(lab, place, 1, {"2026-11-01": 1, "b": 2}, {"10.1.1.1": {"x": 1}}, {"12345678": None})
        lab.cycle()
        assert "b:long" in text_of(lab)
        assert "2026" not in text_of(lab)
        assert "_10_" not in text_of(lab)
        lab.account()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_order_of_records_means_nothing(tmp_path: Path, place: Wrap) -> None:
    records = [{f"k{n % 9}": n} for n in range(30)] + [{"K1": 1}, {"c": 1, "k2": 1}]
    found = set()
    for seed in range(4):
        home = tmp_path / str(seed)
        home.mkdir()
        lab = Lab(home)
        begin(lab, place)
        random.Random(seed).shuffle(records)  # noqa: S311 - no secret
        send(lab, place, 1, *records)
        lab.cycle()
        lab.account()
        found.add(",".join(sorted(text_of(lab).replace("<", ",").replace(">", ",").split(","))))
    assert len(found) == 1


def test_an_object_takes_no_more_than_it_may_in_all(lab: Lab) -> None:
    begin(lab, PLACES["struct"])
    for batch in range(4):
        send(lab, PLACES["struct"], 10 * batch + 1, *({f"k{batch}{n}": n} for n in range(2)))
        lab.cycle()
        lab.account()
    attrs = source(lab).get("attrs")
    assert attrs is not None
    assert (len(attrs.type.fields), attrs.closed) == (6, True)  # type: ignore[union-attr]


def test_the_record_itself_may_have_max_columns(lab: Lab) -> None:
    begin(lab, PLACES["root"], max_columns=4)
    send(lab, PLACES["root"], 1, {"b": 1}, {"c": 1}, {"d": 1}, {"d": 2})
    lab.cycle()
    lab.account()
    assert [f.name for f in source(lab).fields if f.keys] == ["id", "a", "d", "b"]


def test_new_columns_inside_count_for_max_columns_too(lab: Lab) -> None:
    begin(lab, PLACES["struct"], max_columns=4)
    send(lab, PLACES["struct"], 1, {"o": {"x": 1, "y": 1, "z": 1}}, {"b": 1}, {"c": 1, "b": 1})
    lab.cycle()
    lab.account()
    assert "attrs:struct<a:long,b:long,o:json>" in text_of(lab).replace(
        "o:json,b:long", "b:long,o:json"
    )
    assert "c:" not in text_of(lab)


def test_a_hint_opens_a_key_of_a_closed_object(lab: Lab) -> None:
    begin(lab, PLACES["struct"], max_new_keys=0)
    send(lab, PLACES["struct"], 1, {"b": 1})
    lab.cycle()
    assert "b:" not in text_of(lab)
    record = lab.metastore.get("t")
    hint = {"columns": {"attrs.b": {"type": "long"}}}
    lab.metastore.update("t", hint, record.version, "test")
    send(lab, PLACES["struct"], 5, {"b": 2})
    lab.cycle()
    assert "b:long" in text_of(lab)
    assert lab.plain_rows()[-1]["attrs"]["b"] == 2


def test_no_flood_of_such_values_stops_a_table(lab: Lab) -> None:
    begin(lab, PLACES["struct"], max_rescued_ratio=0.0)
    send(lab, PLACES["struct"], 1, *({f"k{n}": n} for n in range(150)))
    (found,) = lab.cycle()
    assert found.rescued == {"attrs.*": 147}
    assert any(c.kind == "closed" for c in found.changes)
    lab.account()


def test_the_schema_says_what_to_do(lab: Lab) -> None:
    begin(lab, PLACES["struct"])
    send(lab, PLACES["struct"], 1, *({f"k{n}": n} for n in range(9)))
    lab.cycle()
    found = describe(lab.metastore, "t")
    assert found is not None
    (line,) = [m for _, m in found.lines if "closed" in m.rules]
    assert ("closed", "attrs") in [(d.what, d.column) for d in compare(lab.metastore, "t", 1, 2)[2]]
    assert line.path == ("attrs",)
    assert """lake rebuild t --change 'columns.attrs={"type":"map"}'""" in line.reason


class Unseeing(MemoryEngine):
    """Of a table with a step that selects all columns but `_rescued`."""

    def derive(self, dataset: Dataset, source: Struct, seen: Struct | None = None) -> Struct:  # noqa: ARG002
        return Struct(tuple(f for f in source.fields if f.keys))


def test_what_steps_do_not_hand_on_stops_a_table(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_check_supported", lambda _: None)
    lab.engine = Unseeing(lab.store)
    step = Transform(sql="SELECT id, attrs FROM input")
    begin(lab, PLACES["struct"], transforms=(step,))
    send(lab, PLACES["struct"], 1, {"2026-11-01": 1})
    lab.cycle()
    assert "2026" in text_of(lab)
    send(lab, PLACES["struct"], 2, *({f"k{n}": n} for n in range(9)))
    with pytest.raises(SchemaBlockedError, match="attrs: more new keys than it may have"):
        lab.cycle()
    assert "k0" not in text_of(lab)
    (incident,) = lab.metastore.incidents("t")
    held = lab.metastore.get("t")
    assert held.status == "BLOCKED"
    assert [c["kind"] for c in incident.changes] == ["flood"]


def test_a_first_batch_is_not_limited(lab: Lab) -> None:
    lab.register(format="parquet", max_new_keys=1, max_object_keys=2)
    send(lab, PLACES["struct"], 1, {"a": 1, "b": 1, "c": 1, "2026-01-01": 1})
    lab.cycle()
    lab.account()
    assert "_rescued" not in text_of(lab)


def test_one_record_with_very_many_keys(lab: Lab) -> None:
    begin(lab, PLACES["struct"])
    send(lab, PLACES["struct"], 1, {f"k{n}": n for n in range(3_000)})
    lab.cycle()
    assert text_of(lab) == "struct<id:long,attrs:struct<a:long>,_rescued:rescued>"
    assert len(json.loads(lab.plain_rows()[-1]["_rescued"])) == 3_000
    lab.account()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
class TestTwins:
    def test_the_second_spelling_is_rescued(
        self, lab: Lab, place: Wrap, layout: dict[str, Any]
    ) -> None:
        lab.register(case_twins="rescue", **layout)
        send(lab, place, 1, {"a": 1, "uid": 1}, {"uid": 2}, {"UID": "x"}, {"uid": 4, "UID": 4})
        lab.cycle()
        assert "uid:long" in text_of(lab)
        assert "UID" not in text_of(lab)
        lab.account()
        send(lab, place, 5, {"Uid": 5, "n": 1}, {"n": 2}, {"N": {"x": 1}})
        lab.cycle()
        assert "n:long" in text_of(lab)
        assert "N:" not in text_of(lab)
        assert len([r for r in lab.plain_rows() if r.get("_rescued")]) == 4
        lab.account()


def test_an_alias_by_hint_is_one_all_the_same(lab: Lab) -> None:
    hint: dict[str, Any] = {"uid": {"aliases": ["UID"]}}
    lab.register(format="parquet", case_twins="rescue", columns=hint)
    lab.send_all([{"uid": 1}, {"UID": 2}, {"Uid": 3}])
    lab.cycle()
    assert [r["uid"] for r in lab.plain_rows()] == [1, 2, None]


def test_a_closed_object_is_rebuilt_as_a_map(lab: Lab) -> None:
    begin(lab, PLACES["struct"])
    send(lab, PLACES["struct"], 1, *({f"k.{n}": n} for n in range(9)), {"2026-11-01": 5})
    lab.cycle()
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", {"columns.attrs": {"type": "map"}}, "ops")
    assert [str(step) for step in work.build("t")]
    work.swap("t")
    assert text_of(lab).startswith("struct<id:long,attrs:map<string,long>")
    expected = [{"a": 1}, *({f"k.{n}": n} for n in range(9)), {"2026-11-01": 5}]
    assert [dict(r["attrs"]) for r in lab.plain_rows()] == expected
    assert not any(r.get("_rescued") for r in lab.plain_rows())
    lab.account()


@pytest.mark.parametrize("change", [{"description": "x", "columns.id": {"type": "string"}}])
def test_what_is_closed_stays_so_in_a_rebuild(lab: Lab, change: dict[str, Any]) -> None:
    begin(lab, lambda o: {"attrs": o, **o})
    send(lab, lambda o: {"attrs": o, **o}, 1, *({f"k{n}": n} for n in range(9)))
    lab.cycle()
    before = source(lab)
    work = Rebuilder(lab.metastore, lab.ports(), lab.limits)
    work.begin("t", change, "ops")
    assert [str(step) for step in work.build("t")]
    work.swap("t")
    assert source(lab).closed
    assert [f.name for f in source(lab).fields] == [f.name for f in before.fields]
    assert source(lab).get("attrs") == before.get("attrs")
    lab.account()
