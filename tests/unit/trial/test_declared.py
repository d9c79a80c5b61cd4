"""A schema that a producer means to keep, in each of its forms, and the records made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_platform.domain.schema import Struct
from lake_platform.domain.schema_json import to_json
from lake_platform.errors import InvalidFieldError
from lake_platform.records.conform import parse_value
from lake_platform.records.observe import observe
from lake_platform.trial.declared import RECORDS, example, parse_schema, read_schema, records_of

WHOLE = (
    "struct<id:long,o:struct<b:int>,xs:array<struct<v:double,w:array<string>>>,"
    "m:map<string,decimal(30,2)>,j:json>"
)
MAPPING = {
    "id": "long", "o.b": "int", "xs[].v": "double", "xs[].w": "array<string>",
    "m": "map<string,decimal(30,2)>", "j": "json",
}  # fmt: skip
SHOWN = {
    "mapping": [
        {"path": p, "source": "x", "column": "c", "type": t, "rules": []}
        for p, t in (
            (["id"], "long"), (["o"], "struct<b:int>"), (["o", "b"], "int"),
            (["xs"], "array<struct<v:double,w:array<string>>>"), (["xs", None, "v"], "double"),
            (["xs", None, "w"], "array<string>"), (["m"], "map<string,decimal(30,2)>"),
            (["m", None], "decimal(30,2)"), (["j"], "json"),
        )
    ]
}  # fmt: skip


@pytest.mark.parametrize("data", [MAPPING, to_json(parse_schema(MAPPING)), SHOWN])
def test_each_form_says_the_same(data: Any) -> None:
    assert str(parse_schema(data)) == WHOLE


def test_a_json_schema() -> None:
    data = {
        "type": "object",
        "properties": {
            "a": {"type": ["null", "integer"]}, "t": {"type": "string", "format": "date-time"},
            "l": {"type": "array", "items": {"type": "number"}},
            "m": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "o": {"type": "object", "properties": {"x.y": {"type": "string"}}},
        },
    }  # fmt: skip
    assert str(parse_schema(data)) == (
        "struct<a:long,t:string,l:array<double>,m:map<string,boolean>,o:struct<x.y:string>>"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([], "not a JSON object"), ({}, "not a JSON object"), ({"a": "lon"}, "schema.a='lon'"),
        ({"a": 5}, "no type"), ({"a..b": "long"}, "not a path"), ({"a": "array<long"}, "no type"),
        ({"a": "map<long,long>"}, "no type"), ({"a": "unknown"}, "no type"),
        ({"a": "long long"}, "no type"), ({"fields": [{"name": 1}]}, "not a struct"),
        ({"mapping": [{}]}, "not as the API"),
        ({"properties": {"a": {"anyOf": []}}, "type": "object"}, "schema.a"),
        ({"properties": {"a": {"type": ["string", "integer"]}}, "type": "object"}, "schema.a"),
    ],
)  # fmt: skip
def test_what_is_no_schema(data: Any, why: str) -> None:
    with pytest.raises(InvalidFieldError, match=why):
        parse_schema(data)


def test_the_records_are_of_the_schema() -> None:
    schema = parse_schema(MAPPING)
    records = list(records_of(schema))
    assert len(records) == RECORDS
    value = parse_value(b'{"value":%b}' % (records[0].value or b""))
    assert observe(value, schema) == schema
    assert '"10.0.0.1":9999999999999999999999999999.99' in example(schema)


def test_a_schema_without_a_column() -> None:
    with pytest.raises(InvalidFieldError, match="has no column"):
        records_of(Struct())


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    with pytest.raises(InvalidFieldError, match="cannot be read"):
        read_schema(path)
    path.write_text('{"a":"long"}')
    assert str(read_schema(path)) == "struct<a:long>"
