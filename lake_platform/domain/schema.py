"""Types of a table, the structural diff of two of them, and the verdict on each change.

The JSON form is Spark's own schema JSON, so one text serves the metastore and the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["automatic", "proposal", "breaking"]
SCALARS = frozenset(
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
        "unknown",
    ]
)
# Spark writes "integer" where SQL and we say "int".
_TO_SPARK = {"int": "integer"}
_FROM_SPARK = {"integer": "int"}
MAX_DIGITS = 38  # of a decimal, in Spark, Parquet and Hudi
_WIDENINGS = frozenset([("int", "long"), ("float", "double")])


@dataclass(frozen=True, slots=True)
class Scalar:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Decimal:
    precision: int
    scale: int

    @property
    def storable(self) -> bool:
        return self.precision <= MAX_DIGITS and self.scale <= self.precision

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})"


@dataclass(frozen=True, slots=True)
class Array:
    element: Type

    def __str__(self) -> str:
        return f"array<{self.element}>"


@dataclass(frozen=True, slots=True)
class Map:
    """Keys are strings, as in JSON."""

    value: Type

    def __str__(self) -> str:
        return f"map<string,{self.value}>"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: Type
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Struct:
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        return f"struct<{','.join(f'{f.name}:{f.type}' for f in self.fields)}>"

    def get(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)


Type = Scalar | Decimal | Array | Map | Struct
UNKNOWN = Scalar("unknown")  # only nulls, or an empty array, seen so far


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas at one path; `before`/`after` are types or empty."""

    path: str
    kind: Literal["add", "widen", "absent", "narrow", "type", "required", "case_twin", "name"]
    verdict: Verdict
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.kind == "type" and not self.before:
            return f"new column {self.path} has numbers that no type holds exactly ({self.after})"
        if self.kind == "add":
            return f"new column {self.path} {self.after}"
        if self.kind == "absent":
            return f"column {self.path} {self.before} is absent"
        if self.kind == "case_twin":
            return f"column {self.after} differs from {self.before} only in case"
        if self.kind == "name":
            return f"new column {self.path} {self.after} has a name the table cannot store"
        if self.kind == "required":
            return f"new column {self.path} {self.after} is not nullable"
        return f"column {self.path}: {self.before} became {self.after} ({self.kind})"


def diff(active: Struct, observed: Struct, *, partial: bool = False) -> list[Change]:
    """All changes from `active` to `observed`.

    `partial`: `observed` shows only some records, so absent columns mean nothing.
    """
    return list(_diff_struct(active, observed, "", partial))


def merge(active: Type, observed: Type) -> Type:
    """`active` with all automatic changes of `observed`: new columns last, types widened."""
    if isinstance(active, Struct) and isinstance(observed, Struct):
        fields = [
            Field(
                f.name, merge(f.type, o.type) if (o := observed.get(f.name)) else f.type, f.nullable
            )
            for f in active.fields
        ]
        fields += [
            Field(f.name, known, True)
            for f in observed.fields
            if active.get(f.name) is None and (known := without_unknown(f.type)) is not None
        ]
        return Struct(tuple(fields))
    if isinstance(active, Array) and isinstance(observed, Array):
        return Array(merge(active.element, observed.element))
    if isinstance(active, Map) and isinstance(observed, Map):
        return Map(merge(active.value, observed.value))
    if active == UNKNOWN:
        return without_unknown(observed) or active
    return observed if _widens(active, observed) else active


def without_unknown(kind: Type) -> Type | None:
    """`kind` less every part whose type is not known yet; None when nothing is left."""
    if isinstance(kind, Struct):
        kept = [
            Field(f.name, known, f.nullable)
            for f in kind.fields
            if (known := without_unknown(f.type)) is not None
        ]
        return Struct(tuple(kept)) if kept else None
    if isinstance(kind, Array):
        element = without_unknown(kind.element)
        return None if element is None else Array(element)
    if isinstance(kind, Map):
        value = without_unknown(kind.value)
        return None if value is None else Map(value)
    return None if kind == UNKNOWN else kind


def columns(struct: Struct) -> Iterator[tuple[str, Type]]:
    """Every root column and nested field with its path (`a.b`, `items[].id`)."""
    return ((path, field.type) for path, field in fields(struct))


