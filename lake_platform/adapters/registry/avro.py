"""Avro as JSON without loss: 64-bit integers and decimals as the numbers they are, bytes as base64,
times as ISO text, enums as text."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from decimal import MAX_PREC
from typing import Any

import fastavro
import msgspec

from lake_platform.adapters.registry.compiled import compiled
from lake_platform.domain.avro_schema import avro_schema
from lake_platform.domain.registry import Declared

_encode = msgspec.json.Encoder(decimal_format="number").encode
_FLOATS = ("float", "double")


class AvroDecoder:
    """Reads what one schema wrote. Raises: ValueError for a schema that is none."""

    def __init__(self, declared: Declared) -> None:
        named: dict[str, Any] = {}
        try:
            for _, text in declared.references:
                fastavro.parse_schema(avro_schema(text), named)
            self._schema: Any = fastavro.parse_schema(avro_schema(declared.text), named)
        except (ValueError, TypeError, KeyError, fastavro.schema.SchemaParseException) as error:
            raise ValueError(f"schema {declared.id}: {error}") from error
        for kind in [self._schema, *named.values()]:
            _keep_digits(kind)
        # Only these are looked at for numbers that JSON does not have.
        self._floats = [
            f["name"] for f in self._schema.get("fields", ())
            if any(kind in _FLOATS for kind in _inside(f["type"], named))
        ] if isinstance(self._schema, dict) else []  # fmt: skip
        # Of several records a value does not tell which it is.
        kinds = _inside(self._schema, named)
        self._names = any(isinstance(k, list) and _records(k) > 1 for k in kinds)
        self._read = None if self._names else compiled(self._schema, named)

    def json(self, data: bytes) -> bytes:
        """Raises: ValueError when `data` is not exactly one value of the schema."""
        if self._read is not None:
            try:
                return _encode(self._read(data))
            except Exception:  # noqa: S110 - it knows only what is sound
                pass
        return self._by_schema(data)

    def _by_schema(self, data: bytes) -> bytes:
        """Whatever there is, with a verdict."""
        stream = io.BytesIO(data)
        try:
            value: Any = fastavro.schemaless_reader(
                stream, self._schema, None, return_record_name=self._names,
                return_record_name_override=self._names,
            )  # fmt: skip
        except Exception as error:
            raise ValueError(str(error)) from error
        if stream.tell() != len(data):
            raise ValueError("bytes behind the value")
        for name in self._floats:
            held = value[name]
            # Of a number NaN - NaN and inf - inf are no zero.
            if held - held if type(held) is float else not _finite(held):
                raise ValueError("a number that JSON does not have")
        return _encode(_named(value) if self._names else value)


def _keep_digits(schema: Any) -> None:
    """fastavro rounds a number of more digits than its schema says."""
    if isinstance(schema, list):
        for branch in schema:
            _keep_digits(branch)
    elif isinstance(schema, dict):
        if schema.get("logicalType") == "decimal":
            if "precision" not in schema:
                del schema["logicalType"]  # then it is none, says Avro
            schema["precision"] = MAX_PREC
        for field in schema.get("fields", ()):
            _keep_digits(field["type"])
        for inner in ("items", "values", "type"):
            _keep_digits(schema.get(inner))


def _inside(schema: Any, named: Mapping[str, Any]) -> Iterator[Any]:
    """As `_walk`, with what the names in it mean."""
    seen: set[str] = set()
    waiting = [schema]
    while waiting:
        for kind in _walk(waiting.pop()):
            yield kind
            if isinstance(kind, str) and kind in named and kind not in seen:
                seen.add(kind)
                waiting.append(named[kind])


def _walk(schema: Any) -> Iterator[Any]:
    """Every type in it, names as text."""
    if isinstance(schema, list):
        yield schema
        for branch in schema:
            yield from _walk(branch)
        return
    if not isinstance(schema, dict):
        yield schema
        return
    kind = schema["type"]
    yield kind
    for field in schema.get("fields", ()):
        yield from _walk(field["type"])
    for inner in ("items", "values"):
        if inner in schema:
            yield from _walk(schema[inner])
    if isinstance(kind, dict | list):
        yield from _walk(kind)


def _records(union: list[Any]) -> int:
    plain = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
    return sum(
        b.get("type") in ("record", "error") if isinstance(b, dict) else b not in plain
        for b in union
    )


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else True


def _named(value: Any) -> Any:
    """A record of a union of several as `{name: record}`, as Avro's own JSON has it."""
    if isinstance(value, tuple):
        name, record = value
        return {name: _named(record)}
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value
