"""Names for columns that come new to a table: those that are there keep theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lake_platform.domain.hints import NO_HINT, NONE, TOLD, Node
from lake_platform.domain.mapping import Mapped, Path, Rule
from lake_platform.domain.names import assign, is_ours, never
from lake_platform.domain.schema import Array, Field, Map, Struct, Type


def named(
    held: Struct, grown: Struct, taken: Iterable[str], hints: Node = NONE, *, lower: bool
) -> Struct:
    """`grown` is `held` with new fields at any depth, which are named as their keys so far. `taken`
    are names of root columns that are no longer in `held`."""
    return _struct(held, grown, frozenset(taken), hints, lower=lower, root=True)


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


def lines(held: Struct, grown: Struct, reason: str, hints: Node = NONE) -> Iterator[Mapped]:
    """The mapping of what `grown` has beyond `held`, both named."""
    yield from _lines(held, grown, (), "", reason, hints)


def _struct(
    held: Struct,
    grown: Struct,
    taken: frozenset[str],
    hints: Node,
    *,
    lower: bool,
    root: bool = False,
) -> Struct:
    new = [f.keys[0] for f in grown.fields if f.keys and held.same(f) is None]
    used = taken | {f.name for f in held.fields}
    lowered = {name.lower() for name in used}
    # A column of an operator may have the name by now.
    given = {key: name for key, name in hints.names.items() if name.lower() not in lowered}
    free = [key for key in new if key not in given]
    names = assign(free, {*used, *given.values()}, is_ours if root else never, lower=lower) | given
    fields = (_field(held.same(f), f, names, hints.of(f.keys), lower=lower) for f in grown.fields)
    return Struct(tuple(fields))


def _field(
    known: Field | None, field: Field, names: dict[str, str], hints: Node, *, lower: bool
) -> Field:
    kind = _inside(known.type if known else None, field.type, hints, lower=lower)
    if known is not None or not field.keys:
        return replace(field, type=kind)
    key = field.keys[0]
    name = names[key]
    return replace(field, name=name, key=None if key == name else key, type=kind)


def _inside(held: Type | None, grown: Type, hints: Node, *, lower: bool) -> Type:
    if isinstance(grown, Struct):
        known = held if isinstance(held, Struct) else Struct()
        return _struct(known, grown, frozenset(), hints, lower=lower)
    if isinstance(grown, Array):
        inner = held.element if isinstance(held, Array) else None
        return Array(_inside(inner, grown.element, hints.elements, lower=lower))
    if isinstance(grown, Map):
        inner = held.value if isinstance(held, Map) else None
        return Map(_inside(inner, grown.value, hints.elements, lower=lower))
    return grown


def _lines(
    held: Struct, grown: Struct, path: Path, column: str, reason: str, hints: Node
) -> Iterator[Mapped]:
    for field in grown.fields:
        if not field.keys:
            continue
        known = held.same(field)
        below = f"{column}.{field.name}" if column else field.name
        own = (*path, field.keys[0])
        kind, node = str(field.type), hints.of(field.keys)
        if known is None or str(known.type) != kind:
            rules: tuple[Rule, ...] = ("renamed",) if field.key is not None else ()
            why = reason
            if known is None and node.hint != NO_HINT:
                rules = ("hint",) if node.hint.name or not rules else ("renamed", "hint")
                why = f"{reason}; {node.hint.says}"
            yield Mapped(own, below, kind, rules, why, None, "")
        for alias in field.aliases:
            if known is None or alias not in known.aliases:
                told = alias in node.hint.aliases
                rules = ("alias", "hint") if told else ("alias",)
                why = TOLD if told else f"differs from {field.keys[0]} in case only"
                yield Mapped((*path, alias), below, kind, rules, why, None, "")
        held_type = known.type if known else None
        yield from _lines_inside(held_type, field.type, own, below, reason, node)


def _lines_inside(
    held: Type | None, grown: Type, path: Path, column: str, reason: str, hints: Node
) -> Iterator[Mapped]:
    if isinstance(grown, Struct):
        known = held if isinstance(held, Struct) else Struct()
        yield from _lines(known, grown, path, column, reason, hints)
    elif isinstance(grown, Array):
        inner = held.element if isinstance(held, Array) else None
        below = f"{column}[]"
        yield from _lines_inside(inner, grown.element, (*path, None), below, reason, hints.elements)
    elif isinstance(grown, Map):
        inner = held.value if isinstance(held, Map) else None
        below = f"{column}{{}}"
        yield from _lines_inside(inner, grown.value, (*path, None), below, reason, hints.elements)
