"""Topics in the schema registry's format: both phases, with the registry in memory."""

from __future__ import annotations

import datetime as dt
import io
import json
import struct
import uuid
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.adapters.registry.avro import AvroDecoder
from lake_platform.domain.own_columns import COORDINATES
from lake_platform.domain.quality import Reason
from lake_platform.domain.registry import Declared
from lake_platform.domain.schema import columns
from lake_platform.errors import InvalidFieldError
from lake_platform.records.columns import arrow_fields
from tests.audit_support import RowReader, copy_of, parquet_lab
from tests.support import Lab
from tests.unit.audit.test_upsert import make
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

ORDER: dict[str, Any] = {
    "type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal",
                                            "precision": 20, "scale": 4}]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NEW", "PAID"]}},
        {"name": "data", "type": ["null", "bytes"]},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "fields": [
                {"name": "sku", "type": "string"}, {"name": "qty", "type": "int"},
                {"name": "weight", "type": ["null", "float"]}]}}},
        {"name": "tags", "type": {"type": "map", "values": "long"}},
        {"name": "any", "type": ["null", "string", "long", "Line"]},
    ],
}  # fmt: skip
TYPES = {
    "id": "long", "price": "decimal(20,4)", "at": "timestamp", "day": "date", "kind": "string",
    "data": "binary", "lines[].sku": "string", "lines[].qty": "int", "lines[].weight": "float",
    "tags": "map<string,long>", "any": "json",
}  # fmt: skip
VALUE: dict[str, Any] = {
    "id": 2**62 + 1, "price": Decimal("123456789012345.6780"),
    "at": dt.datetime(2026, 11, 1, 10, 0, 0, 123456, dt.UTC), "day": dt.date(1899, 12, 31),
    "kind": "PAID", "data": b"\x00\xff", "lines": [{"sku": "a", "qty": 3, "weight": 0.1}],
    "tags": {"x": -1}, "any": 5,
}  # fmt: skip


def wire(number: int, schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def types(lab: Lab) -> dict[str, str]:
    active = lab.metastore.active_schema("t")
    assert active is not None
    found = ((path, str(kind)) for path, kind in columns(active.source))
    return {path: kind for path, kind in found if "struct" not in kind}


def put(lab: Lab, value: bytes | None, key: bytes | None = None) -> None:
    lab.kafka.produce(lab.dataset().topic, key, value, timestamp_ms=lab.now_ms)


def test_columns_have_the_types_that_were_declared(tmp_path: Path) -> None:
    lab = parquet_lab(tmp_path / "lab", source=None, value_format="avro")
    one = lab.kafka.registry.register("topic.t-value", ORDER)
    put(lab, wire(one, ORDER, VALUE))
    nothing = dict.fromkeys(("price", "day", "data", "any")) | {"lines": [], "tags": {}}
    put(lab, wire(one, ORDER, VALUE | nothing))
    lab.cycle()
    assert types(lab) == TYPES
    (file,) = (tmp_path / "lab" / "storage" / "lake" / "t").glob("*.parquet")
    row, empty = pq.read_table(file).drop_columns(list(COORDINATES)).to_pylist()
    assert row == VALUE | {
        "any": "5", "tags": [("x", -1)],
        "lines": [{"sku": "a", "qty": 3, "weight": struct.unpack("f", struct.pack("f", 0.1))[0]}],
    }  # fmt: skip
    assert {n: empty[n] for n in nothing} == nothing | {"tags": []}
    mapped = {m.column: m for _, m in lab.metastore.mapping("t")}
    assert "declared by schema 1" in mapped["price"].reason
    assert copy_of(lab, tmp_path / "copy").audit().verdict == "sound"
    lab.close()


def test_the_line_keeps_the_id_and_the_log_the_schema(lab: Lab) -> None:
    lab.register(value_format="avro")
    one = lab.kafka.registry.register("s", ORDER)
    put(lab, wire(one, ORDER, VALUE))
    (commit,) = lab.dump()
    assert [o.schemas for o in commit.objects] == [(one,)]
    kept = json.loads(lab.store.get("checkpoints/t/schemas/1.json"))
    assert json.loads(kept["text"]) == ORDER


def test_a_new_schema_is_a_schema_change(lab: Lab) -> None:
    lab.register(value_format="avro")
    registry = lab.kafka.registry
    small = {"type": "record", "name": "R", "fields": [{"name": "id", "type": "int"}]}
    more = {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]}
    large: dict[str, Any] = {
        "type": "record", "name": "R",
        "fields": [{"name": "id", "type": "long"}, more, {"name": "n", "type": ["null", "double"]}],
    }  # fmt: skip
    put(lab, wire(registry.register("s", small), small, {"id": 1}))
    lab.cycle()
    assert types(lab) == {"id": "int"}
    put(lab, wire(registry.register("s", large), large, {"id": 2**40, "at": None, "n": None}))
    (done,) = lab.cycle()
    # Although no record has a value of two of them.
    assert types(lab) == {"id": "long", "at": "timestamp", "n": "double"}
    assert {c.kind for c in done.changes} == {"add", "type"} or len(done.changes) == 3
    put(lab, wire(1, small, {"id": 3}))
    lab.cycle()
    assert [r["id"] for r in lab.plain_rows()] == [1, 2**40, 3]


