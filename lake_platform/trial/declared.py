"""A schema that a producer means to keep, as records of it: what is checked is always records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from lake_platform.domain.mapping import Path, parse_path
from lake_platform.domain.schema import (
    JSON,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
)
from lake_platform.domain.schema_json import from_json, struct_from_json
from lake_platform.errors import InvalidFieldError
from lake_platform.trial.records import Record

# Enough that what would become of all records of such a topic becomes of these.
RECORDS = 200
# What a type allows that a narrower one does not take.
_EXAMPLES: Mapping[str, str] = {
    "boolean": "true", "int": str(2**31 - 1), "long": str(2**63 - 1), "float": "0.5",
    "double": "0.1234567890123456", "string": '"text"', "binary": '"AAA="',
    "date": '"2026-11-01"', "timestamp": '"2026-11-01T10:00:00Z"', "json": '{"any":["thing"]}',
    "unknown": "null", "rescued": "null", "dropped": "null",
}  # fmt: skip
_OF_JSON_SCHEMA = {
    "string": "string", "integer": "long", "number": "double", "boolean": "boolean",
}  # fmt: skip
_MAP_KEYS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")  # as data, so that first sight takes it for a map
_TOKEN = re.compile(r"\s*([<>,:]|decimal\(\d+, ?\d+\)|[^<>,:\s]+)")
_FORMS = (
    'give {"a.b[].c": "long", …}, {"type": "struct", "fields": […]}, what GET '
    "/datasets/<table>/schema answers, or a JSON Schema"
)


def read_schema(path: File) -> Struct:
    """Raises: InvalidFieldError."""
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidFieldError(
            "schema", str(path), f"cannot be read as JSON: {error}", "check the file"
        ) from None
    return parse_schema(found)


def parse_schema(data: Any) -> Struct:
    """From a plain mapping of paths in the record (domain/mapping) to types, from a struct as the
    platform keeps it (domain/schema_json), from what the API shows of a table's schema, or from a
    JSON Schema that says one type for each property.

    Raises: InvalidFieldError.
    """
    if not isinstance(data, dict) or not data:
        raise InvalidFieldError("schema", data, "not a JSON object with columns", _FORMS)
    if "fields" in data:
        return _struct(data)
    if isinstance(data.get("mapping"), list):
        return _tree(_told(data["mapping"]))
    if isinstance(data.get("properties"), dict):
        found = _of_json_schema(data, "schema")
        return found if isinstance(found, Struct) else Struct()
    return _tree({_path(text): _type(text, kind) for text, kind in data.items()})


def records_of(schema: Struct) -> Iterator[Record]:
    """Raises: InvalidFieldError for a schema without a column."""
    if not any(f.keys for f in schema.fields):
        raise InvalidFieldError("schema", str(schema), "has no column", _FORMS)
    text = example(schema).encode()
    return (Record(number, text) for number in range(1, RECORDS + 1))


def example(kind: Type) -> str:
    """A value of the type, as JSON."""
    if isinstance(kind, Struct):
        parts = (f"{json.dumps(f.keys[0])}:{example(f.type)}" for f in kind.fields if f.keys)
        return f"{{{','.join(parts)}}}"
    if isinstance(kind, Array):
        return f"[{example(kind.element)}]"
    if isinstance(kind, Map):
        return f"{{{','.join(f'{json.dumps(key)}:{example(kind.value)}' for key in _MAP_KEYS)}}}"
    if isinstance(kind, Decimal):
        whole = "9" * (kind.precision - kind.scale) or "0"
        return f"{whole}.{'9' * kind.scale}" if kind.scale else whole
    return _EXAMPLES[kind.name] if isinstance(kind, Scalar) else "null"


def _struct(data: Any) -> Struct:
    try:
        return struct_from_json(data)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        why = f"not a struct of columns: {error!r}"
        raise InvalidFieldError("schema", str(data)[:100], why, _FORMS) from None


def _of_json_schema(data: Any, where: str) -> Type:
    """`format` means nothing here: no date is guessed from a text."""
    given = data.get("type") if isinstance(data, dict) else None
    kinds = [k for k in (given if isinstance(given, list) else [given]) if k != "null"]
    kind = kinds[0] if len(kinds) == 1 else None
    if kind == "object" and isinstance(data.get("properties"), dict):
        inside = data["properties"].items()
        return Struct(tuple(Field(k, _of_json_schema(v, f"{where}.{k}")) for k, v in inside))
    if kind == "object" and isinstance(data.get("additionalProperties"), dict):
        return Map(_of_json_schema(data["additionalProperties"], f"{where}{{}}"))
    if kind == "array" and isinstance(data.get("items"), dict):
        return Array(_of_json_schema(data["items"], f"{where}[]"))
    if kind not in _OF_JSON_SCHEMA:
        raise InvalidFieldError(
            where, str(data)[:100], "says not one type",
            "give type object (with properties), array (with items), string, integer, number or "
            "boolean; or check a --sample",
        )  # fmt: skip
    return Scalar(_OF_JSON_SCHEMA[str(kind)])


def _told(lines: list[Any]) -> dict[Path, Type]:
    try:
        return {
            tuple(m["path"]): _type(m["source"], m["type"])
            for m in lines
            if m["column"] and "alias" not in m["rules"]
        }
    except (KeyError, TypeError) as error:
        raise InvalidFieldError(
            "schema.mapping", str(lines)[:100], f"not as the API shows it: {error!r}", _FORMS
        ) from None


def _path(text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError as error:
        raise InvalidFieldError(
            "schema", text, f"not a path: {error}", 'write it as in a."x-y".items[].id'
        ) from None


def _type(text: str, kind: Any) -> Type:
    tokens = _TOKEN.findall(kind) if isinstance(kind, str) else []
    try:
        found = _taken(tokens)
    except (ValueError, IndexError):
        found, tokens = Scalar("unknown"), ["?"]
    if tokens or str(found) in ("unknown", "rescued", "dropped"):
        raise InvalidFieldError(
            f"schema.{text}", kind, "no type",
            "give boolean, int, long, float, double, string, date, timestamp, binary, json, "
            "decimal(p,s), array<…>, map<string,…> or struct<name:…>",
        )  # fmt: skip
    return found


def _taken(tokens: list[str]) -> Type:
    """The type that the tokens begin with, which are taken. Raises: ValueError, IndexError."""
    name = tokens.pop(0)
    if name not in ("array", "map", "struct"):
        return from_json(name)
    _take(tokens, "<")
    if name == "struct":
        return _fields(tokens)
    if name == "map":
        _take(tokens, "string")
        _take(tokens, ",")
    inner = _taken(tokens)
    _take(tokens, ">")
    return Map(inner) if name == "map" else Array(inner)


def _fields(tokens: list[str]) -> Struct:
    found = []
    while tokens[0] != ">":
        name = tokens.pop(0)
        _take(tokens, ":")
        found.append(Field(name, _taken(tokens)))
        if tokens[0] == ",":
            tokens.pop(0)
    _take(tokens, ">")
    return Struct(tuple(found))


def _take(tokens: list[str], wanted: str) -> None:
    if tokens.pop(0) != wanted:
        raise ValueError(f"no {wanted}")


def _tree(lines: Mapping[Path, Type]) -> Struct:
    found = _below((), lines)
    return found if isinstance(found, Struct) else Struct()


def _below(path: Path, lines: Mapping[Path, Type]) -> Type:
    """What the lines say of a path: those below it know its keys better than its own type."""
    told = lines.get(path)
    steps = dict.fromkeys(p[len(path)] for p in lines if p[: len(path)] == path != p)
    if not steps:
        return told or JSON
    if None in steps:
        inner = _below((*path, None), lines)
        return Map(inner) if isinstance(told, Map) else Array(inner)
    return Struct(tuple(
        Field(key, _below((*path, key), lines)) for key in steps if key is not None
    ))  # fmt: skip
