"""Topics of Protobuf in the registry's format: both phases, with the registry in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lake_platform.adapters.registry.proto_files import compiled
from lake_platform.domain.own_columns import COORDINATES
from lake_platform.domain.quality import Reason
from lake_platform.errors import SetupError
from tests.audit_support import copy_of, parquet_lab
from tests.protobuf_schemas import Proto, framed
from tests.support import Lab
from tests.unit.dump.test_registry import put, types
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_LINE = """
syntax = "proto2";
package shop;
message Line {
  required string sku = 1;
  optional int32 qty = 2 [default = 5];
  repeated sint32 sizes = 3 [packed = true];
  optional Colour colour = 4;
  enum Colour { RED = 1; BLUE = 2; }
  optional group Pack = 5 { optional bool wrapped = 1; }
  extensions 100 to 110;
}
extend Line { optional string note = 100; }
"""
_ORDER = """
syntax = "proto3";
package shop;
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "shop/line.proto";
message Order {
  int64 id = 1;
  uint64 big = 2;
  float ratio = 3;
  bytes data = 4;
  Kind kind = 5;
  google.protobuf.Timestamp at = 6;
  google.protobuf.Duration took = 7;
  google.protobuf.Int64Value some = 8;
  google.protobuf.Struct any = 9;
  google.type.Date day = 10;
  repeated Line lines = 11;
  map<int32, Line> by_number = 12;
  optional string said = 13;
  oneof way { string card = 14; int32 cash = 15; }
  Order parent = 16;
  repeated Kind kinds = 17;
  map<bool, double> rates = 18;
  Empty nothing = 19;
  string from = 20;
  int32 HasField = 21;
  message Empty {}
  google.protobuf.Value value = 22;
  fixed32 crc = 23;
}
enum Kind { NONE = 0; NEW = 1; }
message Other { int64 id = 1; string more = 2; }
"""
_TYPES = {
    "id": "long", "big": "decimal(20,0)", "ratio": "float", "data": "binary", "kind": "string",
    "at": "timestamp", "took": "string", "some": "long", "any": "json", "day.year": "int",
    "day.month": "int", "day.day": "int", "lines[].sku": "string", "lines[].qty": "int",
    "lines[].sizes": "array<int>", "lines[].colour": "string", "lines[].pack.wrapped": "boolean",
    "lines[].shop_note": "string", "said": "string", "card": "string", "cash": "int",
    "parent": "json", "kinds": "array<string>", "rates": "map<string,double>", "nothing": "json",
    "from": "string", "HasField": "int", "value": "json", "crc": "long",
}  # fmt: skip
_REFERENCES = (("shop/line.proto", _LINE),)


@pytest.fixture(scope="module")
def proto() -> Proto:
    return Proto(_ORDER, _REFERENCES)


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def order(proto: Proto) -> Any:
    order = proto.message("shop.Order")(
        id=2**62 + 1, big=2**64 - 1, ratio=0.1, data=b"\x00\xff", kind=1, said="", cash=0,
        kinds=[1, 9], rates={True: 1.5}, crc=2**32 - 1,
    )  # fmt: skip
    order.at.FromJsonString("2026-11-01T10:00:00.123456Z")
    order.took.FromJsonString("3.5s")
    order.some.value = 0
    order.any.update({"a": [1, None, {"b": "x"}]})
    order.day.year = 2026
    line = order.lines.add(sku="s", sizes=[-1, 1], colour=2)
    line.pack.wrapped = True
    line.Extensions[proto.pool.FindExtensionByName("shop.note")] = "as it is"
    order.by_number[7].sku = "q"
    order.parent.id = 5
    order.value.null_value = 0
    order.nothing.SetInParent()
    return order


def _registered(lab: Lab, proto: Proto) -> int:
    return lab.kafka.registry.register("topic.t-value", proto.text, "protobuf", proto.references)


def test_values_and_columns(tmp_path: Path, proto: Proto) -> None:
    lab = parquet_lab(tmp_path / "lab", source=None, value_format="protobuf")
    number = _registered(lab, proto)
    put(lab, framed(number, order(proto)))
    put(lab, framed(number, proto.message("shop.Order")()))
    put(lab, framed(number, proto.message("shop.Order")(kind=77), b"\x02\x00"))
    lab.cycle()
    found = types(lab)
    assert {n: t for n, t in found.items() if not n.startswith("by_number")} == _TYPES
    (file,) = (tmp_path / "lab" / "storage" / "lake" / "t").glob("*.parquet")
    rows = pq.read_table(file).drop_columns(list(COORDINATES)).to_pylist()
    row, open_, empty = sorted(rows, key=lambda r: (r["id"], r["kind"] == "77"), reverse=True)
    assert (row["id"], int(row["big"]), row["data"]) == (2**62 + 1, 2**64 - 1, b"\x00\xff")
    assert (row["kind"], row["kinds"], row["took"]) == ("NEW", ["NEW", "9"], "3.500s")
    assert row["at"].isoformat() == "2026-11-01T10:00:00.123456+00:00"
    assert (row["some"], row["said"], row["cash"], row["card"]) == (0, "", 0, None)
    assert json.loads(row["any"]) == {"a": [1, None, {"b": "x"}]}
    (line,) = row["lines"]
    assert (line["sku"], line["qty"], line["sizes"], line["colour"]) == ("s", None, [-1, 1], "BLUE")
    assert (line["pack"], line["shop_note"]) == ({"wrapped": True}, "as it is")
    assert row["rates"] == [("true", 1.5)]
    assert json.loads(row["parent"])["id"] == 5
    # What a message without presence leaves out is its zero; what may be absent is NULL.
    assert (empty["id"], empty["kind"], empty["from"], empty["lines"]) == (0, "NONE", "", [])
    assert [empty[n] for n in ("said", "at", "some", "cash", "day", "parent")] == [None] * 6
    assert open_["kind"] == "77"
    assert copy_of(lab, tmp_path / "copy").audit().verdict == "sound"
    lab.close()


def test_each_message_of_a_file_has_its_columns(lab: Lab) -> None:
    text = 'syntax="proto3"; message A { message In { int32 x = 1; } int64 a = 1; } message B {}'
    proto = Proto(text)
    lab.register(value_format="protobuf")
    number = _registered(lab, proto)
    put(lab, framed(number, proto.message("A")(a=1)))
    lab.cycle()
    assert types(lab) == {"a": "long"}
    put(lab, framed(number, proto.message("A.In")(x=2), b"\x04\x00\x00"))
    lab.cycle()
    assert types(lab) == {"a": "long", "x": "int"}
    kept = json.loads(lab.store.get(f"checkpoints/t/schemas/{number}.json"))
    assert kept["messages"] == [[0], [0, 0]]
    assert kept["text"] == text


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\x0a", b"", b"\x02\x06", b"\x01\x00", b"\xff\xff\xff\xff\xff\xff\x01", b"\x06\x00",
        b"\x00\x1d\x00\x00\xc0\x7f",  # NaN
        b"\x00\x1d\x00\x00\x80\x7f",  # infinity
        b"\x00\xfa\x07\x01x",  # a field that the schema does not have
        b"\x00\x5a\x00",  # a line without its sku
        b"\x00\x5a\x08\x0a\x01s\x98\x06\x01\x98\x06\x01",  # a field that a line does not have
        b"\x00\x5a\x05\x0a\x01s\x20\x09",  # a colour that is none: closed in proto2
        b"\x00\xa2\x01\x01\xff",  # no UTF-8
        b"\x00\x5a\x03\x0a\x01\xff",  # nor there
        b"\x00\x4a\x0e\x0a\x0c\x0a\x01a\x12\x07\x11\x00\x00\x00\x00\x00\x00\xf8\x7f",
        b"\x00\x32\x08\x08\xff\xff\xff\xff\xff\xff\x01",  # a time behind the year 9999
        b"\x00" + b"\x82\x01\x7f" * 60,
    ],
)  # fmt: skip
def test_what_does_not_decode_is_kept_as_it_came(
    lab: Lab, proto: Proto, tmp_path: Path, value: bytes
) -> None:
    del tmp_path
    lab.register(value_format="protobuf", max_quarantine_ratio=1.0)
    number = _registered(lab, proto)
    put(lab, framed(number, order(proto)))
    put(lab, b"\0" + number.to_bytes(4, "big") + value)
    lab.cycle()
    assert len(lab.plain_rows()) == 1
    assert [q["reason"] for q in lab.quarantined()] == [Reason.NOT_DECODED.value]


def test_a_reference_is_no_module() -> None:
    code = 'raise SystemExit("ran")'
    text = 'syntax="proto3"; message A { int64 a = 1; }'
    assert compiled(text, (("grpc_tools/protoc.py", code), ("json.py", code)))


def test_a_schema_that_does_not_compile_reads_nothing(lab: Lab) -> None:
    lab.register(value_format="protobuf", max_quarantine_ratio=1.0)
    number = lab.kafka.registry.register("s", 'syntax="proto3"; import "gone.proto";', "protobuf")
    put(lab, b"\0" + number.to_bytes(4, "big") + b"\x00")
    lab.cycle()
    assert [q["reason"] for q in lab.quarantined()] == [Reason.BAD_SCHEMA.value]


def test_without_a_compiler_nothing_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of this machine is none of the records, and a verdict of phase 1 is final."""
    proto = Proto('syntax="proto3"; message A { int64 a = 1; }')
    lab.register(value_format="protobuf")
    monkeypatch.setattr("lake_platform.adapters.registry.proto_files._PROTOC", "no_such_module")
    with pytest.raises(SetupError, match=r"protoc.*no_such_module.*grpcio-tools"):
        _registered(lab, proto)
    monkeypatch.undo()
    put(lab, framed(_registered(lab, proto), proto.message("A")(a=1)))
    lab.cycle()
    assert lab.plain_rows() == [{"a": 1}]


