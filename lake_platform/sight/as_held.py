"""What was seen, less what a live table's objects and arrays do not take.

A value that conflicts with the column it is under (a number for an object) goes where conflicts
go. It must not decide what becomes of new keys below that column.
"""

from __future__ import annotations

from lake_platform.domain.schema import Array, Map, Struct, Type
from lake_platform.sight.said import elements_and_singles
from lake_platform.sight.seen import Seen, only


def as_held(seen: Seen, kind: Type) -> Seen:
    """A copy of what fits `kind`, as far as that has objects in it; else what was seen."""
    if isinstance(kind, Struct):
        part = only(seen, "object")
        part.children = {
            key: as_held(child, field.type) if (field := kind.of_key(key)) else child
            for key, child in part.children.items()
        }
        return part
    if isinstance(kind, Map):
        part = only(seen, "object")
        part.children = {key: as_held(c, kind.value) for key, c in part.children.items()}
        return part
    if isinstance(kind, Array) and isinstance(kind.element, Struct | Map | Array):
        joined = elements_and_singles(seen)
        if joined is None:
            return as_held(seen, kind.element)
        part = only(seen, "array")
        part.element = as_held(joined, kind.element)
        return part
    return seen
