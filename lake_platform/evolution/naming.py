"""Names for columns that come new to a table: those that are there keep theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lake_platform.domain.mapping import Mapped, Path, Rule
from lake_platform.domain.names import assign, is_ours, never
from lake_platform.domain.schema import Array, Field, Map, Struct, Type


def named(held: Struct, grown: Struct, taken: Iterable[str], *, lower: bool) -> Struct:
    """`grown` is `held` with new fields at any depth, which are named as their keys so far. `taken`
    are names of root columns that are no longer in `held`."""
    return _struct(held, grown, frozenset(taken), lower=lower, root=True)


def new_keys(held: Type | None, grown: Type) -> Iterator[str]:
    """Of the fields that `grown` has beyond `held`, at any depth of what both have."""
    if isinstance(grown, Struct):
        known = held if isinstance(held, Struct) else Struct()
        for field in grown.fields:
            same = known.same(field)
            if same is None:
                yield from field.keys
            else:
                yield from new_keys(same.type, field.type)
    elif isinstance(grown, Array):
        yield from new_keys(held.element if isinstance(held, Array) else None, grown.element)
    elif isinstance(grown, Map):
        yield from new_keys(held.value if isinstance(held, Map) else None, grown.value)


def lines(held: Struct, grown: Struct, reason: str) -> Iterator[Mapped]:
    """The mapping of what `grown` has beyond `held`, both named."""
    yield from _lines(held, grown, (), "", reason)


def _struct(
    held: Struct, grown: Struct, taken: frozenset[str], *, lower: bool, root: bool = False
) -> Struct:
    new = [f.keys[0] for f in grown.fields if f.keys and held.same(f) is None]
    used = taken | {f.name for f in held.fields}
    names = assign(new, used, is_ours if root else never, lower=lower)
    return Struct(tuple(_field(held.same(f), f, names, lower=lower) for f in grown.fields))


def _field(known: Field | None, field: Field, names: dict[str, str], *, lower: bool) -> Field:
    kind = _inside(known.type if known else None, field.type, lower=lower)
    if known is not None or not field.keys:
        return replace(field, type=kind)
    key = field.keys[0]
    name = names[key]
    return replace(field, name=name, key=None if key == name else key, type=kind)


def _inside(held: Type | None, grown: Type, *, lower: bool) -> Type:
    if isinstance(grown, Struct):
        known = held if isinstance(held, Struct) else Struct()
        return _struct(known, grown, frozenset(), lower=lower)
    if isinstance(grown, Array):
        inner = held.element if isinstance(held, Array) else None
        return Array(_inside(inner, grown.element, lower=lower))
    if isinstance(grown, Map):
        inner = held.value if isinstance(held, Map) else None
        return Map(_inside(inner, grown.value, lower=lower))
    return grown


def _lines(held: Struct, grown: Struct, path: Path, column: str, reason: str) -> Iterator[Mapped]:
    for field in grown.fields:
        if not field.keys:
            continue
        known = held.same(field)
        below = f"{column}.{field.name}" if column else field.name
        own = (*path, field.keys[0])
        kind = str(field.type)
        if known is None or str(known.type) != kind:
            rules: tuple[Rule, ...] = ("renamed",) if field.key is not None else ()
            yield Mapped(own, below, kind, rules, reason, None, "")
        for alias in field.aliases:
            if known is None or alias not in known.aliases:
                why = f"differs from {field.keys[0]} in case only"
                yield Mapped((*path, alias), below, kind, ("alias",), why, None, "")
        yield from _lines_inside(known.type if known else None, field.type, own, below, reason)


def _lines_inside(
    held: Type | None, grown: Type, path: Path, column: str, reason: str
) -> Iterator[Mapped]:
    if isinstance(grown, Struct):
        yield from _lines(
            held if isinstance(held, Struct) else Struct(), grown, path, column, reason
        )
    elif isinstance(grown, Array):
        inner = held.element if isinstance(held, Array) else None
        yield from _lines_inside(inner, grown.element, (*path, None), f"{column}[]", reason)
    elif isinstance(grown, Map):
        inner = held.value if isinstance(held, Map) else None
        yield from _lines_inside(inner, grown.value, (*path, None), f"{column}{{}}", reason)
