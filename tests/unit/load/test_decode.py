"""What the table gets is what Python's `json` reads in the record: nothing rounded, cut or lost."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.values import Projector
from lake_platform.domain.batches import Layout
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.naming import named
from lake_platform.domain.own_columns import COORDINATES, ORDER
from lake_platform.domain.schema import (
    RESCUED_FIELD,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    merge,
)
from lake_platform.load.decode import staged_schema
from lake_platform.load.stage import Question, Staged, stage
from lake_platform.records.observe import merge_observed
from lake_platform.sight.infer import settled
from lake_platform.sight.profile import Profile
from tests.equivalence import difference
from tests.properties import examples
from tests.raw_objects import raw_object
from tests.support import dropped_by

LONG, DOUBLE, TEXT = Scalar("long"), Scalar("double"), Scalar("string")
APPEND = Dataset(topic="t", table="t")
APPEND_SPLIT = Dataset(topic="t", table="t", case_twins="split", maps="off", names="lower")
APPEND_JSON = Dataset(topic="t", table="t", mixed_scalars="json", single_or_array="json")
UPSERT_A = Dataset(topic="t", table="t", mode="upsert", primary_key=("a",))


def _staged(values: list[bytes], source: Struct, dataset: Dataset = APPEND) -> tuple[Staged, Any]:
    store = open_store("memory:///")
    raw = raw_object(store, values)
    staged = stage(Question(dataset, source, source, "staging/t/1/n/"), [raw], store)
    tables = [pq.read_table(io.BytesIO(store.get(f.key))) for f in staged.files]
    rows = [r for t in tables for r in t.to_pylist(maps_as_pydicts="strict")]
    return staged, sorted(rows, key=lambda r: r["_kafka_offset"])


def _of(kind: Type, text: str) -> Any:
    """The one value of a column, decoded; the report's changes when it does not fit."""
    staged, rows = _staged([f'{{"v":{text}}}'.encode()], Struct((Field("v", kind),)))
    if staged.report.changes:
        return [str(c) for c in staged.report.changes.values()]
    return rows[0]["v"]


EXACT: list[tuple[Type, str, Any]] = [
    (LONG, str(2**63 - 1), 2**63 - 1),
    (LONG, str(-(2**63)), -(2**63)),
    (LONG, "-0", 0),
    (DOUBLE, "0.1", 0.1),
    (DOUBLE, "1.7976931348623157e308", 1.7976931348623157e308),
    (DOUBLE, "5e-324", 5e-324),
    (DOUBLE, "2.2250738585072011e-308", 2.2250738585072011e-308),
    (DOUBLE, "0.12345678901234568", 0.12345678901234568),
    (DOUBLE, "9007199254740992", 9007199254740992.0),
    (DOUBLE, "3", 3.0),
    (DOUBLE, "1e3", 1000.0),
    (Scalar("float"), "0.5", 0.5),
    (Scalar("float"), "16777216", 16777216.0),
    (Decimal(38, 9), "12345678901234567890123456789.123456789",
     decimal.Decimal("12345678901234567890123456789.123456789")),
    (Decimal(12, 2), "1.10", decimal.Decimal("1.10")),
    (Decimal(12, 2), "1.1000", decimal.Decimal("1.10")),
    (Decimal(12, 2), "1e3", decimal.Decimal("1000.00")),
    (Decimal(5, 2), "0e500", decimal.Decimal("0.00")),
    (Decimal(5, 2), "0E-500", decimal.Decimal("0.00")),
    (Decimal(5, 2), "0e-99999999999999999999", decimal.Decimal("0.00")),
    (Decimal(5, 2), "1." + "0" * 40, decimal.Decimal("1.00")),
    (Decimal(5, 2), "123" + "0" * 38 + "e-38", decimal.Decimal("123.00")),
    (Decimal(38, 0), str(10**37), decimal.Decimal(10**37)),
    (Decimal(17, 17), "0.12345678901234567", decimal.Decimal("0.12345678901234567")),
    (TEXT, '"a\\u0000b"', "a\0b"),
    (TEXT, '"\u2028\\u2028\\ud83d\\ude00\U0001f600"', "\u2028\u2028\U0001f600\U0001f600"),
    (TEXT, '""', ""),
    (TEXT, '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'),
    (Array(Array(LONG)), "[[1,null],[],null]", [[1, None], [], None]),
    (Map(LONG), '{"a":1,"b":null,"":2}', {"a": 1, "b": None, "": 2}),
    (Map(Array(TEXT)), '{"k":["x",null]}', {"k": ["x", None]}),
    (Array(Struct((Field("x", LONG),))), '[{"x":1},{},null]', [{"x": 1}, {"x": None}, None]),
    (Struct((Field("x", Struct((Field("y", DOUBLE),))),)), '{"x":{"y":5}}', {"x": {"y": 5.0}}),
    (Scalar("binary"), '"QUI="', b"AB"),
    (Scalar("date"), '"2026-11-01"', dt.date(2026, 11, 1)),
    (Scalar("date"), '"20261101"', dt.date(2026, 11, 1)),
    (Scalar("date"), '"0001-01-01"', dt.date(1, 1, 1)),
    (Scalar("date"), '"9999-12-31"', dt.date(9999, 12, 31)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), EXACT, ids=lambda v: str(v)[:40])
