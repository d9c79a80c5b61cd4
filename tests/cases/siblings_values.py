"""Siblings of c01, c12, c15 and c16: the same kinds of fault with other types, depths, formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

PARQUET: Mapping[str, Any] = {"format": "parquet"}
HUDI: Mapping[str, Any] = {"format": "hudi"}
UPSERT: Mapping[str, Any] = {"format": "hudi", "mode": "upsert", "primary_key": ["id"]}
STEP: Mapping[str, Any] = {**PARQUET, "transforms": [{"sql": "SELECT * FROM input WHERE id > 0"}]}


@dataclass(frozen=True)
class Conflict:
    """A value that does not fit beside ones that do: its record is held back, whatever comes
    first, and the record behind it is not harmed. `good` and `bad` are values of column `v`."""

    name: str
    good: str
    bad: str
    path: str
    layout: Mapping[str, Any] = field(default_factory=lambda: PARQUET)
    """`v` comes with the batch that holds the conflict."""


CONFLICTS = (
    Conflict("long-then-text", "[1]", '[1,"x"]', "v[]"),
    Conflict("text-then-long", "[1]", '["x",1]', "v[]"),
    Conflict("text-array-takes-no-object", '["a"]', '["a",{"b":1}]', "v[]"),
    Conflict("null-between", "[1]", '[null,1,null,"x"]', "v[]"),
    Conflict("boolean-beside-number", "[1]", "[2,true]", "v[]"),
    Conflict("number-beside-boolean", "[true]", "[false,0]", "v[]"),
    Conflict("object-beside-number", "[1]", '[2,{"a":1}]', "v[]"),
    Conflict("array-beside-number", "[1]", "[2,[3]]", "v[]"),
    Conflict("array-of-arrays", "[[1]]", '[[1],[2,"x"]]', "v[][]"),
    Conflict("array-in-a-struct", '{"a":{"b":[1]}}', '{"a":{"b":[2,"x"]}}', "v.a.b[]"),
    Conflict("struct-in-an-array", '[{"a":1}]', '[{"a":2},{"a":"x"}]', "v[].a"),
    Conflict(
        "deep", '[{"a":[{"b":1}]}]', '[{"a":[{"b":1}]},{"a":[{"b":2},{"b":"x"}]}]', "v[].a[].b"
    ),
    Conflict("hudi-append", "[1]", '[1,"x"]', "v[]", HUDI),
    Conflict("hudi-upsert", "[1]", '[1,"x"]', "v[]", UPSERT),
    Conflict("hudi-struct", '[{"a":1}]', '[{"a":2},{"a":"x"}]', "v[].a", UPSERT),
    Conflict("behind-a-step", "[1]", '[1,"x"]', "v[]", STEP),
)


@dataclass(frozen=True)
class Mix:
    """Values of one path that meet at first sight, the type that holds them, and what each reads
    as."""

    name: str
    texts: tuple[str, ...]
    kind: str
    right: tuple[Any, ...]
    layout: Mapping[str, Any] = field(default_factory=lambda: PARQUET)


_MIXES = (
    Mix("long-and-text", ("[1]", '[1,"x"]'), "array<string>", (["1"], ["1", "x"])),
    Mix("boolean-and-number", ("true", "1"), "json", ("true", "1")),
    Mix("objects-of-two-types", ('[{"a":1},{"a":"x"}]',), "array<struct<a:string>>",
        ([{"a": "1"}, {"a": "x"}],)),
    Mix("object-and-number", ('{"a" : 1.0}', "5"), "json", ('{"a" : 1.0}', "5")),
    Mix("single-and-array", ("1", "[2,3]"), "array<long>", ([1], [2, 3])),
    Mix("single-and-array-of-objects", ('{"a":1}', '[{"a":2,"b":"x"}]'),
        "array<struct<a:long,b:string>>", ([{"a": 1, "b": None}], [{"a": 2, "b": "x"}])),
    Mix("whole-doubles", ("5.0", "7"), "long", (5, 7)),
    Mix("beyond-64-bits", (str(2**64), "1"), "decimal(20,0)", (str(2**64), "1")),
    Mix("beyond-38-digits", ("1" * 40, "1"), "json", ("1" * 40, "1")),
    Mix("php-map", ("[]", '{"a":1}'), "struct<a:long>", (None, {"a": 1})),
    Mix("map", ('{"10.0.0.1":1,"10.0.0.2":2}', '{"10.0.0.3":3}'), "map<string,long>",
        ({"10.0.0.1": 1, "10.0.0.2": 2}, {"10.0.0.3": 3})),
    Mix("map-of-json", ('{"10.0.0.1":1,"10.0.0.2":{"x":1}}', '{"10.0.0.3":"y"}'),
        "map<string,json>", ({"10.0.0.1": "1", "10.0.0.2": '{"x":1}'}, {"10.0.0.3": '"y"'})),
    Mix("keys-in-two-cases", ('{"x":1}', '{"X":2}'), "struct<X:long>", ({"X": 1}, {"X": 2})),
    Mix("odd-keys", ('{"+1":1,"a.b":2,"":3}',), "struct<plus_1:long,a_b:long,c:long>",
        ({"plus_1": 1, "a_b": 2, "c": 3},)),
)  # fmt: skip
MIXES = tuple(
    replace(m, name=f"{m.name}-{where}", layout=layout)
    for m in _MIXES
    for where, layout in {"parquet": PARQUET, "hudi": HUDI, "upsert": UPSERT}.items()
)


@dataclass(frozen=True)
class Spelling:
    """A text in a date or timestamp column. It becomes `right`, or its record is held back (where
    `must` is set it may not be); it never becomes anything else."""

    kind: str
    text: str
    right: str | None
    must: bool = False
    layout: Mapping[str, Any] = field(default_factory=lambda: PARQUET)


SPELLINGS = (
    Spelling("date", "2026-11-01", "2026-11-01", must=True),
    Spelling("date", "0001-01-01", "0001-01-01", must=True),
    Spelling("date", "1582-10-10", "1582-10-10", must=True),
    Spelling("date", "9999-12-31", "9999-12-31", must=True),
    Spelling("date", "20261101", "2026-11-01"),
    Spelling("date", "2026-W44-7", "2026-11-01"),
    Spelling("date", "2026W447", "2026-11-01"),
    Spelling("date", "2026-305", "2026-11-01"),
    Spelling("date", "2026-1-2", "2026-01-02"),
    Spelling("date", "2026-11-01T00:00:00Z", "2026-11-01"),
    Spelling("date", " 2026-11-01", "2026-11-01"),
    Spelling("date", "2026-02-30", None),
    Spelling("date", "12345", None),
    Spelling("date", "today", None),
    Spelling("date", "", None),
    Spelling("date", "2026-11-01", "2026-11-01", must=True, layout=UPSERT),
    Spelling("date", "20261101", "2026-11-01", layout=UPSERT),
    Spelling("date", "2026-W44-7", "2026-11-01", layout=HUDI),
    Spelling("timestamp", "2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z", must=True),
    Spelling("timestamp", "2026-11-01 10:00:00", "2026-11-01T10:00:00Z", must=True),
    Spelling("timestamp", "2026-11-01T12:00:00+02:00", "2026-11-01T10:00:00Z", must=True),
    Spelling("timestamp", "2026-11-01T10:00:00.5Z", "2026-11-01T10:00:00.500000Z", must=True),
    Spelling("timestamp", "2026-11-01T10:00:00.123456789Z", "2026-11-01T10:00:00.123456Z"),
    Spelling("timestamp", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", must=True),
    Spelling("timestamp", "1899-12-31T23:59:59Z", "1899-12-31T23:59:59Z", must=True),
    Spelling("timestamp", "20261101T100000Z", "2026-11-01T10:00:00Z"),
    Spelling("timestamp", "2026-W44-7T10:00:00Z", "2026-11-01T10:00:00Z"),
    Spelling("timestamp", "2026-11-01T24:00:00Z", "2026-11-02T00:00:00Z"),
    Spelling("timestamp", "2026-11-01T10:00:60Z", None),
    Spelling("timestamp", "1793527200", None),
    Spelling("timestamp", "20261101", "2026-11-01T00:00:00Z"),
    Spelling("timestamp", "20261101T100000Z", "2026-11-01T10:00:00Z", layout=UPSERT),
    Spelling("timestamp", "1899-12-31T23:59:59Z", "1899-12-31T23:59:59Z", must=True, layout=HUDI),
)


@dataclass(frozen=True)
class Folders:
    """Values of a partition column `p` that every reader gives back as they were sent."""

    name: str
    values: Sequence[Any]
    layout: Mapping[str, Any] = field(default_factory=lambda: PARQUET)


_NUMBERS = ("007", "012", "1e3", "0x10")
FOLDERS = (
    Folders("numbers", _NUMBERS),
    Folders("dates", ("2026-11-01", "20261101", "2026-11-01 10:00:00")),
    Folders("words", ("true", "null", "NaN", "-0", "+1")),
    Folders("signs", ("a/b", "a=b", "a%2Fb", "a b", "ü", "..x", "a:b")),
    Folders("all-numbers", ("1", "2")),
    Folders("long-column", (7, -1)),
    Folders("boolean-column", (True, False)),
    Folders("text-and-null", ("007", None)),
    Folders("step", _NUMBERS, {**PARQUET, "transforms": [{"sql": "SELECT id, p FROM input"}]}),
    Folders("hudi-numbers", _NUMBERS, HUDI),
    Folders("hudi-signs", ("a/b", "a=b", "a b", "ü"), HUDI),
    Folders("hudi-upsert", _NUMBERS, UPSERT),
)


@dataclass(frozen=True)
class Widening:
    """A column `v` of type `kind` that data widens: `before` and `after` are values of it, and what
    reading them together gives."""

    name: str
    kind: str
    before: str
    after: str
    right: tuple[Any, Any]
    spark_type: str
    layout: Mapping[str, Any] = field(default_factory=lambda: PARQUET)


_BIG = 3_000_000_000
_GROWN = ("1.50", "12345.678", ("1.500", "12345.678"), "decimal(8,3)")
WIDENINGS = (
    Widening("int-long", "int", "5", str(_BIG), (5, _BIG), "bigint"),
    Widening("int-long-hudi", "int", "5", str(_BIG), (5, _BIG), "bigint", HUDI),
    Widening("int-long-upsert", "int", "5", str(_BIG), (5, _BIG), "bigint", UPSERT),
    Widening("int-long-step", "int", "5", str(_BIG), (5, _BIG), "bigint", STEP),
    Widening("int-long-next-batch", "int", "5", str(_BIG), (5, _BIG), "bigint",
             {**PARQUET, "evolution": "next_batch"}),
    Widening("float-double", "float", "0.5", "0.1", (0.5, 0.1), "double"),
    Widening("float-huge", "float", "0.5", "1e300", (0.5, 1e300), "double"),
    Widening("float-whole", "float", "0.5", "16777217", (0.5, 16777217.0), "double"),
    Widening("float-double-hudi", "float", "0.5", "0.1", (0.5, 0.1), "double", HUDI),
    Widening("float-double-upsert", "float", "0.5", "1e300", (0.5, 1e300), "double", UPSERT),
    Widening("decimal", "decimal(5,2)", *_GROWN),
    Widening("decimal-hudi", "decimal(5,2)", *_GROWN, HUDI),
)  # fmt: skip
# Hudi's are as many again as are tried on each change.
QUICK_WIDENINGS = [
    w
    for w in WIDENINGS
    if w.layout in (PARQUET, STEP) or w.name in {"int-long-upsert", "decimal-hudi"}
]
