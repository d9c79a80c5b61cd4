"""The types of a step's output as types of a table, and columns brought into a wanted shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lake_platform.domain.schema import (
    JSON,
    RESCUED,
    UNKNOWN,
    Array,
    Field,
    Map,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.domain.schema_json import from_json, to_json

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType, StructType

OURS = (
    "_kafka_", "_hoodie_", "_lake_ordinal", "_lake_passed_", "_lake_cast_", "_lake_key",
    "_lake_order",
)  # fmt: skip
_WIDER = {"byte": "int", "short": "int", "void": str(UNKNOWN)}


class NoColumnTypeError(ValueError):
    """A column of a step has a type that no table stores."""

    def __init__(self, path: str, kind: str) -> None:
        self.remedy = "CAST it AS TIMESTAMP" if kind == "timestamp_ntz" else "CAST it AS STRING"
        self.reason = f"column {path} is a {kind}, which a table cannot store"
        self.path, self.kind = path, kind
        super().__init__(f"{self.reason}; {self.remedy}")


def output_struct(schema: StructType) -> Struct:
    """The table's own columns that a step's output gives: without ours, all nullable, SMALLINT and
    TINYINT as INT, and without what is only NULL: its type comes with its first value.

    Raises:
        NoColumnTypeError: names the first column with a type that is none of ours.
    """
    kept = [f for f in schema.jsonValue()["fields"] if not f["name"].startswith(OURS)]
    typed = [Field(f["name"], column_type(f["type"], f["name"])) for f in kept]
    known = without_unknown(Struct(tuple(typed)))
    return known if isinstance(known, Struct) else Struct()


def column_type(plain: Any, path: str) -> Type:
    """Raises: NoColumnTypeError."""
    if isinstance(plain, str):
        try:
            return from_json(_WIDER.get(plain, plain))
        except ValueError:
            raise NoColumnTypeError(path, plain) from None
    if plain["type"] == "struct":
        below = plain["fields"]
        return Struct(
            tuple(Field(f["name"], column_type(f["type"], f"{path}.{f['name']}")) for f in below)
        )
    if plain["type"] == "array":
        return Array(column_type(plain["elementType"], f"{path}[]"))
    if plain["type"] == "map":
        if not isinstance(plain["keyType"], str):
            raise NoColumnTypeError(path, f"map with keys that are a {plain['keyType']['type']}")
        return Map(column_type(plain["valueType"], f"{path}{{}}"))
    raise NoColumnTypeError(path, str(plain["type"]))


def spark_type(struct: Struct) -> StructType:
    from pyspark.sql.types import StructType

    found = spark_type_of(struct)
    assert isinstance(found, StructType)  # noqa: S101 - for mypy
    return found


def spark_type_of(kind: Type) -> DataType:
    from pyspark.sql import types as T

    if isinstance(kind, Struct):
        return T.StructType([T.StructField(f.name, spark_type_of(f.type)) for f in kind.fields])
    if isinstance(kind, Array):
        return T.ArrayType(spark_type_of(kind.element))
    if isinstance(kind, Map):
        return T.MapType(T.StringType(), spark_type_of(kind.value))
    if kind == UNKNOWN:
        return T.NullType()
    if kind in (JSON, RESCUED):
        return T.StringType()
    return T.StructType.fromJson(to_json(Struct((Field("c", kind),)))).fields[0].dataType


def shaped(column: Column, have: DataType, want: DataType) -> Column:
    """`column` as a `want`: fields by name at any depth, NULL for those it lacks, others cast."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    if have == want or _same(have, want):
        return column
    if isinstance(have, T.StructType) and isinstance(want, T.StructType):
        held = {f.name: f.dataType for f in have.fields}
        fields = [
            (
                shaped(column.getField(f.name), held[f.name], f.dataType)
                if f.name in held
                else F.lit(None).cast(f.dataType)
            ).alias(f.name)
            for f in want.fields
        ]
        return F.when(column.isNotNull(), F.struct(*fields))
    if isinstance(have, T.ArrayType) and isinstance(want, T.ArrayType):
        inner = have.elementType, want.elementType
        return F.transform(column, lambda e: shaped(e, *inner))
    if isinstance(have, T.MapType) and isinstance(want, T.MapType):
        values = have.valueType, want.valueType
        column = F.transform_values(column, lambda _, v: shaped(v, *values))
        if have.keyType == want.keyType:
            return column
    return column.cast(want)


def _same(have: DataType, want: DataType) -> bool:
    """But for what may be null."""
    return have.simpleString() == want.simpleString()