RECORD = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "double"}]}
GOOD = wire(1, RECORD, {"x": 1.5})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"x":1}', Reason.NO_PREFIX), (b"", Reason.NO_PREFIX), (b"\0\0\0\0", Reason.NO_PREFIX),
        (b"\0\0\0\0\x09abc", Reason.NO_SCHEMA), (GOOD[:-1], Reason.NOT_DECODED),
        (GOOD + b"x", Reason.NOT_DECODED),
        (wire(1, RECORD, {"x": float("nan")}), Reason.NOT_DECODED),
        (wire(1, RECORD, {"x": float("-inf")}), Reason.NOT_DECODED),
        (b"\0\0\0\0\x02{}", Reason.OTHER_FORMAT),
    ],
)  # fmt: skip
def test_what_does_not_decode_is_kept_as_it_came(lab: Lab, value: bytes, reason: Reason) -> None:
    lab.register(value_format="avro", max_quarantine_ratio=1.0)
    lab.kafka.registry.register("s", RECORD)
    lab.kafka.registry.register("s", {"type": "object"}, "json")
    put(lab, GOOD)
    put(lab, value)
    lab.cycle()
    assert lab.plain_rows() == [{"x": 1.5}]
    (kept,) = lab.quarantined()
    assert kept["reason"] == reason.value


def test_json_with_a_declared_schema(lab: Lab) -> None:
    lab.register(value_format="json_schema")
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"}, "n": {"type": ["number", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "o": {"$ref": "#/definitions/o"}, "m": {"additionalProperties": {"type": "integer"},
                                                    "type": "object"},
            "l": {"type": "array", "items": {"oneOf": [{"type": "null"}, {"type": "string"}]}},
            "mix": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "definitions": {
            "o": {"properties": {"k": {"type": "string"}, "o": {"$ref": "#/definitions/o"}}},
        },
    }  # fmt: skip
    number = lab.kafka.registry.register("topic.t-value", schema, "json")
    head = b"\0" + number.to_bytes(4, "big")
    put(lab, head + b'{"id":1,"n":2,"at":"2026-11-01T10:00:00Z","more":"than declared"}')
    lab.cycle()
    assert types(lab) == {
        "id": "long", "n": "double", "at": "timestamp", "o.k": "string", "o.o": "json",
        "m": "map<string,long>", "l": "array<string>", "mix": "json", "more": "string",
    }  # fmt: skip