def test_values_are_exact(kind: Type, text: str, value: Any) -> None:
    found = _of(kind, text)
    assert found == value
    assert repr(found) == repr(value)  # -0.0, and 1.10 apart from 1.1


UTC = dt.UTC
TIMES: dict[str, dt.datetime] = {
    "2026-11-01T10:00:00Z": dt.datetime(2026, 11, 1, 10, tzinfo=UTC),
    "2026-11-01t10:00:00z": dt.datetime(2026, 11, 1, 10, tzinfo=UTC),
    "2026-11-01 10:00:00": dt.datetime(2026, 11, 1, 10, tzinfo=UTC),
    "2026-11-01T10:00": dt.datetime(2026, 11, 1, 10, tzinfo=UTC),
    "2026-11-01": dt.datetime(2026, 11, 1, tzinfo=UTC),
    "20261101": dt.datetime(2026, 11, 1, tzinfo=UTC),
    "20261101T100000Z": dt.datetime(2026, 11, 1, 10, tzinfo=UTC),
    "2026-11-01T10:00:00+02:00": dt.datetime(2026, 11, 1, 8, tzinfo=UTC),
    "2026-11-01T10:00:00-0530": dt.datetime(2026, 11, 1, 15, 30, tzinfo=UTC),
    "2026-11-01T10:00:00+02": dt.datetime(2026, 11, 1, 8, tzinfo=UTC),
    "2026-11-01T10:00:00.123456789Z": dt.datetime(2026, 11, 1, 10, 0, 0, 123456, tzinfo=UTC),
    "2026-11-01T10:00:00.9999999Z": dt.datetime(2026, 11, 1, 10, 0, 0, 999999, tzinfo=UTC),
    "2026-11-01T10:00:00.5": dt.datetime(2026, 11, 1, 10, 0, 0, 500000, tzinfo=UTC),
    "0001-01-01T00:00:00Z": dt.datetime(1, 1, 1, tzinfo=UTC),
    "1899-12-31T23:59:59.000001Z": dt.datetime(1899, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "value"), TIMES.items())
def test_timestamps_in_the_forms_of_the_docs(text: str, value: dt.datetime) -> None:
    assert _of(Scalar("timestamp"), json.dumps(text)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "2026-W44-7"), ("date", "2026-1-2"), ("date", ""), ("date", "2026-02-30"),
        ("date", "2026-11-01T00:00:00"), ("date", "0000-01-01"), ("date", "20761"),
        ("date", "\uff12026-11-01"), ("date", " 2026-11-01"),
        ("timestamp", "2026-11-01T24:00:00Z"), ("timestamp", "2026-11-01T10:00:60Z"),
        ("timestamp", "2026-11-01T10:00:00.1234567890Z"), ("timestamp", "1793527200"),
        ("timestamp", "2026-11-01T10:00:00,5"), ("timestamp", "0001-01-01T00:00:00+01:00"),
        ("timestamp", "2026-11-01T10:00:00 Europe/Oslo"), ("timestamp", "2026-11-01T10"),
        ("timestamp", "2026-11-01Z"), ("timestamp", "2026-11-01T10:00:00+25:00"),
        ("binary", "QUI"), ("binary", "AB=="), ("binary", "Q U I ="), ("binary", "-_=="),
    ],
)  # fmt: skip
def test_other_texts_are_a_conflict(kind: str, text: str) -> None:
    assert _of(Scalar(kind), json.dumps(text)) == [f"column v: {kind} became string (type)"]


