"""From a profile of records to the first schema of a table, and how each path came into it.

Whatever was seen gets a column that holds it without loss, or is rescued where it is rare; nothing
here fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import NO_HINT, Hint
from lake_platform.domain.mapping import Mapped, Path, parse_path
from lake_platform.domain.names import assign, column_name, is_ours, never
from lake_platform.domain.schema import JSON, MAX_LEVELS, Scalar, Struct, without_unknown
from lake_platform.sight.as_held import as_held
from lake_platform.sight.hinted import (
    Spelled,
    fields_of_objects,
    first_spelling,
    grouped,
    held_by,
    shape_below,
)
from lake_platform.sight.numbers import number_type
from lake_platform.sight.places import (
    TEXT,
    Alias,
    At,
    Place,
    json_at,
    lines,
    narrow,
    pending_at,
    place_at,
    struct_of,
    without_pending_twins,
)
from lake_platform.sight.profile import Profile
from lake_platform.sight.said import counts, elements_and_singles
from lake_platform.sight.seen import MAX_KEYS, Group, Seen, only, union
from lake_platform.sight.spellings import spellings, why_map, why_renamed

_RARE = 0.01
_LOST = "not looked into: too many paths"
_TOO_NESTED = f"nested deeper than {MAX_LEVELS} groups of Parquet"
_NOTHING = Seen()
NOTHING = Struct()


@dataclass(frozen=True)
class Settled:
    """`seen` has also what is pending, as unknown. `unmet`: hints for what no record had."""

    struct: Struct
    seen: Struct
    mapped: tuple[Mapped, ...]
    unmet: tuple[Path, ...] = ()


def settle(profile: Profile, dataset: Dataset, held: Struct = NOTHING) -> Settled:
    """The source schema, version 1, and a line for each path seen, parents before children. What is
    an object with names in `held` stays one.

    What is below a map that is no struct, below `json`, or below another spelling of a key has no
    lines of its own.
    """
    named = [column for _, column in dataset.named_columns()]
    named += [dataset.explode] if dataset.explode else []
    paths = {tuple(c.lower().split(".")) for c in named} | {(c.lower(),) for c in named}
    paths |= set(fields_of_objects(held))
    settler = _Settler(dataset)
    seen_as = as_held(profile.root, held) if held.fields else profile.root
    root = settler.struct(seen_as, At(frozenset(paths), dataset.hints))
    narrow(root, dataset.max_columns)
    mapped = [line for part in root.parts for line in lines(part, part.name)]
    if profile.root.others is not None:
        mapped.append(_rest(profile.root.others))
    seen = struct_of(root)
    known = without_unknown(seen)
    given = (parse_path(text) for text in dataset.columns)
    unmet = tuple(path for path in given if path not in settler.met)
    return Settled(known if isinstance(known, Struct) else Struct(), seen, tuple(mapped), unmet)


def _rest(others: Seen) -> Mapped:
    reason = f"more than {MAX_KEYS} keys: the others have no column"
    return Mapped((None,), "", "", ("rescue",), reason, 0.0, others.example)


class _Settler:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.met: set[Path] = set()  # paths with hints

    def place(self, seen: Seen, at: At) -> Place:
        hint = at.hints.hint
        if hint == NO_HINT:
            return self._inferred(seen, at)
        self.met.add(at.path)
        place = self._hinted(seen, at, hint) or self._inferred(seen, at)
        place.hint = hint
        return place.say("hint", hint.says)

    def _hinted(self, seen: Seen, at: At, hint: Hint) -> Place | None:
        """What does not fit the type of a hint is rescued, wherever it is."""
        place = place_at(seen, at)
        if hint.drop:
            place.kind = "dropped"
        elif hint.type is not None:
            place.kind, place.scalar = "json" if hint.type == JSON else "scalar", hint.type
            place.rescue = hint.type != JSON
        elif hint.container:
            return self._container(seen, at, hint)
        else:
            return None
        return place

    def _container(self, seen: Seen, at: At, hint: Hint) -> Place:
        if at.level + 3 > MAX_LEVELS:
            return json_at(seen, at, _TOO_NESTED)
        inside = held_by(seen, hint)
        known = at.hints.elements.hint.type is not None
        lost = seen.lost and not known
        inner = json_at(inside, at.each(), _LOST) if lost else self.place(inside, at.each())
        if inner.kind == "pending":
            if not (seen.scalars or seen.arrays):
                return pending_at(seen, at, [inner])
            inner = json_at(inside, at.each(), "nothing that fits was seen")
        place = place_at(seen, at)
        place.kind = "map" if hint.container == "map" else "array"
        place.parts, place.rescue = [inner], True
        return place

    def _inferred(self, seen: Seen, at: At) -> Place:
        if not (seen.scalars or seen.objects or seen.arrays):
            return pending_at(seen, at)
        if not (seen.scalars or seen.arrays):
            return self._object(seen, at)
        if not (seen.scalars or seen.objects):
            return self._array(seen, seen.element, at)
        if seen.scalars == seen.values:
            return self._scalar(seen, at)
        return self._wrapped(seen, at) or self._mixed(seen, at)

    def _scalar(self, seen: Seen, at: At) -> Place:
        mixed = (seen.strings > 0) + (seen.booleans > 0) + (seen.numbers > 0) > 1
        if mixed and seen.strings and self._dataset.mixed_scalars == "string":
            return place_at(seen, at, TEXT).say("text", counts(seen))
        if mixed:
            return json_at(seen, at, counts(seen))
        if seen.numbers:
            kind = number_type(seen)
            if kind is None:
                return json_at(seen, at, "numbers that no type holds exactly")
            return place_at(seen, at, kind)
        return place_at(seen, at, TEXT if seen.strings else Scalar("boolean"))

    def _array(self, seen: Seen, element: Seen | None, at: At) -> Place:
        if element is None or seen.lost:
            return json_at(seen, at, _LOST)
        if why := self._too_deep(at):
            return json_at(seen, at, why)
        inner = self.place(element, at.each())
        if inner.kind == "pending":
            return pending_at(seen, at, [inner])
        place = place_at(seen, at)
        place.kind, place.parts = "array", [inner]
        return place

    def _wrapped(self, seen: Seen, at: At) -> Place | None:
        """An array of what comes single and in arrays; None when that is no one type."""
        joined = elements_and_singles(seen)
        if joined is None or not self._one_type(joined):
            return None
        place = self._array(seen, joined, at)
        if place.kind != "array":
            return place
        if self._dataset.single_or_array == "json":
            return json_at(seen, at, counts(seen))
        return place.say("wrap", counts(seen))

    def _one_type(self, seen: Seen) -> bool:
        """Whether all values are of one kind; what is inside of objects does not matter."""
        if seen.scalars == seen.values:
            return not seen.scalars or self._scalar(seen, At()).kind != "json"
        if not seen.scalars and not (seen.objects and seen.arrays):
            return True
        joined = elements_and_singles(seen)
        wrap = self._dataset.single_or_array == "wrap"
        return wrap and joined is not None and self._one_type(joined)

    def _mixed(self, seen: Seen, at: At) -> Place:
        """The most common kind where the others are rare, else json."""
        if (hinted := shape_below(seen, at.hints)) is not None:
            place = self._inferred(only(seen, hinted), at)
            if place.kind not in ("json", "pending"):
                place.rescue = True
                return place.say("rescue", f"hints look into the {hinted}s: {counts(seen)}")
        empty = seen.empty_objects + seen.empty_arrays
        fitting: dict[Group, int] = {
            "scalar": seen.scalars,
            "object": seen.objects + empty if seen.objects else 0,
            "array": seen.arrays + empty if seen.arrays else 0,
        }
        common = max(fitting, key=lambda group: fitting[group])
        rare = seen.values - fitting[common]
        if at.rescuable and rare < _RARE * seen.values:
            place = self._inferred(only(seen, common), at)
            if place.kind not in ("json", "pending"):
                place.rescue = True
                return place.say("rescue", f"{rare} of {seen.values} differ: {counts(seen)}")
        return json_at(seen, at, counts(seen))

    def _object(self, seen: Seen, at: At) -> Place:
        if why := self._too_deep(at):
            return json_at(seen, at, why)
        if at.named or at.hints.keys:
            return self.struct(seen, at)
        if seen.lost:
            return json_at(seen, at, _LOST)
        if at.hints.each is not None:
            return self._map(seen, at, "the definition says what its values are")
        if self._dataset.maps == "auto" and (why := why_map(seen)):
            return self._map(seen, at, why)
        if seen.others is not None:
            return json_at(seen, at, f"more than {MAX_KEYS} keys")
        return self.struct(seen, at)

    def _map(self, seen: Seen, at: At, why: str) -> Place:
        value = self.place(union(seen.every_child()), at.each())
        if value.kind == "pending":
            return pending_at(seen, at, [value])
        place = place_at(seen, at)
        place.kind, place.parts = "map", [value]
        return place.say("map", why)

    def struct(self, seen: Seen, at: At) -> Place:
        place = place_at(seen, at)
        place.kind = "struct"
        apart = self._dataset.case_twins == "split"
        for group in grouped(spellings(seen, self._dataset.case_twins), at.hints, apart):
            place.parts += self._fields(seen, group, at)
        place.parts = without_pending_twins(place.parts)
        self._name([p for p in place.parts if p.kind != "dropped"], at)
        lost = seen.others is not None or seen.lost
        if all(part.kind in ("pending", "dropped") for part in place.parts) and at.path:
            return json_at(seen, at, _LOST) if lost else pending_at(seen, at, place.parts)
        if lost:
            for part in place.parts:
                part.rescue = True
                part.say("rescue", "not all keys of this object were looked at")
        return place

    def _fields(self, seen: Seen, group: Spelled, at: At) -> list[Place]:
        """One place for all spellings of a key, or one for each where they are two things."""
        lesser: list[str] = []
        if self._dataset.case_twins == "rescue":
            group, lesser = first_spelling(seen, group)
        alike = [child for key, child in seen.children.items() if key in group.keys]
        merged = alike[0] if len(alike) == 1 else union(alike)
        if len(group.keys) > 1 and not group.told and not self._one_type(merged):
            apart = (Spelled(key, [key]) for key in group.keys)
            return [field for one in apart for field in self._fields(seen, one, at)]
        place = self.place(merged, at.child(group.own, _share(seen, merged)))
        if place.kind != "dropped":
            for other in group.others:
                child = seen.children.get(other, _NOTHING)
                share, told = at.share * _share(seen, child), other in place.hint.aliases
                place.aliases.append(Alias(other, share, child.example, told))
        if lesser and place.kind != "dropped":
            place.say("rescue", f"what {', '.join(lesser)} says goes to _rescued")
        return [place]

    def _name(self, parts: Sequence[Place], at: At) -> None:
        reserved, given = never if at.path else is_ours, at.hints.names
        free = [key for part in parts if (key := str(part.path[-1])) not in given]
        names = assign(free, given.values(), reserved, lower=self._dataset.names == "lower")
        for part in parts:
            key = str(part.path[-1])
            part.name = given.get(key) or names[key]
            told = part.kind == "pending" or part.hint.made
            if key in names and part.name != key and not told:
                part.say("renamed", why_renamed(key, part.name, reserved(column_name(key))))

    def _too_deep(self, at: At) -> str:
        """Why an array or object cannot be a column of its own here."""
        if at.level + 3 > MAX_LEVELS:
            return _TOO_NESTED
        if at.depth >= self._dataset.max_depth and not at.kept:
            return f"nested deeper than {self._dataset.max_depth}"
        return ""


def _share(parent: Seen, child: Seen) -> float:
    return min(1.0, child.count / max(1, parent.count))