def fields(struct: Struct, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """As `columns`; a field's name may hold a dot itself, so the path alone does not give it."""
    for field in struct.fields:
        path = f"{prefix}{field.name}"
        yield path, field
        inner, step = field.type, ""
        while isinstance(inner, Array | Map):
            inner, step = (
                (inner.element, step + "[]")
                if isinstance(inner, Array)
                else (inner.value, step + "{}")
            )
        if isinstance(inner, Struct):
            yield from fields(inner, f"{path}{step}.")


def to_json(kind: Type) -> Any:
    """Spark's schema JSON."""
    if isinstance(kind, Struct):
        fields = [
            {"name": f.name, "type": to_json(f.type), "nullable": f.nullable, "metadata": {}}
            for f in kind.fields
        ]
        return {"type": "struct", "fields": fields}
    if isinstance(kind, Array):
        return {"type": "array", "elementType": to_json(kind.element), "containsNull": True}
    if isinstance(kind, Map):
        value = to_json(kind.value)
        return {"type": "map", "keyType": "string", "valueType": value, "valueContainsNull": True}
    return _TO_SPARK.get(str(kind), str(kind))


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
        if name in SCALARS:
            return Scalar(name)
        raise ValueError(f"unknown type {data!r}")
    if data["type"] == "struct":
        return Struct(
            tuple(
                Field(f["name"], from_json(f["type"]), f.get("nullable", True))
                for f in data["fields"]
            )
        )
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


def _storable(kind: Type) -> bool:
    if isinstance(kind, Struct):
        return all(_storable(f.type) for f in kind.fields)
    if isinstance(kind, Array | Map):
        return _storable(kind.element if isinstance(kind, Array) else kind.value)
    return not isinstance(kind, Decimal) or kind.storable


def _widens(before: Type, after: Type) -> bool:
    if isinstance(before, Decimal) and isinstance(after, Decimal):
        if not after.storable:
            return False
        whole_grew = after.precision - after.scale >= before.precision - before.scale
        return before != after and whole_grew and after.scale >= before.scale
    if isinstance(before, Scalar) and isinstance(after, Scalar):
        return (before.name, after.name) in _WIDENINGS
    return False


def _diff_struct(active: Struct, observed: Struct, prefix: str, partial: bool) -> Iterator[Change]:
    by_fold = {f.name.casefold(): f.name for f in active.fields}
    for new in observed.fields:
        path = f"{prefix}{new.name}"
        old = active.get(new.name)
        if old is not None:
            yield from _diff_type(old.type, new.type, path, partial)
            continue
        twin = by_fold.setdefault(new.name.casefold(), new.name)
        known = without_unknown(new.type)
        if twin != new.name:
            yield Change(path, "case_twin", "breaking", f"{prefix}{twin}", path)
        elif not new.nullable:
            yield Change(path, "required", "breaking", "", str(new.type))
        elif twins := list(_twins_inside(new.type, path)):
            yield from twins
        elif known is not None and not _storable(known):
            yield Change(path, "type", "breaking", "", str(known))
        elif known is not None:
            yield Change(path, "add", "automatic", "", str(known))
    if not partial:
        for old in active.fields:
            if observed.get(old.name) is None:
                yield Change(f"{prefix}{old.name}", "absent", "proposal", str(old.type), "")


def _twins_inside(kind: Type, path: str) -> Iterator[Change]:
    """Case twins within a column that is new itself."""
    while isinstance(kind, Array | Map):
        kind, path = (
            (kind.element, f"{path}[]") if isinstance(kind, Array) else (kind.value, f"{path}{{}}")
        )
    if isinstance(kind, Struct):
        inner = _diff_struct(Struct(), kind, f"{path}.", True)
        yield from (c for c in inner if c.kind == "case_twin")


def _diff_type(before: Type, after: Type, path: str, partial: bool) -> Iterator[Change]:
    if before in (after, UNKNOWN) or after == UNKNOWN:
        return
    if isinstance(before, Struct) and isinstance(after, Struct):
        yield from _diff_struct(before, after, f"{path}.", partial)
    elif isinstance(before, Array) and isinstance(after, Array):
        yield from _diff_type(before.element, after.element, f"{path}[]", partial)
    elif isinstance(before, Map) and isinstance(after, Map):
        yield from _diff_type(before.value, after.value, f"{path}{{}}", partial)
    elif _widens(before, after):
        yield Change(path, "widen", "automatic", str(before), str(after))
    elif _widens(after, before):
        yield Change(path, "narrow", "breaking", str(before), str(after))
    else:
        yield Change(path, "type", "breaking", str(before), str(after))