SINCE_1970: list[tuple[str, str, dt.datetime | None]] = [
    ("s", "1793527200", dt.datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ("s", "1793527200.1234567", dt.datetime(2026, 11, 1, 10, 0, 0, 123456, tzinfo=UTC)),
    ("s", "1.7935272e9", dt.datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ("s", "-0.0000001", dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("ms", "1793527200001", dt.datetime(2026, 11, 1, 10, 0, 0, 1000, tzinfo=UTC)),
    ("ms", "1793527200001.001", dt.datetime(2026, 11, 1, 10, 0, 0, 1001, tzinfo=UTC)),
    ("us", "1793527200123457", dt.datetime(2026, 11, 1, 10, 0, 0, 123457, tzinfo=UTC)),
    ("us", "253402300799999999", dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("us", "253402300800000000", None),
    ("us", "-62135596800000000", dt.datetime(1, 1, 1, tzinfo=UTC)),
    ("us", "-62135596800000001", None),
    ("ns", "1793527200123456789", dt.datetime(2026, 11, 1, 10, 0, 0, 123456, tzinfo=UTC)),
    ("ns", "253402300799999999999", dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("ns", "-1", dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("ms", "1e300", None), ("ms", "1e-300", dt.datetime(1970, 1, 1, tzinfo=UTC)),
    ("ms", '"1793527200001"', None), ("ms", "true", None),
    ("ms", '"2026-11-01"', None), ("ms", "[1]", None), ("ms", '{"a":1}', None),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "text", "value"), SINCE_1970)
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("place", ["root", "struct", "element", "value"])
def test_numbers_since_1970(
    unit: str, text: str, value: dt.datetime | None, slow: bool, place: str
) -> None:
    """What does not fit is rescued, as for every column with a hint."""
    kind, (form, read) = Scalar("timestamp", unit), INSIDE[place]
    struct = Struct((Field("v", kind, rescue=True),))
    holders: dict[str, Type] = {
        "root": kind,
        "struct": struct,
        "element": Array(kind),
        "value": Map(kind),
    }
    source = Struct((Field("v", holders[place], rescue=True), RESCUED_FIELD, Field("x", LONG)))
    record = f'{{"v":{form.format(text)},"x":{"5.0" if slow else 5}}}'.encode()
    staged, (row,) = _staged([record], source)
    assert staged.report.changes == {}
    assert read(row["v"]) == value
    assert (row["_rescued"] is None) == (value is not None)
    assert row["_rescued"] is None or text in row["_rescued"]


INSIDE: dict[str, tuple[str, Any]] = {
    "root": ("{}", lambda v: v),
    "struct": ('{{"v":{}}}', lambda v: v["v"]),
    "element": ("[{}]", lambda v: v[0]),
    "value": ('{{"k":{}}}', lambda v: v["k"]),
}


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [
        ("s", "86400", dt.date(1970, 1, 2)), ("ms", "-86400000.0", dt.date(1969, 12, 31)),
        ("ns", "86400000000000", dt.date(1970, 1, 2)),
        ("ns", "86400000000001", None), ("s", "86400.5", None), ("s", "86401", None),
    ],
)  # fmt: skip
def test_days_since_1970(unit: str, text: str, value: dt.date | None) -> None:
    source = Struct((Field("v", Scalar("date", unit), rescue=True), RESCUED_FIELD))
    _, (row,) = _staged([f'{{"v":{text}}}'.encode()], source)
    assert (row["v"], row["_rescued"] is None) == (value, value is not None)


@pytest.mark.parametrize(
    ("kind", "text", "change"),
    [
        (LONG, "5.5", "column v: long became double (type)"),
        (LONG, '"5"', "column v: long became string (type)"),
        (LONG, str(2**63), "column v: long became decimal(38,0) (type)"),
        (LONG, "true", "column v: long became boolean (type)"),
        (DOUBLE, '"5.0"', "column v: double became string (type)"),
        (DOUBLE, str(2**53 + 1), "column v: double became long (type)"),
        (Scalar("int"), "3000000000", "column v: int became long (widen)"),
        (Scalar("float"), "0.1", "column v: float became double (widen)"),
        (Scalar("float"), "1e300", "column v: float became double (widen)"),
        (Scalar("float"), "16777217", "column v: float became double (widen)"),
        (Decimal(12, 2), "12.345", "column v: decimal(12,2) became decimal(15,3) (widen)"),
        (Decimal(4, 2), "1e-99999999999999999999",
         "column v: decimal(4,2) became decimal(78,76) (type)"),
        (Decimal(4, 2), "1000", "column v: decimal(4,2) became decimal(6,2) (widen)"),
        (Decimal(12, 2), '"1.10"', "column v: decimal(12,2) became string (type)"),
        (Array(LONG), '[1,"x"]', "column v[]: long became string (type)"),
        (Array(LONG), '["x",1]', "column v[]: long became string (type)"),
        (Array(Struct((Field("q", LONG),))), '[{"q":1},{"q":"3"}]',
         "column v[].q: long became string (type)"),
        (Array(Struct((Field("q", LONG),))), '[{"q":"3"},{"q":1}]',
         "column v[].q: long became string (type)"),
        (Array(DOUBLE), "[9007199254740993,0.5]", "column v[]: double became long (type)"),
        (Array(DOUBLE), "[0.5,9007199254740993]", "column v[]: double became long (type)"),
        (Array(Scalar("int")), "[1,3000000000]", "column v[]: int became long (widen)"),
        (Array(Scalar("int")), "[3000000000,1]", "column v[]: int became long (widen)"),
        (Map(LONG), '{"a":1,"b":"x"}', "column v{}: long became string (type)"),
        (Array(Array(LONG)), '[[1],["x"]]', "column v[][]: long became string (type)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_change(kind: Type, text: str, change: str) -> None:
    assert _of(kind, text) == [change]


@pytest.mark.parametrize(
    "text", ['[1,"x"]', '["x",1]', '[{"q":1},{"q":[1]}]', '{"k":[1,{}],"m":[true]}']
)
def test_a_new_column_judges_each_element(text: str) -> None:
    staged, _ = _staged([f'{{"v":{text}}}'.encode()], Struct((Field("id", LONG),)))
    if text.startswith("{"):
        assert not staged.report.breaking
    else:
        assert [c.verdict for c in staged.report.changes.values()] == ["breaking"]


def test_absent_and_null_are_both_null_and_the_last_of_a_doubled_key_wins() -> None:
    source = Struct((Field("a", LONG), Field("o", Struct((Field("x", LONG),)))))
    values = [
        b"{}",
        b'{"a":null,"o":null}',
        b'{"a":1,"a":2,"o":{"x":1},"o":{}}',
        b'{"a":"x","a":3}',
    ]
    _, rows = _staged(values, source)
    assert [(r["a"], r["o"]) for r in rows] == [
        (None, None), (None, None), (2, {"x": None}), (3, None),
    ]  # fmt: skip


def test_long_texts_and_many_fields() -> None:
    names = [f"f{i}" for i in range(10_000)]
    source = Struct(tuple(Field(n, TEXT if n == "f0" else LONG) for n in names))
    value = {n: i for i, n in enumerate(names)} | {"f0": "x\u2028" * 2_000_000}
    _, rows = _staged([json.dumps(value, ensure_ascii=False).encode()], source)
    assert {n: rows[0][n] for n in names} == value


def test_names_that_json_must_escape() -> None:
    source = Struct((Field('a"b\\', LONG), Field("\x01", TEXT), Field("\u2028", TEXT)))
    _, rows = _staged([json.dumps({'a"b\\': 5, "\x01": "x", "\u2028": "y"}).encode()], source)
    assert (rows[0]['a"b\\'], rows[0]["\x01"], rows[0]["\u2028"]) == (5, "x", "y")


def test_coordinates() -> None:
    values, source = [b'{"a":1}', b'{"a":2}'], Struct((Field("a", LONG),))
    _, rows = _staged(values, source, UPSERT_A)
    assert [(r["_kafka_partition"], r["_kafka_offset"], r["_kafka_key"]) for r in rows] == [
        (0, 0, "k0"), (0, 1, "k1"),
    ]  # fmt: skip
    assert rows[1][ORDER] == "001793491200001-0000000000000000001"
    assert rows[1]["_kafka_timestamp"] == dt.datetime(2026, 11, 1, 0, 0, 0, 1000, tzinfo=UTC)
    assert list(rows[0]) == ["a", *COORDINATES, ORDER]
    _, rows = _staged(values, source)
    assert list(rows[0]) == ["a", *COORDINATES]


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _texts
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


def _grown(texts: list[bytes], source: Struct, dataset: Dataset) -> tuple[Struct, Staged, Any]:
    """Staged with what the records bring; a lesser spelling is all that may still be new."""
    whole, rows = _staged(texts, source, dataset)
    if whole.report.changes:
        kinds = {c.kind for c in whole.report.changes.values() if c.path != "_rescued"}
        # Beside a hint a column may be new, and its values mixed: for evolution to look at.
        assume(not dataset.columns or kinds <= {"alias", "add"})
        assert dataset.columns or kinds <= {"alias"}
        return _taken_over(texts, source, whole, dataset)
    return source, whole, rows


def _taken_over(
    texts: list[bytes], source: Struct, found: Staged, dataset: Dataset
) -> tuple[Struct, Staged, Any]:
    """Staged with the schema that a report asks for."""
    grown = merge(source, found.report.observed)
    assert isinstance(grown, Struct)
    source = named(source, grown, (), lower=dataset.names == "lower")
    whole, rows = _staged(texts, source, dataset)
    assert not whole.report.changes
    return source, whole, rows


def _schema(rows: list[Any], source: Struct) -> pa.Schema:
    return staged_schema(source, ordered=False) if rows else pa.schema([])


_keys = st.sampled_from(["a", "b", "A", "a.b", "a_b", "+1", "", "_kafka_key", "_rescued", "1"])
_records = st.lists(st.dictionaries(_keys, _values, max_size=5), max_size=6)


@examples(500)
@given(_records, st.sampled_from([APPEND, APPEND_SPLIT, APPEND_JSON]))
# What is empty so far in another spelling, below the record: in a struct, an array, a map.
@example([{"a": [{"x": False}]}, {"A": {"x": []}}], APPEND_SPLIT)
@example([{"a": [{"x": False}]}, {"A": [{"x": {}}]}], APPEND_SPLIT)
@example([{"a": {"x": {"y": 1}}}, {"A": {"x": {"y": []}}}], APPEND_SPLIT)
@example([{"a": {"x": [1]}}, {"A": {"x": [[]]}}], APPEND_SPLIT)
@example([{"a": [{"": False}]}, {"A": {"": []}}], APPEND_JSON)
def test_row_and_rescued_are_the_record(records: list[dict[str, Any]], dataset: Dataset) -> None:
    """Whatever the records are: the schema that comes of them holds them all."""
    check_whole(records, dataset)


_some_hints = st.dictionaries(
    st.sampled_from(["a", "b", '"+1"', '"1"']),
    st.sampled_from([
        {"type": "long"}, {"type": "string"}, {"type": "json"}, {"type": "boolean"},
        {"type": "decimal(20,3)"}, {"type": "map"}, {"type": "map", "values": "string"},
        {"type": "array"}, {"type": "array", "values": "double"}, {"drop": True},
        {"type": "timestamp", "format": "s"}, {"type": "timestamp", "format": "ns"},
        {"type": "array", "values": "timestamp", "format": "us"},
    ]),
) | st.sampled_from([
    {"a.b": {"type": "long"}, "b[]": {"type": "string"}, "a.A": {"drop": True}},
    {"a[].b": {"drop": True}, "b[][]": {"type": "json"}, "A": {"name": "b"}},
    {"a": {"aliases": ["b", "+1"]}, "A": {"name": "a"}, "1": {"aliases": [""], "type": "double"}},
    {"a[].a": {"aliases": ["b"], "name": "x"}, "b.a.b": {"drop": True}},
])  # fmt: skip


@examples(500)
@given(_records, st.sampled_from([APPEND, APPEND_SPLIT, APPEND_JSON]), _some_hints)
@example([{"a": [9007199254740993, 1.7318954940189961]}], APPEND, {})  # 32 digits
@example([{"a": 1e35}], APPEND, {"a": {"type": "decimal(20,3)"}})
@example([{"a": -(10**17)}], APPEND, {"a": {"type": "decimal(20,3)"}})
def test_row_and_rescued_are_the_record_with_hints_too(
    records: list[dict[str, Any]], dataset: Dataset, columns: dict[str, Any]
) -> None:
    check_whole(records, dataset.with_changes({"columns": columns}))


def check_whole(records: list[dict[str, Any]], dataset: Dataset) -> None:
    texts = [json.dumps(r).encode() for r in records]
    sight = settled(texts, dataset, Profile()).sight
    if sight is None:
        return
    source, whole, rows = _grown(texts, sight.source, dataset)
    assert whole.report.unaccounted == 0
    assert len(rows) == len(records)
    audited = Projector(_schema(rows, source), (), None, source, dataset.hints)
    for row, text in zip(rows, texts, strict=True):
        assert difference(row, text, source, dropped=dropped_by(dataset)) == ""
        document, _ = audited.read(text, None)
        assert document is not None
        said = audited.project(document)
        assert audited.hash_of(said, document) == audited.hash_of(audited.project_row(row))


_TEXTS = [
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "9007199254740994",
    "9223372036854775807",
    "1e18",
    "1e23",
    "9223372036854775808",
    "123456789012345678901234567890",
    "0.1",
    "0.12345678901234567",
    "0.123456789012345678",
    "0.1234567890123456789012",
    "1.5",
    "5.0",
    "5.00000000000000000000",
    "5e-324",
    "1e-324",
    "1e-400",
    "0e-400",
    "0",
    "-0",
    "-0.0",
    "1e308",
    "16777217",
    "3.4e38",
    "3.5e38",
    "1e-46",
    "2147483648",
    "true",
    '"5"',
    '"x"',
    '""',
    '"true"',
    '"2026-11-01"',
    '"2026-13-01"',
    '"2026-11-01T10:00:00Z"',
    '"20261101"',
    "1793491200",
    "1793491200.5",
    "1793491200000",
    '"QUI="',
    '"QU"',
    '"Q-_="',
    "null",
    "[]",
    "{}",
    "[1]",
    '{"x":1}',
    '"NaN"',
    "99999999999999999.9999",
    "-0.0005",
    "0.0005",
    "0.00005",
]
_KINDS: list[dict[str, Any]] = [
    *({"type": t} for t in (
        "double", "float", "long", "int", "boolean", "string", "date", "timestamp", "binary",
        "json", "decimal(20,3)", "decimal(38,0)", "decimal(5,5)",
    )),
    *({"type": "timestamp", "format": f} for f in ("s", "ms", "us", "ns")),
    *({"type": "array", "values": t} for t in ("double", "float", "long", "decimal(20,3)")),
    {"type": "map", "values": "double"},
]  # fmt: skip


@pytest.mark.parametrize("hint", _KINDS, ids=str)
@pytest.mark.parametrize("around", ["{}", "[{}]", '{{"x":{}}}'])
def test_an_audit_lets_in_what_the_column_does(hint: dict[str, Any], around: str) -> None:
    """Each value in a column that a hint made: in it, or rescued, and the audit says the same."""
    dataset = APPEND.with_changes({"columns": {"a": hint}})
    for value in _TEXTS:
        text = f'{{"z":1,"a":{around.format(value)}}}'.encode()
        sight = settled([text], dataset, Profile()).sight
        assert sight is not None
        found, _ = _staged([text], sight.source, dataset)
        source, _, (row,) = _taken_over([text], sight.source, found, dataset)
        audited = Projector(_schema([row], source), (), None, source, dataset.hints)
        document, _ = audited.read(text, None)
        assert document is not None
        said, held = audited.project(document), audited.project_row(row)
        assert audited.hash_of(said, document) == audited.hash_of(held), (value, said, held)


@pytest.mark.parametrize(
    "text",
    [
        "0.123456789012345678",
        "-0.123456789012345678e-3",
        "0.1234567890123456789",
        "1234567890.12345678",
    ],
)
def test_18_digits_are_more_than_a_double_gives_back(text: str) -> None:
    """Also where the record is read by the fast path: the verdict is not that of a path."""
    for around, kind in (("{}", DOUBLE), ("[{}]", Array(DOUBLE)), ('{{"x":{}}}', Map(DOUBLE))):
        found = _of(kind, around.format(text))
        assert isinstance(found, list)
        assert "double became" in str(found)


def test_one_row_a_key_the_newest_and_tombstones_count() -> None:
    upsert = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",))
    source = Struct((Field("id", LONG), Field("v", LONG)))
    staged, rows = _staged(
        [b'{"id":1,"v":1}', b'{"id":2,"v":1}', b'{"id":1,"v":2}'], source, upsert
    )
    assert [(r["id"], r["v"]) for r in rows] == [(2, 1), (1, 2)]
    assert staged.unique
    assert staged.report.rows == 3


def test_the_greatest_ordering_value_wins_then_kafkas_order() -> None:
    upsert = Dataset(topic="t", table="t", mode="upsert", primary_key=("id",), ordering_field="at")
    source = Struct((Field("id", TEXT), Field("at", Scalar("timestamp")), Field("v", LONG)))
    at = ["2026-11-01T10:00:00Z", "2026-11-01T09:00:00.5Z", "2026-11-01 10:00"]
    values = [json.dumps({"id": "a", "at": t, "v": i}).encode() for i, t in enumerate(at)]
    _, rows = _staged(values, source, upsert)
    assert [r["v"] for r in rows] == [2]


def test_merge_of_widened_types() -> None:
    narrow, wide = Struct((Field("v", Scalar("int")),)), Struct((Field("v", LONG),))
    assert merge(narrow, merge_observed(narrow, wide)) == wide


def test_values_that_share_a_folder_share_a_file() -> None:
    source = Struct((Field("id", LONG), Field("v", TEXT)))
    dataset = Dataset(topic="t", table="t", format="parquet", partition_by=("v",))
    store = open_store("memory:///")
    texts = [None, "", "__HIVE_DEFAULT_PARTITION__", "a", "A", "a/b", "a%2Fb"]
    raw = raw_object(store, [json.dumps({"id": i, "v": t}).encode() for i, t in enumerate(texts)])
    question = Question(dataset, source, source, "staging/t/1/n/", Layout())
    staged = stage(question, [raw], store)
    assert len({f.key for f in staged.files}) == len(staged.files) == 5
    rows = [
        row
        for f in staged.files
        for row in pq.read_table(io.BytesIO(store.get(f.key)), partitioning=None).to_pylist()
    ]
    assert {r["id"]: r["v"] for r in rows} == dict(enumerate(texts))


def test_both_zeros_of_a_double_are_partitions_of_their_own() -> None:
    source = Struct((Field("id", LONG), Field("p", DOUBLE)))
    dataset = Dataset(topic="t", table="t", format="parquet", partition_by=("p",))
    store = open_store("memory:///")
    raw = raw_object(store, [b'{"id":1,"p":0.0}', b'{"id":2,"p":-0.0}', b'{"id":3,"p":null}'])
    staged = stage(Question(dataset, source, source, "staging/t/1/n/", Layout()), [raw], store)
    assert sum(f.rows for f in staged.files) == 3


@pytest.mark.parametrize("text", ['{"a":null}', '{"b":[]}', '{"c":{"d":null}}', "{}"])
def test_a_record_of_which_nothing_is_known_is_a_row(text: str) -> None:
    staged, rows = _staged([text.encode()], Struct())
    assert (staged.report.rows, len(rows)) == (1, 1)
