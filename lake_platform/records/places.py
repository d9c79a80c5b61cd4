"""The paths of records with what each becomes: from this come the struct and the mapping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from lake_platform.domain.mapping import Mapped, Path, Rule
from lake_platform.domain.schema import (
    UNKNOWN,
    Array,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
    without_unknown,
)
from lake_platform.records.seen import Seen

TEXT, JSON = Scalar("string"), Scalar("json")


@dataclass(slots=True)
class Alias:
    """Another spelling of a key."""

    key: str
    share: float
    example: str


@dataclass(slots=True)
class Place:
    """One path. `parts` are the fields of a struct, or the one place of all elements or values.
    `kept`: the definition names a column here or below."""

    path: Path
    seen: Seen
    share: float
    depth: int
    kept: bool
    kind: Literal["scalar", "struct", "array", "map", "json", "pending"]
    scalar: Type = JSON
    parts: list[Place] = field(default_factory=list)
    name: str = ""
    aliases: list[Alias] = field(default_factory=list)
    rescue: bool = False
    said: list[tuple[Rule, str]] = field(default_factory=list)

    def say(self, rule: Rule, reason: str) -> Place:
        self.said.append((rule, reason))
        return self

    def become_json(self, reason: str) -> Place:
        self.kind, self.scalar, self.parts, self.rescue = "json", JSON, [], False
        self.said = [(rule, why) for rule, why in self.said if rule == "renamed"]
        return self.say("json", reason)


def type_of(place: Place) -> Type:
    if place.kind == "pending":
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
    return Struct(tuple(map(_field, place.parts)))


def _field(place: Place) -> Field:
    key = place.path[-1]
    aliases = tuple(alias.key for alias in place.aliases)
    return Field(
        place.name,
        type_of(place),
        key=None if key == place.name else key,
        aliases=aliases,
        rescue=place.rescue,
    )


def lines(place: Place, column: str) -> Iterator[Mapped]:
    """The mapping of a place and of all below."""
    pending = place.kind == "pending"
    kind = "" if pending else str(without_unknown(type_of(place)))
    column = "" if pending else column
    rules, reason = tuple(rule for rule, _ in place.said), "; ".join(why for _, why in place.said)
    keys = place.seen.distinct_keys() if place.kind == "map" else 0
    yield Mapped(place.path, column, kind, rules, reason, place.share, place.seen.example, keys)
    for alias in place.aliases:
        path = (*place.path[:-1], alias.key)
        reason = f"differs from {place.path[-1]} in case only"
        rule: Rule = "pending" if pending else "alias"
        yield Mapped(path, column, kind, (rule,), reason, alias.share, alias.example)
    step = {"array": "[]", "map": "{}"}.get(place.kind)
    for part in place.parts:
        yield from lines(part, f"{column}.{part.name}" if step is None else column + step)


def leaves(place: Place) -> int:
    """Leaf columns of a place."""
    if place.kind == "pending":
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
