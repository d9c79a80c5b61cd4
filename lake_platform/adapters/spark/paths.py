"""Paths into the columns of a schema, as SQL names them: case is nothing."""

from __future__ import annotations

from collections.abc import Iterable

from lake_platform.domain.schema import UNKNOWN, Array, Field, Map, Struct, Type

Path = tuple[str, ...]
"""Names from the root down; `[]` is an element of an array, `{}` a value of a map, `*` a star."""


def with_missing(source: Struct, missing: Iterable[Path]) -> Struct:
    """`source` with a NULL of unknown type wherever a path is missing."""
    found: Type = source
    for path in sorted(missing):
        found = _with_path(found, path)
    return found if isinstance(found, Struct) else source


def find(kind: Type | None, name: str) -> Field | None:
    """A field of a struct (or of the structs in an array), as Spark finds it: case is nothing."""
    while isinstance(kind, Array):
        kind = kind.element
    if not isinstance(kind, Struct):
        return None
    exact = kind.get(name)
    twins = (f for f in kind.fields if f.name.casefold() == name.casefold())
    return exact or next(twins, None)


def has_path(kind: Type, path: Path) -> bool:
    """Whether records were seen to have `path`, be it only as null or empty: then all below it may
    come, too."""
    for part in path:
        if part == "*":
            return True
        found: Type | None
        if part == "[]":
            found = kind.element if isinstance(kind, Array) else None
        elif part == "{}":
            found = kind.value if isinstance(kind, Map) else None
        else:
            held = find(kind, part)
            found = held.type if held else None
        if kind == UNKNOWN or (isinstance(kind, Struct) and not kind.fields):
            return True
        if found is None:
            return False
        kind = found
    return True


def below(kind: Type | None, part: str) -> Type | None:
    if part == "*":
        return kind if isinstance(kind, Struct) else None
    if part in {"[]", "{}"}:
        inner = kind.element if isinstance(kind, Array) else None
        return kind.value if isinstance(kind, Map) else inner
    if isinstance(kind, Map):
        return kind.value
    held = find(kind, part)
    if held is None:
        return None
    return Array(held.type) if isinstance(kind, Array) else held.type


def can_have(kind: Type, part: str) -> bool:
    """Whether a record to come may bring it: else it is an error that the engine names."""
    while isinstance(kind, Array):
        kind = kind.element
    return part not in {"[]", "{}", "*"} and isinstance(kind, Struct)


def element_in_place(kind: Type, path: Path) -> Type:
    """`kind` with the array at `path` replaced by its element."""
    if not path:
        return kind.element if isinstance(kind, Array) else UNKNOWN
    if not isinstance(kind, Struct):
        return kind
    held = find(kind, path[0])
    if held is None:
        return kind
    inside = Field(held.name, element_in_place(held.type, path[1:]), held.nullable)
    return Struct(tuple(inside if f is held else f for f in kind.fields))


def _with_path(kind: Type, path: Path) -> Type:
    if not path or path == ("*",):
        return Struct() if path and kind == UNKNOWN else kind
    head, rest = path[0], path[1:]
    if isinstance(kind, Array) or (kind == UNKNOWN and head == "[]"):
        inner = kind.element if isinstance(kind, Array) else UNKNOWN
        return Array(_with_path(inner, rest if head == "[]" else path))
    if isinstance(kind, Map) or (kind == UNKNOWN and head == "{}"):
        return Map(_with_path(kind.value if isinstance(kind, Map) else UNKNOWN, rest))
    if not isinstance(kind, Struct) and kind != UNKNOWN:
        return kind
    held = kind if isinstance(kind, Struct) else Struct()
    old = find(held, head)
    if old is None:
        return Struct((*held.fields, Field(head, _with_path(UNKNOWN, rest))))
    grown = Field(old.name, _with_path(old.type, rest), old.nullable)
    return Struct(tuple(grown if f is old else f for f in held.fields))
