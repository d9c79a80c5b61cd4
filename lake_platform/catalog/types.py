"""Types of columns as Hive writes them (Glue, Athena, Trino, Hive), and as Spark's own JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lake_platform.domain.schema import Array, Field, Map, Scalar, Struct, Type, without_unknown
from lake_platform.domain.schema_json import to_json

_SCALARS = {"long": "bigint", "json": "string", "rescued": "string"}
# What Hive's reader of types takes for the name of a field.
_FIELD = re.compile(r"[A-Za-z0-9_.$ ]+")
_PART_CHARS = 4000  # as Spark and Hudi cut it, for metastores that take no more


def hive_type(kind: Type) -> str:
    """Fields whose name Hive cannot read are left out (`unreadable` names them); empty when nothing
    is left. Engines find fields by name, so the others are read all the same."""
    if isinstance(kind, Struct):
        inner = ((f.name, hive_type(f.type)) for f in kind.fields if _FIELD.fullmatch(f.name))
        fields = [f"{name.lower()}:{text}" for name, text in inner if text]
        return f"struct<{','.join(fields)}>" if fields else ""
    if isinstance(kind, Array):
        element = hive_type(kind.element)
        return f"array<{element}>" if element else ""
    if isinstance(kind, Map):
        value = hive_type(kind.value)
        return f"map<string,{value}>" if value else ""
    return _SCALARS.get(str(kind), str(kind))


def unreadable(kind: Type, path: str) -> list[str]:
    """Fields that `hive_type` leaves out."""
    if isinstance(kind, Struct):
        found = []
        for field in kind.fields:
            below = f"{path}.{field.name}"
            plain = _FIELD.fullmatch(field.name)
            found += unreadable(field.type, below) if plain else [below]
        return found
    if isinstance(kind, Array):
        return unreadable(kind.element, f"{path}[]")
    return unreadable(kind.value, f"{path}{{}}") if isinstance(kind, Map) else []


def known(struct: Struct) -> Struct:
    """Without what has no type yet: no file has it."""
    found = without_unknown(struct)
    return found if isinstance(found, Struct) else Struct()


def spark_parameters(
    struct: Struct, keys: Iterable[str], comments: Mapping[str, str], provider: str
) -> dict[str, str]:
    """Parameters by which Spark knows the table's schema with its own types and case; keys last."""
    last = list(keys)
    fields = [f for f in struct.fields if f.name not in last]
    fields += [f for name in last if (f := struct.get(name))]
    schema = {"type": "struct", "fields": [_spark_field(f, comments) for f in fields]}
    text = json.dumps(schema, separators=(",", ":"))
    parts = [text[at : at + _PART_CHARS] for at in range(0, len(text), _PART_CHARS)]
    found = {
        "spark.sql.sources.provider": provider,
        "spark.sql.sources.schema.numParts": str(len(parts)),
        **{f"spark.sql.sources.schema.part.{n}": part for n, part in enumerate(parts)},
    }
    if last:
        found["spark.sql.sources.schema.numPartCols"] = str(len(last))
        found |= {f"spark.sql.sources.schema.partCol.{n}": name for n, name in enumerate(last)}
    return found


def _spark_field(field: Field, comments: Mapping[str, str]) -> dict[str, Any]:
    comment = comments.get(field.name.lower(), "")
    return {
        "name": field.name,
        "type": to_json(_as_text(field.type)),
        "nullable": True,
        "metadata": {"comment": comment} if comment else {},
    }


def _as_text(kind: Type) -> Type:
    """As Spark reads the files: `json` and `rescued` are text there."""
    if isinstance(kind, Struct):
        return Struct(tuple(Field(f.name, _as_text(f.type)) for f in kind.fields))
    if isinstance(kind, Array):
        return Array(_as_text(kind.element))
    if isinstance(kind, Map):
        return Map(_as_text(kind.value))
    return Scalar("string") if str(kind) in ("json", "rescued") else kind
