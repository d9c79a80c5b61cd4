"""The paths of records with what each becomes: from this come the struct and the mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lake_platform.domain.hints import NO_HINT, NONE, TOLD, Hint, Node
from lake_platform.domain.mapping import Mapped, Path, Rule
from lake_platform.domain.names import column_name
from lake_platform.domain.schema import (
    JSON,
    UNKNOWN,
    Array,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.sight.seen import Seen

TEXT = Scalar("string")


@dataclass(slots=True)
class Alias:
    """Another spelling of a key. `told`: the definition says so."""

    key: str
    share: float
    example: str
    told: bool = False


@dataclass(frozen=True)
class At:
    """Where a value is. `named`: what the definition names from here down; `hints`: what it says
    of here and below; `depth`: objects and arrays around the value; `level`: the same in Parquet's
    groups."""

    named: frozenset[tuple[str, ...]] = frozenset()
    hints: Node = NONE
    path: Path = ()
    share: float = 1.0
    depth: int = 0
    level: int = 0
    rescuable: bool = True

    @property
    def kept(self) -> bool:
        return bool(self.named or self.hints)

    def child(self, key: str, share: float) -> At:
        hints = self.hints.keys.get(key, NONE)
        names = (key.lower(), column_name(key).lower(), hints.hint.name.lower())
        named = frozenset(n[1:] for n in self.named if n and n[0] in names)
        inside, share = (*self.path, key), self.share * share
        return At(named, hints, inside, share, self.depth + 1, self.level + 1, self.rescuable)

    def each(self) -> At:
        """An element or a value of a map: nothing is rescued there or below, but by hints."""
        return replace(self, path=(*self.path, None), hints=self.hints.elements,
                       depth=self.depth + 1, level=self.level + 2, rescuable=False)  # fmt: skip


@dataclass(slots=True)
class Place:
    """One path. `parts` are the fields of a struct, or the one place of all elements or values.
    `kept`: the definition names a column here or below."""

    path: Path
    seen: Seen
    share: float
    depth: int
    kept: bool
    kind: Literal["scalar", "struct", "array", "map", "json", "pending", "dropped"]
    scalar: Type = JSON
    parts: list[Place] = field(default_factory=list)
    name: str = ""
    aliases: list[Alias] = field(default_factory=list)
    rescue: bool = False
    said: list[tuple[Rule, str]] = field(default_factory=list)
    hint: Hint = NO_HINT

    def say(self, rule: Rule, reason: str) -> Place:
        self.said.append((rule, reason))
        return self

    def become_json(self, reason: str) -> Place:
        self.kind, self.scalar, self.parts, self.rescue = "json", JSON, [], False
        self.said = [(rule, why) for rule, why in self.said if rule == "renamed"]
        return self.say("json", reason)


def place_at(seen: Seen, at: At, scalar: Type = JSON) -> Place:
    return Place(at.path, seen, at.share, at.depth, at.kept, "scalar", scalar)


def json_at(seen: Seen, at: At, reason: str) -> Place:
    return place_at(seen, at).become_json(reason)


def pending_at(seen: Seen, at: At, parts: Sequence[Place] = ()) -> Place:
    place = place_at(seen, at)
    place.kind, place.parts = "pending", list(parts)
    return place.say("pending", "no value so far")


def type_of(place: Place) -> Type:
    if place.kind in ("pending", "dropped"):
        return UNKNOWN
    if place.kind == "struct":
        return struct_of(place)
    if place.kind == "array":
        return Array(type_of(place.parts[0]))
    if place.kind == "map":
        return Map(type_of(place.parts[0]))
    return place.scalar


def struct_of(place: Place) -> Struct:
    """With what is pending, as unknown."""
    return Struct(tuple(_field(part) for part in place.parts if part.kind != "dropped"))


def _field(place: Place) -> Field:
    key = place.path[-1]
    aliases = tuple(alias.key for alias in place.aliases)
    return Field(
        place.name,
        type_of(place),
        key=None if key == place.name else key,
        aliases=aliases,
        rescue=_rescues(place),
    )


def _rescues(place: Place) -> bool:
    """A field says it for its elements too."""
    inside = place.kind in ("array", "map") and _rescues(place.parts[0])
    return place.rescue or inside


def lines(place: Place, column: str) -> Iterator[Mapped]:
    """The mapping of a place and of all below."""
    pending = place.kind in ("pending", "dropped")
    kind = "" if pending else str(without_unknown(type_of(place)))
    column = "" if pending else column
    rules, reason = tuple(rule for rule, _ in place.said), "; ".join(why for _, why in place.said)
    keys = place.seen.distinct_keys() if place.kind == "map" else 0
    yield Mapped(place.path, column, kind, rules, reason, place.share, place.seen.example, keys)
    for alias in place.aliases:
        path = (*place.path[:-1], alias.key)
        reason = TOLD if alias.told else f"differs from {place.path[-1]} in case only"
        rule: Rule = "pending" if pending else "alias"
        both: tuple[Rule, ...] = (rule, "hint") if alias.told else (rule,)
        yield Mapped(path, column, kind, both, reason, alias.share, alias.example)
    step = {"array": "[]", "map": "{}"}.get(place.kind)
    for part in place.parts:
        yield from lines(part, f"{column}.{part.name}" if step is None else column + step)


def leaves(place: Place) -> int:
    """Leaf columns of a place."""
    if place.kind in ("pending", "dropped"):
        return 0
    return sum(map(leaves, place.parts)) if place.parts else 1


def narrow(root: Place, most: int) -> None:
    """Makes objects `json`, the deepest first and of those the rarest, until there are no more than
    `most` leaf columns. Columns of the record itself stay, however many they are."""
    many = leaves(root)
    objects = [p for p in _below(root) if p.kind == "struct" and not p.kept]
    for place in sorted(objects, key=lambda p: (-p.depth, p.share, str(p.path))):
        if many <= most:
            return
        fewer = leaves(place) - 1
        if fewer > 0:
            many -= fewer
            place.become_json(f"more than {most} columns")


def _below(place: Place) -> Iterator[Place]:
    for part in place.parts:
        yield part
        yield from _below(part)


def without_pending_twins(parts: Sequence[Place]) -> list[Place]:
    """A key with no value yet that differs from a column's in case only means that column, like any
    spelling that comes later; what of it does not fit there is rescued."""
    settled = {str(p.path[-1]).casefold(): p for p in parts if p.kind != "pending"}
    kept = []
    for part in parts:
        key = str(part.path[-1])
        twin = settled.get(key.casefold()) if part.kind == "pending" else None
        if twin is None:
            kept.append(part)
        else:
            twin.aliases.append(Alias(key, part.share, part.seen.example))
            for place in (twin, *_below(twin)):  # each of them says it for itself
                place.rescue = True
                place.say("rescue", f"what {key} says may not fit")
    return kept
