"""The JSON form of types: Spark's own, so one text serves the metastore and the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct, Type, leaf

_SCALARS = frozenset(
    [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "string",
        "binary",
        "date",
        "timestamp",
        "json",
        "rescued",
        "unknown",
        "dropped",
    ]
)
# Spark writes "integer" where SQL and we say "int".
_TO_SPARK = {"int": "integer"}
_FROM_SPARK = {"integer": "int"}


def to_json(kind: Type) -> Any:
    """Spark's schema JSON."""
    if isinstance(kind, Struct):
        return {"type": "struct", "fields": [_field_to_json(f) for f in kind.fields]}
    if isinstance(kind, Array):
        return {"type": "array", "elementType": to_json(kind.element), "containsNull": True}
    if isinstance(kind, Map):
        value = to_json(kind.value)
        return {"type": "map", "keyType": "string", "valueType": value, "valueContainsNull": True}
    return _TO_SPARK.get(str(kind), str(kind))


def _field_to_json(field: Field) -> dict[str, Any]:
    """What is ours goes where Spark keeps what it does not know."""
    ours: dict[str, Any] = {}
    if field.key is not None:
        ours["key"] = field.key
    if field.aliases:
        ours["aliases"] = list(field.aliases)
    if field.rescue:
        ours["rescue"] = True
    if field.closed:
        ours["closed"] = True
    written = leaf(field.type)
    if isinstance(written, Scalar) and written.format:
        ours["format"] = written.format
    plain = {"name": field.name, "type": to_json(field.type), "nullable": field.nullable}
    return plain | {"metadata": ours}


def _field_from_json(data: Any) -> Field:
    ours = data.get("metadata") or {}
    kind = from_json(data["type"])
    return Field(
        data["name"],
        _written(kind, ours["format"]) if "format" in ours else kind,
        data.get("nullable", True),
        ours.get("key"),
        tuple(ours.get("aliases", ())),
        ours.get("rescue", False),
        ours.get("closed", False),
    )


def _written(kind: Type, format_: str) -> Type:
    if isinstance(kind, Array):
        return Array(_written(kind.element, format_))
    if isinstance(kind, Map):
        return Map(_written(kind.value, format_))
    return replace(kind, format=format_) if isinstance(kind, Scalar) else kind


def from_json(data: Any) -> Type:
    """The inverse of `to_json`; also reads what Spark's `StructType.jsonValue()` gives.

    Raises:
        ValueError: a type we do not have; names it.
    """
    if isinstance(data, str):
        name = _FROM_SPARK.get(data, data)
        if name.startswith("decimal("):
            precision, scale = name[8:-1].split(",")
            return Decimal(int(precision), int(scale))
        if name in _SCALARS:
            return Scalar(name)
        raise ValueError(f"unknown type {data!r}")
    if data["type"] == "struct":
        return Struct(tuple(map(_field_from_json, data["fields"])))
    if data["type"] == "array":
        return Array(from_json(data["elementType"]))
    if data["type"] == "map":
        return Map(from_json(data["valueType"]))
    raise ValueError(f"unknown type {data['type']!r}")


def struct_from_json(data: Any) -> Struct:
    kind = from_json(data)
    if not isinstance(kind, Struct):
        raise ValueError(f"a schema is a struct, not {kind}")
    return kind
