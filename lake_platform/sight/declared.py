"""From a registered schema to columns: the types that its producer declared, as the JSON which its
messages become has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lake_platform.domain.avro_schema import ZONED, avro_schema
from lake_platform.domain.change import OP_KEY, POSITION_KEY, TIME_KEY
from lake_platform.domain.hints import Node
from lake_platform.domain.registry import Declared
from lake_platform.domain.schema import (
    JSON,
    MAX_LEVELS,
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    levels,
    merge,
)
from lake_platform.sight.protobuf import ProtobufColumns

_AVRO: dict[str, Type] = {
    "null": UNKNOWN, "boolean": Scalar("boolean"), "int": Scalar("int"), "long": Scalar("long"),
    "float": Scalar("float"), "double": Scalar("double"), "bytes": Scalar("binary"),
    "string": Scalar("string"), "enum": Scalar("string"), "fixed": Scalar("binary"),
}  # fmt: skip
_LOGICAL: dict[tuple[str, str], Type] = {
    ("int", "date"): Scalar("date"),
    ("int", "time-millis"): Scalar("string"),
    ("long", "time-micros"): Scalar("string"),
    ("long", "timestamp-millis"): Scalar("timestamp"),
    ("long", "timestamp-micros"): Scalar("timestamp"),
    # No instants: what a clock on a wall says.
    ("long", "local-timestamp-millis"): Scalar("string"),
    ("long", "local-timestamp-micros"): Scalar("string"),
    ("fixed", "uuid"): Scalar("string"),
}
_JSON: dict[str, Type] = {
    "null": UNKNOWN, "boolean": Scalar("boolean"), "integer": Scalar("long"),
    "number": Scalar("double"), "string": Scalar("string"),
}  # fmt: skip
_FORMATS: dict[str, Type] = {"date": Scalar("date"), "date-time": Scalar("timestamp")}
_WIDER = {
    frozenset(["int", "long"]): Scalar("long"), frozenset(["float", "double"]): Scalar("double"),
}  # fmt: skip


def columns_of(
    declared: Iterable[Declared], hints: Node, depth: int, envelope: str = "none"
) -> Struct:
    """What all of them have, with what `hints` say of it; named by keys so far. What no type holds
    (unions, recursion, more than `depth` levels) is `json`. Of the change events of an `envelope`
    those of their rows."""
    found: Type = Struct()
    for one in sorted(declared, key=lambda d: d.id):
        for root in _roots(one):
            plain = _shallow(_row_of(root) if envelope in ("debezium", "auto") else root, depth)
            if isinstance(plain, Struct):
                found = merge(found, _hinted(plain, hints))
    return found if isinstance(found, Struct) else Struct()


def _row_of(root: Type) -> Type:
    """Of a change event; what is none is a row."""
    after = root.get("after") if isinstance(root, Struct) else None
    if after is None or not isinstance(after.type, Struct) or not isinstance(root, Struct):
        return root
    if root.get("op") is None or root.get("source") is None:
        return root
    kinds = {OP_KEY: "string", TIME_KEY: "timestamp", POSITION_KEY: "string"}
    beside = (Field(key, Scalar(kind)) for key, kind in kinds.items())
    return Struct((*after.type.fields, *beside))


def _roots(declared: Declared) -> Iterable[Type]:
    if declared.kind == "protobuf":
        return ProtobufColumns(declared).roots()
    return [
        (AvroColumns(declared) if declared.kind == "avro" else JsonSchemaColumns(declared)).root()
    ]


def _hinted(struct: Struct, node: Node) -> Struct:
    fields = []
    for field in struct.fields:
        child = node.of(field.keys)
        if child.hint.drop:
            continue
        kind = child.hint.type
        if kind is not None:
            fields.append(replace(field, type=kind, rescue=kind != JSON))
        else:
            fields.append(replace(field, type=_hinted_inside(field.type, child)))
    return Struct(tuple(fields))


def _hinted_inside(kind: Type, node: Node) -> Type:
    if isinstance(kind, Struct):
        return _hinted(kind, node)
    if isinstance(kind, Array):
        return Array(_hinted_inside(kind.element, node.elements))
    return Map(_hinted_inside(kind.value, node.elements)) if isinstance(kind, Map) else kind


class AvroColumns:
    def __init__(self, declared: Declared) -> None:
        self._named: dict[str, tuple[Any, str]] = {}
        for text in (*(t for _, t in declared.references), declared.text):
            self.schema = avro_schema(text)
            self._learn(self.schema, "")

    def root(self) -> Type:
        return self._type(self.schema, "", ())

    def _learn(self, schema: Any, space: str) -> None:
        """Names are known wherever they stand, also before they are defined."""
        if isinstance(schema, list):
            for branch in schema:
                self._learn(branch, space)
        elif isinstance(schema, dict):
            kind = schema.get("type")
            if kind in ("record", "error", "enum", "fixed"):
                full, space = _full_name(schema["name"], schema.get("namespace"), space)
                self._named[full] = (schema, space)
            for field in schema.get("fields", ()):
                self._learn(field["type"], space)
            for inner in ("items", "values", "type"):
                if isinstance(schema.get(inner), dict | list):
                    self._learn(schema[inner], space)

    def _type(self, schema: Any, space: str, above: tuple[str, ...]) -> Type:
        if isinstance(schema, list):
            return self._union(schema, space, above)
        if isinstance(schema, str):
            if schema in _AVRO:
                return _AVRO[schema]
            full = self._full(schema, space)
            found, inner_space = self._named[full]
            return JSON if full in above else self._type(found, inner_space, above)
        kind, logical = schema["type"], schema.get("logicalType", "")
        if isinstance(kind, dict | list):
            return self._type(kind, space, above)
        if logical == "decimal" and kind in ("bytes", "fixed") and "precision" in schema:
            decimal = Decimal(schema["precision"], schema.get("scale", 0))
            return decimal if decimal.storable else JSON
        if kind == "array":
            return Array(self._type(schema["items"], space, above))
        if kind == "map":
            return Map(self._type(schema["values"], space, above))
        if kind in ("record", "error"):
            full, inner_space = _full_name(schema["name"], schema.get("namespace"), space)
            below = (*above, full)
            return Struct(
                tuple(
                    Field(f["name"], self._type(f["type"], inner_space, below))
                    for f in schema["fields"]
                )
            )
        if kind not in _AVRO:
            return self._type(kind, space, above)
        if kind == "string" and schema.get("connect.name") == ZONED:
            return Scalar("timestamp")
        return _LOGICAL.get((kind, logical), _AVRO[kind])

    def _full(self, name: str, space: str) -> str:
        full = name if "." in name or not space else f"{space}.{name}"
        return full if full in self._named else name

    def resolved(self, schema: Any, space: str) -> tuple[Any, str]:
        """What a name means, with the namespace inside of it."""
        if isinstance(schema, str):
            return self._named.get(self._full(schema, space), (schema, space))
        if isinstance(schema, dict) and schema.get("type") in ("record", "error"):
            return schema, _full_name(schema["name"], schema.get("namespace"), space)[1]
        return schema, space

    def _union(self, schema: list[Any], space: str, above: tuple[str, ...]) -> Type:
        kinds = [self._type(b, space, above) for b in schema]
        # Of several records the value tells which it is: {"name": {…}}.
        if sum(isinstance(kind, Struct) for kind in kinds) > 1:
            return JSON
        return _together(kinds)


def _full_name(name: str, namespace: str | None, space: str) -> tuple[str, str]:
    if "." in name:
        return name, name.rpartition(".")[0]
    space = space if namespace is None else namespace
    return (f"{space}.{name}" if space else name), space


class JsonSchemaColumns:
    def __init__(self, declared: Declared) -> None:
        self.root_schema = json.loads(declared.text)
        self._others = {name: json.loads(text) for name, text in declared.references}

    def root(self) -> Type:
        return self._type(self.root_schema, self.root_schema, ())

    def _type(self, schema: Any, document: Any, above: tuple[str, ...]) -> Type:
        if not isinstance(schema, Mapping):
            return JSON
        if "$ref" in schema:
            return self._referred(str(schema["$ref"]), document, above)
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return _together([self._type(s, document, above) for s in schema[word]])
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            return _together([self._type({**schema, "type": k}, document, above) for k in kind])
        if kind == "array" and isinstance(schema.get("items"), Mapping):
            return Array(self._type(schema["items"], document, above))
        if kind == "object":
            return self._object(schema, document, above)
        if kind == "string" and schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        return _JSON.get(str(kind), JSON)

    def _object(self, schema: Mapping[str, Any], document: Any, above: tuple[str, ...]) -> Type:
        named = schema.get("properties")
        if named:
            pairs = ((key, self._type(inner, document, above)) for key, inner in named.items())
            return Struct(tuple(Field(key, kind) for key, kind in pairs))
        others = schema.get("additionalProperties")
        return Map(self._type(others, document, above)) if isinstance(others, Mapping) else JSON

    def _referred(self, reference: str, document: Any, above: tuple[str, ...]) -> Type:
        if reference in above:
            return JSON  # it contains itself
        return self._type(*self._at(reference, document), (*above, reference))

    def resolved(
        self, schema: Any, document: Any, above: tuple[str, ...]
    ) -> tuple[Any, Any, tuple[str, ...]]:
        """What a `$ref` refers to; None for what contains itself."""
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            return schema, document, above
        reference = str(schema["$ref"])
        if reference in above:
            return None, document, above
        return (*self._at(reference, document), (*above, reference))

    def _at(self, reference: str, document: Any) -> tuple[Any, Any]:
        """The schema, and the document it stands in."""
        name, _, pointer = reference.partition("#")
        document = self._others.get(name, document) if name else document
        found = document
        for part in filter(None, pointer.split("/")):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, Mapping) else None
        return found, document


def _together(kinds: list[Type]) -> Type:
    """Of a union, less null."""
    kinds = [kind for kind in kinds if kind != UNKNOWN]
    if not kinds:
        return UNKNOWN
    first = kinds[0]
    for kind in kinds[1:]:
        if kind != first:
            first = _WIDER.get(frozenset([str(first), str(kind)]), JSON)
    return first


def _shallow(kind: Type, depth: int) -> Type:
    """With `json` for what is deeper than `depth` levels, or than readers of Parquet take."""
    kind = _cut(kind, depth)
    return _cut(kind, depth // 2) if levels(kind) > MAX_LEVELS else kind


def _cut(kind: Type, depth: int) -> Type:
    if isinstance(kind, Struct | Array | Map) and depth <= 0:
        return JSON
    if isinstance(kind, Struct):
        return Struct(tuple(replace(f, type=_cut(f.type, depth - 1)) for f in kind.fields))
    if isinstance(kind, Array):
        return Array(_cut(kind.element, depth - 1))
    return Map(_cut(kind.value, depth - 1)) if isinstance(kind, Map) else kind
