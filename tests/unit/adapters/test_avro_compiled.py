"""The code that is made for an Avro schema says what fastavro says, byte for byte, of any bytes."""

from __future__ import annotations

import io
import json
import random
import struct
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_many

from lake_platform.adapters.registry.avro import AvroDecoder
from lake_platform.domain.registry import Declared

_LOGICAL = [
    {"type": "int", "logicalType": "date"}, {"type": "int", "logicalType": "time-millis"},
    *({"type": "long", "logicalType": f"{at}-{unit}"} for at in ("timestamp", "local-timestamp")
      for unit in ("millis", "micros")),
    {"type": "long", "logicalType": "time-micros"}, {"type": "string", "logicalType": "uuid"},
    {"type": "long", "logicalType": "timestamp-nanos"}, {"type": "int", "logicalType": "mine"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
    {"type": "bytes", "logicalType": "decimal", "precision": 40},
    {"type": "fixed", "name": "F", "size": 6, "logicalType": "decimal", "precision": 12,
     "scale": 12},
    {"type": "bytes", "logicalType": "decimal"},
]  # fmt: skip
_PLAIN = ["boolean", "int", "long", "float", "double", "bytes", "string", "null"]
_INNER = {"type": "record", "name": "In", "fields": [
    {"name": "a", "type": ["null", "long", "string"]}, {"name": "b", "type": "double"},
]}  # fmt: skip
_SCHEMAS: dict[str, Any] = {
    "plain": _PLAIN,
    "nothing": [],
    "named": [
        _INNER, "In", {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, "E",
        {"type": "fixed", "name": "Id", "size": 3}, ["null", "Id"],
    ],
    "nested": [
        {"type": "array", "items": _INNER}, {"type": "map", "values": ["null", "In"]},
        {"type": "array", "items": {"type": "array", "items": "int"}},
        {"type": "map", "values": {"type": "map", "values": "string"}},
        {"type": "array", "items": "null"}, {"type": "array", "items": "float"},
    ],
    "unions": [["int", "string", "null"], ["null", {"type": "array", "items": "long"}],
               ["double"], ["null", "boolean", "bytes"]],
}  # fmt: skip


def _decoder(types: list[Any], references: tuple[tuple[str, str], ...] = ()) -> AvroDecoder:
    fields = [{"name": f"f{n}_é"[:3], "type": kind} for n, kind in enumerate(types)]
    schema = {"type": "record", "name": "R", "fields": fields}
    return AvroDecoder(Declared(1, "avro", json.dumps(schema), references))


def _said(read: Any, data: bytes) -> bytes | None:
    try:
        found = read(data)
    except ValueError:
        return None
    assert isinstance(found, bytes)
    return found


def _broken(data: bytes, dice: random.Random) -> bytes:
    """Cut, longer, or with other bytes."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(out) + 1)
        how = dice.randrange(4)
        if how == 0:
            del out[at : at + dice.randint(1, 4)]
        elif how == 1:
            out[at:at] = dice.randbytes(dice.randint(1, 11))
        elif at < len(out):
            out[at] = dice.choice((0, 1, 2, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    return bytes(out)


@pytest.mark.parametrize("name", [*_SCHEMAS, "logical"])
def test_it_says_what_fastavro_says(name: str) -> None:
    decoder, dice = _decoder(_SCHEMAS.get(name, _LOGICAL)), random.Random(name)  # noqa: S311
    random.seed(name)  # of fastavro's generator, too
    assert decoder._read is not None
    plain = json.loads(json.dumps(decoder._schema))
    plain.pop("__fastavro_parsed__", None)
    without = [{"name": f["name"], "type": _physical(f["type"])} for f in plain["fields"]]
    writer = fastavro.parse_schema({"type": "record", "name": "R", "fields": without})
    sound = 0
    for value in generate_many(writer, 60):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, value)
        for data in (out.getvalue(), *(_broken(out.getvalue(), dice) for _ in range(20))):
            said = _said(decoder.json, data)
            assert said == _said(decoder._by_schema, data), data
            sound += said is not None
    assert sound or name == "logical"  # few numbers are times of a day


def _physical(kind: Any) -> Any:
    if isinstance(kind, dict) and "logicalType" in kind:
        return {k: v for k, v in kind.items() if k not in ("logicalType", "precision", "scale")}
    return kind


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("long", b"\xff" * 9 + b"\x01", b"%d" % -(2**63)),
        ("long", b"\xfe" + b"\xff" * 8 + b"\x01", b"%d" % (2**63 - 1)),
        ("long", b"\xfe\xff\xff\xff\x0f", b"%d" % (2**31 - 1)),
        ("double", struct.pack("<d", -0.0), b"-0.0"),
        ("double", struct.pack("<d", 5e-324), b"5e-324"),
        ("boolean", b"\x07", b"true"),
        ("string", b"\x08\"\\\n\x00", b'"\\"\\\\\\n\\u0000"'),
        (_LOGICAL[2], b"\x01", b'"1969-12-31T23:59:59.999000Z"'),
        (_LOGICAL[10], b"\x02\xfd", b"-0.003"),
        ({"type": "array", "items": "int"}, b"\x03\x04\x02\x04\x00", b"[1,2]"),
    ],
)  # fmt: skip
def test_edges(kind: Any, data: bytes, text: bytes) -> None:
    decoder = _decoder([kind])
    assert decoder.json(data) == decoder._by_schema(data) == b'{"f0_":%b}' % text


def test_a_number_of_more_digits_than_declared_keeps_them() -> None:
    decoder = _decoder([{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}])
    digits = (123_456_789_012).to_bytes(6, "big")
    assert json.loads(decoder.json(b"\x0c" + digits), parse_float=Decimal) == {
        "f0_": Decimal("1234567890.12")
    }


def test_references_and_recursion() -> None:
    held = json.dumps(_INNER)
    decoder = _decoder(["In"], (("In", held),))
    data = b"\x02\x0e" + struct.pack("<d", 1.5)
    assert decoder._read is not None
    assert decoder.json(data) == decoder._by_schema(data) == b'{"f0_":{"a":7,"b":1.5}}'
    node = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}
    decoder = _decoder([node])
    assert decoder._read is None
    assert decoder.json(b"\x02\x00") == b'{"f0_":{"n":{"n":null}}}'


def test_more_nesting_than_code_may_have() -> None:
    kind: Any = "int"
    for _ in range(12):
        kind = {"type": "array", "items": kind}
    decoder = _decoder([kind])
    assert decoder._read is None
    text = b"[" * 12 + b"3" + b"]" * 12
    assert decoder.json(b"\x02" * 12 + b"\x06" + b"\x00" * 12) == b'{"f0_":%b}' % text


def test_names_of_the_schema_are_no_code() -> None:
    symbols = {"type": "enum", "name": "E", "symbols": ["A", "import_os"]}
    field = {"name": "class", "type": symbols}
    schema = {"type": "record", "name": "exec", "fields": [field, {"name": "d", "type": "int"}]}
    decoder = AvroDecoder(Declared(1, "avro", json.dumps(schema)))
    assert decoder._read is not None
    assert decoder.json(b"\x02\x02") == b'{"class":"import_os","d":1}'
