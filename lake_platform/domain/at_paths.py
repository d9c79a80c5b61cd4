"""A schema with something else at certain paths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from lake_platform.domain.schema import Array, Field, Map, Struct, Type


def rescuing(
    struct: Struct,
    chosen: Callable[[str], bool],
    refused: Collection[str] = (),
    prefix: str = "",
) -> Struct:
    """`struct` with `rescue` for the fields of chosen paths (`a.b`, `items[].id`), too, and without
    for those that are `refused`."""
    return Struct(tuple(_rescuing(f, f"{prefix}{f.name}", chosen, refused) for f in struct.fields))


def _rescuing(
    field: Field, path: str, chosen: Callable[[str], bool], refused: Collection[str]
) -> Field:
    rescue = path not in refused and (field.rescue or (field.keys != () and chosen(path)))
    return replace(field, type=rescuing_inside(field.type, path, chosen, refused), rescue=rescue)


def rescuing_inside(
    kind: Type, path: str, chosen: Callable[[str], bool], refused: Collection[str] = ()
) -> Type:
    if isinstance(kind, Struct):
        return rescuing(kind, chosen, refused, f"{path}.")
    if isinstance(kind, Array):
        return Array(rescuing_inside(kind.element, f"{path}[]", chosen, refused))
    if isinstance(kind, Map):
        return Map(rescuing_inside(kind.value, f"{path}{{}}", chosen, refused))
    return kind


def retyped(struct: Struct, types: Mapping[str, Type], prefix: str = "") -> Struct:
    """`struct` with other types at these paths (`a.b`, `items[].id`, `tags[]`)."""
    return Struct(tuple(
        replace(f, type=_retyped(f.type, types, f"{prefix}{f.name}")) for f in struct.fields
    ))  # fmt: skip


def _retyped(kind: Type, types: Mapping[str, Type], path: str) -> Type:
    if path in types:
        return types[path]
    if isinstance(kind, Struct):
        return retyped(kind, types, f"{path}.")
    if isinstance(kind, Array):
        return Array(_retyped(kind.element, types, f"{path}[]"))
    if isinstance(kind, Map):
        return Map(_retyped(kind.value, types, f"{path}{{}}"))
    return kind
