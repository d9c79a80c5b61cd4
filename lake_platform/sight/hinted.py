"""What hints of a definition do to keys and values that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lake_platform.domain.hints import NO_HINT, Hint, Node
from lake_platform.domain.schema import Array, Map, Struct
from lake_platform.sight.seen import Group, Seen, has_value, only, union


@dataclass(frozen=True, slots=True)
class Spelled:
    """Keys that are to be one column. `own` is its key, whether it was seen or not; `keys` were
    seen."""

    own: str
    keys: Sequence[str]
    hint: Hint = NO_HINT

    @property
    def told(self) -> bool:
        """Whether the definition says that they are one, or what they are."""
        hint = self.hint
        return bool(hint.aliases or hint.type or hint.container or hint.drop)

    @property
    def listed(self) -> tuple[str, ...]:
        """Keys that the definition says mean the column."""
        return (self.own, *self.hint.aliases) if self.told else ()

    @property
    def others(self) -> list[str]:
        """All keys but the own, those of the hint first."""
        return [k for k in dict.fromkeys((*self.hint.aliases, *self.keys)) if k != self.own]


def grouped(alike: Iterable[Sequence[str]], node: Node, apart: bool) -> list[Spelled]:
    """Groups of keys that differ in case only, with what hints say of them: a key that has a hint
    stands for its group too, unless several in the group have one. `apart`: one that differs in
    case only from a key with a hint is not meant."""
    groups = list(alike)
    if not node.keys:
        return [Spelled(group[0], group) for group in groups]
    seen = {key for group in groups for key in group}
    found: dict[str, list[str]] = {}
    for group in groups:
        owned = {key: own for key in group if (own := node.owner(key)) is not None}
        owners = list(dict.fromkeys(owned.values()))
        twin = None if apart or owners else node.twin(group[0])
        if twin is not None and twin not in seen:
            owners = [twin]
        for key in group:
            own = owned.get(key, owners[0]) if owners else group[0]
            if len(owners) > 1 and key not in owned:
                near = node.twin(key)
                own = own if near is None else near
            found.setdefault(own, []).append(key)
    return [_spelled(own, keys, node) for own, keys in found.items()]


def _spelled(own: str, keys: Sequence[str], node: Node) -> Spelled:
    hint = node.keys[own].hint if own in node.keys else NO_HINT
    rank = {key: n for n, key in enumerate((own, *hint.aliases))}
    return Spelled(own, sorted(keys, key=lambda key: rank.get(key, len(rank))), hint)


def first_spelling(seen: Seen, group: Spelled) -> tuple[Spelled, list[str]]:
    """The group less all keys but the first with a value and those that the definition lists; and
    the keys that are left out."""
    own = group.own
    if not group.told:
        own = next((k for k in group.keys if has_value(seen.children[k])), own)
    kept = [k for k in group.keys if k == own or k in group.listed]
    return Spelled(own, kept, group.hint), [k for k in group.keys if k not in kept]


def held_by(seen: Seen, hint: Hint) -> Seen:
    """All that was seen in maps, or in arrays and beside them."""
    if hint.container == "map":
        return union(seen.every_child())
    single = only(seen, "scalar", "object")
    single.empty_objects = 0  # is an empty array
    return union([seen.element, single] if seen.element else [single])


def shape_below(seen: Seen, node: Node) -> Group | None:
    """What values must be for the hints below them to mean something; None where no value is."""
    if node.keys:
        return "object" if seen.objects else None
    if node.each is None or not (seen.arrays or seen.objects):
        return None
    return "array" if seen.arrays else "object"


def fields_of_objects(held: Struct, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Fields of objects, by their keys. Not of those in maps: to name them would make an object of
    the map."""
    for field in held.fields:
        kind = field.type
        while isinstance(kind, Array):
            kind = kind.element
        if field.keys and not isinstance(kind, Map):
            yield (own := (*at, field.keys[0].lower()))
            if isinstance(kind, Struct):
                yield from fields_of_objects(kind, own)