def test_keys_are_read_too_and_tombstones_find_their_row(lab: Lab) -> None:
    lab.register(value_format="avro", mode="upsert", primary_key=("id",))
    registry = lab.kafka.registry
    key = {"type": "record", "name": "K", "fields": [{"name": "id", "type": "long"}]}
    fields = [{"name": "id", "type": "long"}, {"name": "v", "type": "string"}]
    value = {"type": "record", "name": "V", "fields": fields}
    one, two, plain = (registry.register("s", s) for s in (key, value, "long"))
    put(lab, wire(two, value, {"id": 7, "v": "a"}), wire(one, key, {"id": 7}))
    put(lab, wire(two, value, {"id": 8, "v": "b"}), wire(plain, "long", 8))
    lab.cycle()
    assert [r["id"] for r in lab.plain_rows()] == [7, 8]
    put(lab, None, wire(one, key, {"id": 7}))
    put(lab, None, wire(plain, "long", 8))
    lab.cycle()
    assert lab.plain_rows() == []


def test_a_topic_of_both_kinds(lab: Lab) -> None:
    lab.register(value_format="auto")
    number = lab.kafka.registry.register("s", RECORD)
    put(lab, b'{"x":2,"y":"plain"}')
    put(lab, wire(number, RECORD, {"x": 1.5}))
    lab.cycle()
    assert types(lab) == {"x": "double", "y": "string"}


def test_records_of_a_union_tell_which_they_are(lab: Lab) -> None:
    lab.register(value_format="avro")
    inner = [{"type": "record", "name": n, "fields": [{"name": "k", "type": "long"}]} for n in "AB"]
    schema = {"type": "record", "name": "R", "fields": [{"name": "u", "type": inner}]}
    number = lab.kafka.registry.register("s", schema)
    put(lab, wire(number, schema, {"u": ("B", {"k": 1})}))
    lab.cycle()
    assert json.loads(lab.plain_rows()[0]["u"]) == {"B": {"k": 1}}


def test_a_schema_that_contains_itself_is_json_there(lab: Lab) -> None:
    lab.register(value_format="avro")
    schema = {"type": "record", "name": "Node", "fields": [
        {"name": "v", "type": "string"}, {"name": "next", "type": ["null", "Node"]}]}  # fmt: skip
    number = lab.kafka.registry.register("s", schema)
    put(lab, wire(number, schema, {"v": "a", "next": {"v": "b", "next": None}}))
    lab.cycle()
    assert types(lab) == {"v": "string", "next": "json"}


