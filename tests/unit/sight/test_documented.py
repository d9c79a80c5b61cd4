"""What schemas say of fields beside their types comes to the columns."""

from __future__ import annotations

import json
from typing import Any

from lake_platform.adapters.registry.unwrapping import readable
from lake_platform.domain.mapping import Mapped, Path
from lake_platform.domain.registry import Declared, SchemaKind
from lake_platform.sight.documented import with_said

_AVRO: dict[str, Any] = {
    "type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long", "doc": "number of\n  the order"},
        {"name": "note", "type": ["null", "string"], "doc": "what was said"},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "doc": "one position", "fields": [
                {"name": "sku", "type": "string", "doc": "article"},
                {"name": "next", "type": ["null", "Line"]}]}}},
        {"name": "first", "type": ["null", "Line"]},
        {"name": "by", "type": {"type": "map", "values": "Line"}, "doc": "by name"},
    ],
}  # fmt: skip
_JSON: dict[str, Any] = {
    "required": ["id", "o", "maybe"],
    "properties": {
        "id": {"type": "integer", "description": "number of the order"},
        "maybe": {"type": ["null", "string"]},
        "o": {"$ref": "#/definitions/o"},
        "l": {"type": "array", "items": {"$ref": "#/definitions/o"}},
    },
    "definitions": {"o": {"description": "one position", "required": ["k"], "properties": {
        "k": {"type": "string", "description": "article"}, "o": {"$ref": "#/definitions/o"}}}},
}  # fmt: skip
_PROTO = """
syntax = "proto3";
// A message.
message Order {
  // number of
  // the order
  int64 id = 1;
  optional string note = 2;  // what was said
  repeated Line lines = 3;
  map<string, Line> by = 4;
  Line first = 5;
  oneof way { string card = 6; }
  message Line {
    // article
    string sku = 1;
    Line next = 2;
  }
  enum Kind { NONE = 0; }
}
"""


def _said(kind: SchemaKind, *texts: str) -> dict[Path, tuple[str, str]]:
    paths: list[Path] = [
        ("id",), ("note",), ("maybe",), ("lines",), ("lines", None, "sku"), ("o",), ("o", "k"),
        ("l", None, "k"), ("by",), ("by", None, "sku"), ("first",), ("first", "sku"), ("card",),
        ("other",),
    ]  # fmt: skip
    lines = [Mapped(path, "c", "long", (), "new in version 2", None, "") for path in paths]
    declared = [readable(Declared(n, kind, text)) for n, text in enumerate(texts, 1)]
    return {m.path: (m.doc, m.reason) for m in with_said(lines, declared)}


def _by(number: int, required: bool) -> str:
    return f"new in version 2, declared by schema {number}{', required' if required else ''}"


def test_avro() -> None:
    found = _said("avro", json.dumps(_AVRO))
    assert found["id",] == ("number of the order", _by(1, True))
    assert found["note",] == ("what was said", _by(1, False))
    assert found["lines", None, "sku"] == ("article", _by(1, True))
    assert found["by", None, "sku"] == ("article", _by(1, True))
    assert found["first", "sku"] == ("article", _by(1, True))
    assert found["by",] == ("by name", _by(1, True))
    assert found["other",] == ("", "new in version 2")


def test_json_schema() -> None:
    found = _said("json", json.dumps(_JSON))
    assert found["id",] == ("number of the order", _by(1, True))
    assert found["maybe",] == ("", _by(1, False))
    assert found["o",] == ("one position", _by(1, True))
    assert found["o", "k"] == found["l", None, "k"] == ("article", _by(1, True))


def test_protobuf() -> None:
    found = _said("protobuf", _PROTO)
    assert found["id",] == ("number of the order", _by(1, True))
    assert found["note",] == ("what was said", _by(1, False))
    assert found["lines", None, "sku"] == found["by", None, "sku"] == ("article", _by(1, True))
    assert found["first",] == ("", _by(1, False))
    assert found["first", "sku"] == ("article", _by(1, True))
    assert found["card",] == ("", _by(1, False))


def test_what_proto2_requires() -> None:
    text = 'syntax = "proto2"; message O { required int64 id = 1; optional string note = 2; }'
    found = _said("protobuf", text)
    assert found["id",][1] == _by(1, True)
    assert found["note",][1] == _by(1, False)


def test_the_newest_schema_that_has_the_field_says_it() -> None:
    other = {"type": "record", "name": "R", "fields": [
        {"name": "id", "type": ["null", "long"], "doc": "anew"}]}  # fmt: skip
    found = _said("avro", json.dumps(_AVRO), json.dumps(other))
    assert found["id",] == ("anew", _by(2, False))
    assert found["note",] == ("what was said", _by(1, False))
