"""Types of the columns of a table, and of what records have for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

MAX_DIGITS = 38  # of a decimal, in Spark, Parquet and Hudi
EXACT_IN_DOUBLE = 2**53  # and below, a double is exactly any integer
MAX_LEVELS = 90  # of groups in Parquet; Arrow reads no file with more than 100
# A record of the hundred levels one may have takes up to a thousand calls within each other, and
# Python allows no more, wherever we are called from: a load that is deep in those of others failed
# for ever. Ours end at a hundred levels, so this is far from what the C stack holds.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 5_000))
_WIDENINGS = frozenset([("int", "long"), ("float", "double")])


@dataclass(frozen=True, slots=True)
class Scalar:
    """`json` is text: values as the record has them, byte for byte. `rescued` is text too: what of
    the record fits no column, as `{"<JSON pointer>": <value>, …}`.

    `format`: how records write a `timestamp` or `date`: empty for text, or `s`, `ms`, `us`, `ns`
    for a number of such since 1970.
    """

    name: str
    format: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Decimal:
    precision: int
    scale: int

    @property
    def storable(self) -> bool:
        return self.precision <= MAX_DIGITS and 0 <= self.scale <= self.precision

    @property
    def bytes(self) -> int:
        """That Avro and Parquet store it in."""
        largest: int = 10**self.precision - 1
        return (largest.bit_length() + 8) // 8

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
    """`key` is what records call it where the column's name is another, `aliases` are other keys
    that mean the same. With `rescue` a value that does not fit goes to `_rescued`; with `closed` so
    does what the objects in it have under keys without a column: they take no more of them. Of
    `_rescued` itself, `closed` means the record."""

    name: str
    type: Type
    nullable: bool = True
    key: str | None = None
    aliases: tuple[str, ...] = ()
    rescue: bool = False
    closed: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """In records, the column's own first."""
        if self.type == RESCUED:
            return ()
        return (self.name if self.key is None else self.key, *self.aliases)


@dataclass(frozen=True)
class Struct:
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        return f"struct<{','.join(f'{f.name}:{f.type}' for f in self.fields)}>"

    def get(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    def of_key(self, key: str) -> Field | None:
        """The field that a record's key means."""
        return self._by_key.get(key)

    def same(self, field: Field) -> Field | None:
        """The field that has the same key in records as one of another struct."""
        keys = field.keys
        if not keys:
            return next((f for f in self.fields if not f.keys), None)
        return self._by_key.get(keys[0])

    @property
    def closed(self) -> bool:
        """Of a record: whether keys without a column make none."""
        return any(f.closed for f in self.fields if not f.keys)

    def twin_of(self, key: str) -> Field | None:
        """The field of a key that differs from `key` in case only."""
        return self._by_fold.get(key.casefold())

    @cached_property
    def _by_key(self) -> Mapping[str, Field]:
        return {key: f for f in reversed(self.fields) for key in f.keys}

    @cached_property
    def _by_fold(self) -> Mapping[str, Field]:
        return {key.casefold(): f for f in reversed(self.fields) for key in f.keys}


@dataclass(frozen=True, slots=True)
class Mixed:
    """Two types seen in one array or map that no type holds; never the type of a column."""

    first: Type
    second: Type

    def __str__(self) -> str:
        return f"{self.first} and {self.second}"


Type = Scalar | Decimal | Array | Map | Struct | Mixed
UNKNOWN = Scalar("unknown")  # only nulls, or an empty array, seen so far
JSON = Scalar("json")
RESCUED = Scalar("rescued")
DROPPED = Scalar("dropped")  # passed over by a hint; known while records are read, in no schema
RESCUED_FIELD = Field("_rescued", RESCUED)


def merge(active: Type, observed: Type) -> Type:
    """`active` with all automatic changes of `observed`: new columns last, types widened."""
    if isinstance(active, Struct) and isinstance(observed, Struct):
        held = [_merge_field(f, observed.same(f)) for f in active.fields]
        new = [
            replace(f, type=known, nullable=True)
            for f in observed.fields
            if active.same(f) is None and (known := without_unknown(f.type)) is not None
        ]
        return Struct((*held, *new))
    if isinstance(active, Array) and isinstance(observed, Array):
        return Array(merge(active.element, observed.element))
    if isinstance(active, Map) and isinstance(observed, Map):
        return Map(merge(active.value, observed.value))
    if active == UNKNOWN:
        return without_unknown(observed) or active
    return observed if widens(active, observed) else active


def _merge_field(held: Field, seen: Field | None) -> Field:
    if seen is None:
        return held
    aliases = dict.fromkeys((*held.aliases, *seen.aliases))
    kind, closed = merge(held.type, seen.type), held.closed or seen.closed
    return replace(held, type=kind, aliases=tuple(aliases), closed=closed)


def without_unknown(kind: Type) -> Type | None:
    """`kind` less every part that is no column (yet); None when nothing is left."""
    if isinstance(kind, Struct):
        kept = [
            replace(f, type=known)
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
    return None if kind in (UNKNOWN, DROPPED) else kind


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


def leaf(kind: Type) -> Type:
    """What is in the arrays and maps of a type."""
    while isinstance(kind, Array | Map):
        kind = kind.element if isinstance(kind, Array) else kind.value
    return kind


def why_unstorable(kind: Type) -> str:
    """Why no column can have this type; empty when one can."""
    if isinstance(kind, Mixed):
        return f"values of different types in one place ({kind})"
    if isinstance(kind, Decimal) and not kind.storable:
        return f"numbers that no type holds exactly ({kind})"
    if isinstance(kind, Struct):
        return next((why for f in kind.fields if (why := why_unstorable(f.type))), "")
    if isinstance(kind, Array | Map):
        return why_unstorable(kind.element if isinstance(kind, Array) else kind.value)
    return ""


def storable(kind: Type) -> Type:
    """`kind` with `json` in place of what no column can have."""
    if isinstance(kind, Struct):
        return Struct(tuple(replace(f, type=storable(f.type)) for f in kind.fields))
    if isinstance(kind, Array):
        return Array(storable(kind.element))
    if isinstance(kind, Map):
        return Map(storable(kind.value))
    return JSON if why_unstorable(kind) else kind


def levels(kind: Type) -> int:
    """How deep Parquet nests a column of this type: an array or map is two groups."""
    if isinstance(kind, Struct):
        return 1 + max((levels(f.type) for f in kind.fields), default=0)
    if isinstance(kind, Array | Map):
        return 2 + levels(kind.element if isinstance(kind, Array) else kind.value)
    return 1


def grown(before: Decimal, after: Decimal) -> Decimal:
    """What a column becomes that must hold `after` too. Where it gets digits behind the point it
    gets another number of bytes as well: in as many Hudi 1.2 takes rows of before that it merges
    for such of the new type, and moves the point."""
    if not after.storable or after.scale == before.scale or after.bytes > before.bytes:
        return after  # what no column holds may have more digits than one can count
    return grown(before, Decimal(after.precision + 1, after.scale))


def widens(before: Type, after: Type) -> bool:
    if isinstance(before, Decimal) and isinstance(after, Decimal):
        if not after.storable:
            return False
        whole_grew = after.precision - after.scale >= before.precision - before.scale
        return before != after and whole_grew and after.scale >= before.scale
    if isinstance(before, Scalar) and isinstance(after, Scalar):
        return (before.name, after.name) in _WIDENINGS
    return False