def test_keys_are_read_too(lab: Lab) -> None:
    key = Proto('syntax="proto3"; message K { int64 id = 1; }')
    value = Proto('syntax="proto3"; message V { int64 id = 1; string v = 2; }')
    lab.register(value_format="protobuf", mode="upsert", primary_key=("id",))
    one, two = _registered(lab, key), _registered(lab, value)
    known = framed(one, key.message("K")(id=7))
    put(lab, framed(two, value.message("V")(id=7, v="a")), known)
    lab.cycle()
    assert [r["v"] for r in lab.plain_rows()] == ["a"]
    put(lab, None, known)
    lab.cycle()
    assert lab.plain_rows() == []


def test_a_new_schema_is_a_schema_change(lab: Lab) -> None:
    small = Proto('syntax="proto3"; message M { int32 id = 1; }')
    large = Proto('syntax="proto3"; message M { int64 id = 1; repeated double n = 2; }')
    lab.register(value_format="protobuf")
    put(lab, framed(_registered(lab, small), small.message("M")(id=1)))
    lab.cycle()
    put(lab, framed(_registered(lab, large), large.message("M")(id=2**40)))
    lab.cycle()
    assert types(lab) == {"id": "long", "n": "array<double>"}
    assert [r["id"] for r in lab.plain_rows()] == [1, 2**40]


def test_descriptors_in_base64_are_read_as_text_is() -> None:
    import base64

    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    files = FileDescriptorSet.FromString(base64.b64decode(compiled(_ORDER, _REFERENCES))).file
    as_base64 = {f.name: base64.b64encode(f.SerializeToString()).decode() for f in files}
    again = compiled(
        as_base64["schema.proto"], (("shop/line.proto", as_base64["shop/line.proto"]),)
    )
    names = [f.name for f in FileDescriptorSet.FromString(base64.b64decode(again)).file]
    assert set(names) == set(as_base64)
    assert names[-1] == "schema.proto"


@pytest.mark.parametrize(
    ("text", "references", "why"),
    [
        ("syntax = 3", (), "Expected"), ('syntax="proto3"; import "gone.proto";', (), "gone.proto"),
        ('syntax="proto3";', (("../up.proto", ""),), "up.proto"),
        ('syntax="proto3";', (("/etc/x.proto", ""),), "x.proto"), ("AAAA", (), "neither"),
    ],
)  # fmt: skip
def test_what_is_no_schema(text: str, references: tuple[tuple[str, str], ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compiled(text, references)