def test_other_logical_types_are_text(lab: Lab) -> None:
    lab.register(value_format="avro")
    schema = {"type": "record", "name": "R", "fields": [
        {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "w", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    ]}  # fmt: skip
    number = lab.kafka.registry.register("s", schema)
    wall = dt.datetime.fromisoformat("2026-11-01T10:00:00")
    put(lab, wire(number, schema, {"u": uuid.UUID(int=1), "t": dt.time(10, 0, 1), "w": wall}))
    lab.cycle()
    row = lab.plain_rows()[0]
    assert (row["u"], row["t"], row["w"]) == (
        "00000000-0000-0000-0000-000000000001", "10:00:01", "2026-11-01T10:00:00",
    )  # fmt: skip


def test_hints_beat_what_was_declared(lab: Lab) -> None:
    lab.register(value_format="avro", columns={
        "any": {"drop": True}, "kind": {"name": "state"}, "lines": {"type": "json"},
    })  # fmt: skip
    number = lab.kafka.registry.register("s", ORDER)
    put(lab, wire(number, ORDER, VALUE))
    lab.cycle()
    found = types(lab)
    assert "any" not in found
    assert (found["state"], found["lines"]) == ("string", "json")


def test_an_upsert_table_is_audited_value_by_value(tmp_path: Path) -> None:
    definition = {"value_format": "avro", "mode": "upsert", "primary_key": ("id",)}
    lab = make(tmp_path / "lab", source=None, **definition)
    registry = lab.kafka.registry
    fields = [f for f in ORDER["fields"] if f["name"] not in ("price", "at", "day", "data")]
    both = [
        {"type": "record", "name": n, "fields": [{"name": "k", "type": "double"}]} for n in "AB"
    ]
    schema = ORDER | {"fields": [*fields, {"name": "u", "type": ["null", *both]}]}
    one = registry.register("s", schema)
    known = {"type": "record", "name": "K", "fields": [ORDER["fields"][0]]}
    key = registry.register("k", known)
    said = [
        {**VALUE, "id": 1, "u": ("shop.B", {"k": 1e300})},
        {**VALUE, "id": 2, "any": None, "u": None},
        {**VALUE, "id": 3, "any": "5", "lines": [], "u": ("shop.A", {"k": 0.1})},
    ]  # fmt: skip
    for value in said:
        put(lab, wire(one, schema, value), wire(key, known, value))
    put(lab, b'{"id":9}')
    lab.cycle()
    put(lab, None, wire(key, known, {"id": 2}))
    put(lab, wire(one, schema, {**said[0], "any": 7}))
    lab.cycle()
    active = lab.metastore.active_schema("t")
    assert active is not None
    reader = RowReader(lab, arrow_fields(active.source))
    copy = replace(copy_of(lab, tmp_path / "copy"), reader=reader)
    report = copy.audit()
    assert (report.verdict, report.total.table, report.total.quarantined) == ("sound", 2, 1), (
        report.findings
    )
    reader.rows[0]["kind"] = "NEW"
    assert copy.audit().verdict == "unsound"
    lab.close()


def test_without_a_registry_the_setting_is_named() -> None:
    registry = ConfluentKafka("127.0.0.1:1").registry
    for ask in (lambda: registry.unwrap("avro"), lambda: registry.latest("orders-value")):
        with pytest.raises(InvalidFieldError, match="set LAKE_REGISTRY_URL"):
            ask()


def test_a_union_of_records_in_a_reference_tells_which_they_are() -> None:
    inner = [{"type": "record", "name": n, "fields": [{"name": "k", "type": "long"}]} for n in "AB"]
    held = {"type": "record", "name": "Held", "fields": [{"name": "u", "type": inner}]}
    whole = {"type": "record", "name": "Whole", "fields": [{"name": "h", "type": "Held"}]}
    declared = Declared(1, "avro", json.dumps(whole), (("Held", json.dumps(held)),))
    out = io.BytesIO()
    plain = whole | {"fields": [{"name": "h", "type": held}]}
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), {"h": {"u": ("B", {"k": 1})}})
    assert json.loads(AvroDecoder(declared).json(out.getvalue())) == {"h": {"u": {"B": {"k": 1}}}}


def test_a_decimal_keeps_all_its_digits_and_the_audit_sees_them(tmp_path: Path) -> None:
    lab = parquet_lab(tmp_path / "lab", source=None, value_format="avro")
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    without = {"type": "bytes", "logicalType": "decimal"}
    fields = [{"name": "n", "type": kind}, {"name": "b", "type": without}]
    schema = {"type": "record", "name": "R", "fields": fields}
    number = lab.kafka.registry.register("topic.t-value", schema)
    head = b"\0" + number.to_bytes(4, "big")
    put(lab, head + b"\x02\x05" + b"\x02x")
    put(lab, head + b"\x0c" + (123_456_789_012).to_bytes(6, "big") + b"\x02y")
    lab.cycle()
    files = (tmp_path / "lab" / "storage" / "lake" / "t").glob("*.parquet")
    rows = [r for f in sorted(files) for r in pq.read_table(f, columns=["n", "b"]).to_pylist()]
    assert sorted(r["n"] for r in rows) == [Decimal("0.05"), Decimal("1234567890.12")]
    assert {r["b"] for r in rows} == {b"x", b"y"}
    assert copy_of(lab, tmp_path / "copy").audit().verdict == "sound"
    lab.close()
