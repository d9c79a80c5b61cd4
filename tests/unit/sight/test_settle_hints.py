"""What hints of a definition make of the first schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from lake_platform.domain.mapping import shown, summary
from lake_platform.domain.schema import Field, Scalar, Struct, fields
from tests.settling import line, settled, types


@dataclass(frozen=True)
class Row:
    """Values at one path, and the hint for it. `rescue`: what does not fit the type is rescued."""

    hint: dict[str, Any]
    values: tuple[str, ...]
    kind: str
    rescue: bool = True
    unit: str = ""


ROWS = {
    "string": Row({"type": "string"}, ("1", "2"), "string"),
    "long": Row({"type": "long"}, ('"x"', "1"), "long"),
    "int": Row({"type": "int"}, ("1",), "int"),
    "decimal": Row({"type": "decimal(12,2)"}, ("1.5", '{"k":1}'), "decimal(12,2)"),
    "date": Row({"type": "date"}, ('"2026-11-01"',), "date"),
    "timestamp": Row({"type": "timestamp", "format": "iso"}, ('"x"',), "timestamp"),
    "epoch": Row({"type": "timestamp", "format": "ms"}, ("1793527200000",), "timestamp",
                 True, "ms"),
    "json": Row({"type": "json"}, ('{"k":1}', "5"), "json", rescue=False),
    "scalar-pending": Row({"type": "double"}, ("null",), "double"),
    "map": Row({"type": "map"}, ('{"k":1,"l":2.5}',), "map<string,double>"),
    "map-json": Row({"type": "map"}, ('{"k":1,"l":{"m":1}}',), "map<string,json>"),
    "map-of-no-objects": Row({"type": "map"}, ("5", "{}"), "map<string,json>"),
    "map-values": Row({"type": "map", "values": "string"}, ('{"k":1,"l":[]}',),
                      "map<string,string>"),
    "map-values-pending": Row({"type": "map", "values": "string"}, ("{}",), "map<string,string>"),
    "array": Row({"type": "array"}, ("1", "2.5"), "array<double>"),
    "array-of-objects": Row({"type": "array"}, ('{"k":1}', "[]"), "array<struct<k:long>>"),
    "array-values": Row({"type": "array", "values": "long"}, ('["x"]', "1"), "array<long>"),
    "array-epoch": Row({"type": "array", "values": "timestamp", "format": "s"}, ("[1]",),
                       "array<timestamp>", True, "s"),
}  # fmt: skip
PLACES = {
    "root": ('{{"a":{}}}', "{}", "a"),
    "struct": ('{{"s":{{"a":{}}}}}', "struct<a:{}>", "s.a"),
    "element": ('{{"s":[{}, null]}}', "array<{}>", "s[]"),
    "deep-element": ('{{"s":[{{"a":{}}}]}}', "array<struct<a:{}>>", "s[].a"),
    "map": ('{{"s":{{"k k":{}}}}}', "map<string,{}>", "s[]"),
    "deep-map": ('{{"s":{{"k k":{{"a":{}}}}}}}', "map<string,struct<a:{}>>", "s[].a"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("row", ROWS)
def test_a_type_by_hint_beats_what_was_seen(row: str, place: str) -> None:
    case, (record, kind, path) = ROWS[row], PLACES[place]
    columns = {path: case.hint}
    if "map" in place:
        columns["s"] = {"type": "map"}
    found = settled(*(record.format(v) for v in case.values), columns=columns)
    assert types(found) == {path.split(".")[0].rstrip("[]"): kind.format(case.kind)}
    assert "hint" in line(found, path).rules
    assert line(found, path).type == case.kind
    assert "by hint" in line(found, path).reason
    assert found.unmet == ()
    named = path.split(".")[-1].rstrip("[]")
    (field,) = [f for _, f in fields(found.struct) if f.name == named]
    assert field.rescue == (case.rescue or ("map" in place and path == "s[]"))
    if case.unit:
        assert f"Scalar(name='timestamp', format='{case.unit}')" in repr(field.type)


@pytest.mark.parametrize("place", ["root", "struct", "deep-element", "deep-map"])
def test_names(place: str) -> None:
    record, _, path = PLACES[place]
    text = record.format("1").replace('"a":1', '"a":1,"b c":2,"b-c":3,"A_":4')
    prefix = path.removesuffix("a")
    columns = {
        f"{prefix}a": {"name": "b_c"}, f'{prefix}"b c"': {"name": "a"},
        f"{prefix}never": {"name": "a_"},
    }  # fmt: skip
    found = settled(text, columns=columns)
    names = {f.keys[0]: f.name for _, f in fields(found.struct) if f.name != "s"}
    assert (names["a"], names["b c"]) == ("b_c", "a")
    assert names["b-c"].startswith("b_c_")
    assert names["A_"].lower().startswith("a__")
    assert line(found, f"{prefix}a").rules == ("hint",)
    assert line(found, f"{prefix}a").reason == "named b_c"
    assert line(found, f'{prefix}"b-c"').rules == ("renamed",)
    assert [shown(p) for p in found.unmet] == [f"{prefix}never"]


def test_a_name_keeps_its_case() -> None:
    found = settled('{"Id":1,"B":1}', names="lower", columns={"Id": {"name": "ID"}})
    assert types(found) == {"ID": "long", "b": "long"}


@pytest.mark.parametrize("place", ["root", "struct", "deep-element", "deep-map"])
def test_drop(place: str) -> None:
    record, kind, path = PLACES[place]
    text = record.format("1").replace('"a":1', '"a":{"x":[1]},"b":2')
    found = settled(text, columns={path: {"drop": True}})
    assert next(iter(types(found).values())) == kind.format("long").replace("a:", "b:")
    assert (line(found, path).rules, line(found, path).column) == (("hint",), "")
    assert line(found, path).reason == "dropped by hint"
    assert summary(found.mapped) in ("1 by hint", "1 map (1 keys), 1 by hint")


def test_what_holds_only_what_is_dropped_is_pending() -> None:
    found = settled('{"a":{"b":1},"c":1}', columns={"a.b": {"drop": True}})
    assert types(found) == {"c": "long"}
    assert line(found, "a").rules == ("pending",)


@pytest.mark.parametrize("place", ["root", "struct", "deep-element", "deep-map"])
def test_aliases(place: str) -> None:
    record, _, path = PLACES[place]
    texts = [record.format("1"), record.format("2").replace('"a"', '"b"'),
             record.format('"x"').replace('"a"', '"C"')]  # fmt: skip
    found = settled(*texts, columns={path: {"aliases": ["b", "never", "C"]}})
    (field,) = [f for _, f in fields(found.struct) if f.name == "a"]
    assert (field.key, field.aliases) == (None, ("b", "never", "C"))
    assert str(field.type) == "string"
    prefix = path.removesuffix("a")
    told = {p: line(found, f"{prefix}{p}") for p in "bC"}
    assert {m.rules for m in told.values()} == {("alias", "hint")}
    assert line(found, path).reason.endswith("means b, never, C too")


def test_an_alias_without_its_own_key() -> None:
    found = settled('{"request_id":1}', columns={"requestId": {"aliases": ["request_id"]}})
    assert found.struct == Struct((Field("requestId", Scalar("long"), aliases=("request_id",)),))
    assert found.unmet == ()


def test_spellings_of_a_key_with_a_hint() -> None:
    one: dict[str, Any] = {"columns": {"Id": {"name": "x"}}}
    assert settled('{"id":1}', **one).struct.fields == (
        Field("x", Scalar("long"), key="Id", aliases=("id",)),
    )
    assert types(settled('{"id":1}', **one, case_twins="split")) == {"id": "long"}
    both = {"Id": {"name": "x"}, "id": {"name": "y"}}
    assert types(settled('{"id":1}', '{"Id":"a"}', columns=both)) == {"y": "long", "x": "string"}
    assert types(settled('{"id":1}', '{"Id":"a"}', columns={"ID": {"drop": True}})) == {}
    assert types(settled('{"id":1,"Id":2}', **one)) == {"id": "long", "x": "long"}
    found = settled('{"":1,"b":2}', columns={"b": {"aliases": [""]}, "c": {"type": "long"}})
    assert found.struct.fields == (Field("b", Scalar("long"), aliases=("",)),)


def test_hints_below_keep_what_they_are_in() -> None:
    uuid = "00000000-0000-4000-8000-{:012d}"
    keys = ",".join(f'"{uuid.format(n)}":1' for n in range(5))
    hint = {f's."{uuid.format(2)}"': {"name": "two"}}
    assert types(settled(f'{{"s":{{{keys}}}}}'))["s"] == "map<string,long>"
    assert types(settled(f'{{"s":{{{keys}}}}}', columns=hint))["s"].startswith("struct<")
    found = settled('{"s":{"k":1}}', '{"s":"x"}', columns={"s.k": {"type": "string"}})
    assert types(found) == {"s": "struct<k:string>"}
    assert line(found, "s").rules == ("rescue",)
    deep = settled('{"a":{"b":{"c":{"d":1}}}}', max_depth=2, columns={"a.b.c.d": {"name": "x"}})
    assert types(deep) == {"a": "struct<b:struct<c:struct<x:long>>>"}
    wide = settled('{"a":{"b":1,"c":2},"d":{"e":1,"f":2}}', max_columns=1,
                   columns={"a.b": {"name": "x"}})  # fmt: skip
    assert types(wide) == {"a": "struct<x:long,c:long>", "d": "json"}


def test_unmet_hints() -> None:
    columns: dict[str, Any] = {"a.b": {"type": "long"}, "x": {"drop": True}}
    found = settled('{"a":"text"}', columns=columns)
    assert [shown(p) for p in found.unmet] == ["a.b", "x"]
    assert settled('{"a":{"b":null},"x":null}', columns=columns).unmet == ()


def test_columns_of_the_definition_may_have_names_by_hint() -> None:
    found = settled('{"s":{"a-b":{"k":1}},"i":1}', partition_by=("t.x.k",), maps="auto",
                    columns={"s": {"name": "t"}, 's."a-b"': {"name": "x"}})  # fmt: skip
    assert types(found)["t"] == "struct<x:struct<k:long>>"
