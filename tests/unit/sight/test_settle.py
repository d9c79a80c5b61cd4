"""The first schema of records, row by row of the policy's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from lake_platform.domain.mapping import shown, summary
from lake_platform.domain.schema import columns
from tests.settling import UUID, line, settled, types


@dataclass(frozen=True)
class Row:
    """Values that meet in one path. `inside`: the type in elements and map values, if another."""

    values: tuple[str, ...]
    kind: str
    rule: str = ""
    inside: str = ""
    options: dict[str, Any] = field(default_factory=dict)


TWO_53 = "9007199254740993"
ROWS = {
    "text": Row(('"x"',), "string"),
    "boolean": Row(("true", "null"), "boolean"),
    "long": Row(("1", "-9223372036854775808"), "long"),
    "long-wholes": Row(("1", "5.0", "1e3"), "long"),
    "wholes": Row(("5.0", "-2.0"), "double"),
    "decimals": Row(("5.25",), "double"),
    "long-decimals": Row(("1", "1.5"), "double"),
    "longs-beyond-double": Row((TWO_53, "1.5"), "decimal(21,1)"),
    "decimals-beyond-double": Row(("0.1234567890123456789",), "decimal(20,19)"),
    "long-decimals-beyond": Row(("1", "0.1234567890123456789"), "decimal(38,19)"),
    "longs-and-tiny": Row((TWO_53, "1e-30"), "json", "json"),
    "underflow": Row(("1e-400",), "json", "json"),
    "beyond-64-bits": Row(("9223372036854775808", "1"), "decimal(20,0)"),
    "25-digits": Row(("1" * 25,), "decimal(25,0)"),
    "38-digits": Row(("-" + "9" * 38,), "decimal(38,0)"),
    "39-digits": Row(("1" * 39,), "json", "json"),
    "huge-double": Row(("1e300",), "double"),
    "huge-double-long": Row(("1", "1e300"), "double"),
    "huge-double-large-long": Row((TWO_53, "1e300"), "json", "json"),
    "text-number": Row(('"x"', "1", "1" * 39), "string", "text"),
    "text-boolean": Row(('"x"', "true"), "string", "text"),
    "text-number-json": Row(('"x"', "1"), "json", "json", options={"mixed_scalars": "json"}),
    "boolean-number": Row(("true", "1"), "json", "json"),
    "single-array": Row(("1", "[1]"), "array<long>", "wrap"),
    "single-array-json": Row(("1", "[1]"), "json", "json", options={"single_or_array": "json"}),
    "single-mixed-array": Row(('"x"', "[1, 2.5]"), "array<string>", "wrap"),
    "object-array": Row(('{"k":1}', '[{"k":"x"}]', "{}"), "array<struct<k:string>>", "wrap"),
    "nested-arrays": Row(("1", "[1]", "[[1]]"), "array<array<long>>", "wrap"),
    "single-empty-array": Row(('"x"', "[]"), "array<string>", "wrap"),
    "empty-array-object": Row(("[]", '{"k":1}'), "struct<k:long>"),
    "empty-object-array": Row(("{}", "[1]"), "array<long>"),
    "text-object": Row(('"x"', '{"k":1}'), "json", "json"),
    "text-empty-object": Row(('"x"', "{}"), "json", "json"),
    "array-other-object": Row(("[1]", '{"k":1}'), "json", "json"),
    "mixed-elements": Row(('[1, "x", {"k":1}]',), "array<json>"),
    "mixed-elements-single": Row(('[1, {"k":1}]', "5"), "json", "json"),
    "rare-object": Row(('"x"',) * 101 + ('{"k":1}',), "string", "rescue", "json"),
    "rare-text": Row(('{"k":1}', "[]") * 101 + ('"x"',), "struct<k:long>", "rescue", "json"),
    "rare-single": Row(('[{"k":1}]', "{}") * 101 + ('"x"',), "array<struct<k:long>>", "rescue",
                       "json"),
    "one-in-a-hundred": Row(('"x"',) * 99 + ('{"k":1}',), "json", "json"),
}  # fmt: skip
PENDING = ("null", "{}", "[]", "[null]", "[[]]", '{"k":null}', '{"k":{"l":[{}]}}')
PLACES = {
    "root": ('{{"a":{}}}', "{}", "a"),
    "struct": ('{{"s":{{"a":{}}}}}', "struct<a:{}>", "s.a"),
    "element": ('{{"s":[{}, null]}}', "array<{}>", "s[]"),
    "deep-element": ('{{"s":[{{"a":{}}}]}}', "array<struct<a:{}>>", "s[].a"),
    "map": ('{{"s":{{"KEY":{}}}}}', "map<string,{}>", "s[]"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("row", ROWS)
def test_types_that_meet(row: str, place: str) -> None:
    case, (record, kind, path) = ROWS[row], PLACES[place]
    values = case.values if place != "map" else case.values * 3
    records = [record.format(v).replace("KEY", UUID.format(i)) for i, v in enumerate(values)]
    found = settled(*records, **case.options)
    rescued = case.rule == "rescue"
    inside = place not in ("root", "struct")
    expected = case.inside if inside and case.inside else case.kind
    assert list(types(found).values()) == [kind.format(expected)]
    rule = "json" if rescued and inside else case.rule
    assert line(found, path).rules == ((rule,) if rule else ())
    assert line(found, path).type == expected


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if row.rule == "rescue"])
def test_rescue_is_said_by_the_field(row: str) -> None:
    found = settled(*(f'{{"a":{v}, "s":{{"a":{v}}}}}' for v in ROWS[row].values))
    a, s = found.struct.fields
    assert (a.rescue, s.rescue) == (True, False)
    assert "s.a" in {shown(m.path) for m in found.mapped if "rescue" in m.rules}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", PENDING)
def test_nothing_but_empty_is_pending(value: str, place: str) -> None:
    record, _, path = PLACES[place]
    found = settled(*(record.format(value).replace("KEY", UUID.format(i)) for i in range(3)))
    assert types(found) == {}
    assert {m.rules for m in found.mapped} == {("pending",)}
    assert {(m.column, m.type) for m in found.mapped} == {("", "")}
    if place != "map" or value.startswith("{"):
        assert path.split("[")[0] in {shown(m.path) for m in found.mapped}


def test_pending_fields_of_a_struct_have_a_line_and_no_column() -> None:
    found = settled('{"a":{"x":null,"y":1},"b":[]}')
    assert types(found) == {"a": "struct<y:long>"}
    assert [(shown(m.path), m.column) for m in found.mapped] == [
        ("a", "a"), ("a.x", ""), ("a.y", "a.y"), ("b", ""),
    ]  # fmt: skip


def test_names_and_keys() -> None:
    found = settled('{"+1":1,"_kafka_offset":2,"a.b":3,"a_b":4,"":5,"o":{"_kafka_offset":6}}')
    fields = {f.name: f.key for f in found.struct.fields}
    assert fields == {
        "plus_1": "+1", "src_kafka_offset": "_kafka_offset", "a_b_2e7336": "a.b", "a_b": None,
        "c": "", "o": None,
    }  # fmt: skip
    assert types(found)["o"] == "struct<_kafka_offset:long>"
    assert line(found, '"+1"').rules == ("renamed",)
    assert line(found, "_kafka_offset").reason == "a name of ours"
    assert line(found, '"a.b"').reason == "the name is that of another key"
    assert types(settled('{"Id":1}', names="lower")) == {"id": "long"}
    assert settled('{"Id":1}', names="lower").struct.fields[0].key == "Id"


def test_columns_come_in_the_order_first_seen() -> None:
    found = settled('{"z":1,"o":{"y":1}}', '{"m":1,"z":1,"o":{"b":1}}')
    assert types(found) == {"z": "long", "o": "struct<y:long,b:long>", "m": "long"}


def test_paths_of_the_mapping() -> None:
    found = settled('{"a":{"l":[{"x y":1}]},"t":["s"]}')
    assert [(shown(m.path), m.column, m.type) for m in found.mapped] == [
        ("a", "a", "struct<l:array<struct<x_y:long>>>"),
        ("a.l", "a.l", "array<struct<x_y:long>>"),
        ("a.l[]", "a.l[]", "struct<x_y:long>"),
        ('a.l[]."x y"', "a.l[].x_y", "long"),
        ("t", "t", "array<string>"),
        ("t[]", "t[]", "string"),
    ]
    assert [p for p, _ in columns(found.struct)] == ["a", "a.l", "a.l[].x_y", "t"]


def test_shares_and_examples() -> None:
    found = settled('{"a":1}', '{"a":2,"b":{"c":null}}', '{"b":{"c":"x"}}', '{"b":{}}')
    assert line(found, "a").share == 0.5
    assert line(found, "b.c").share == 0.5
    assert (line(found, "a").example, line(found, "b.c").example) == ("1", '"x"')


def test_reasons_say_what_was_seen_and_where() -> None:
    found = settled('{"a":"x"}', '{"a":1}', '{"a":"y"}', '{"a":{}}', '{"a":{"k":1}}')
    assert line(found, "a").reason == "2 texts, 2 objects (first 0:4), 1 number (first 0:1)"
    found = settled(*['{"a":1}'] * 150, '{"a":[{"k":1}]}')
    assert line(found, "a").reason == "1 of 151 differ: 150 numbers, 1 array (first 0:150)"


def test_summary() -> None:
    maps = ",".join(f'"{UUID.format(n)}":1' for n in range(3))
    found = settled(
        f'{{"+1":1,"x":1,"m":{{{maps}}},"p":null,"q":[null],"id":1,"w":[1],"t":1}}',
        '{"x":{"k":1},"ID":1,"w":1,"t":"x"}',
    )
    assert summary(found.mapped) == (
        "1 renamed, 1 merged, 1 wrapped, 1 mixed as text, 1 map (3 keys), 1 json, 2 pending"
    )
    assert summary(settled('{"a":1}').mapped) == ""
