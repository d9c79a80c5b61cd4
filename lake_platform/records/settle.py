"""From a profile of records to the first schema of a table, and how each path came into it.

Whatever was seen gets a column that holds it without loss, or is rescued where it is rare; nothing
here fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Mapped, Path
from lake_platform.domain.names import assign, column_name, is_ours, never
from lake_platform.domain.schema import MAX_LEVELS, Scalar, Struct, Type, without_unknown
from lake_platform.records.keys import spellings, why_map, why_renamed
from lake_platform.records.numbers import number_type
from lake_platform.records.places import JSON, TEXT, Alias, Place, lines, narrow, struct_of
from lake_platform.records.profile import Profile
from lake_platform.records.seen import MAX_KEYS, Group, Kind, Seen, only, union

_RARE = 0.01
_LOST = "not looked into: too many paths"


@dataclass(frozen=True)
class Settled:
    """`seen` has also what is pending, as unknown."""

    struct: Struct
    seen: Struct
    mapped: tuple[Mapped, ...]


def settle(profile: Profile, dataset: Dataset) -> Settled:
    """The source schema, version 1, and a line for each path seen, parents before children.

    What is below a map that is no struct, below `json`, or below another spelling of a key has no
    lines of its own.
    """
    named = [column for _, column in dataset.named_columns()]
    named += [dataset.explode] if dataset.explode else []
    paths = {tuple(c.lower().split(".")) for c in named} | {(c.lower(),) for c in named}
    root = _Settler(dataset).struct(profile.root, _At(named=frozenset(paths)))
    narrow(root, dataset.max_columns)
    mapped = [line for part in root.parts for line in lines(part, part.name)]
    if profile.root.others is not None:
        mapped.append(_rest(profile.root.others))
    seen = struct_of(root)
    known = without_unknown(seen)
    return Settled(known if isinstance(known, Struct) else Struct(), seen, tuple(mapped))


def _rest(others: Seen) -> Mapped:
    reason = f"more than {MAX_KEYS} keys: the others have no column"
    return Mapped((None,), "", "", ("rescue",), reason, 0.0, others.example)


@dataclass(frozen=True)
class _At:
    """Where a value is. `named`: what the definition names from here down; `depth`: objects and
    arrays around the value; `level`: the same in Parquet's groups."""

    named: frozenset[tuple[str, ...]]
    path: Path = ()
    share: float = 1.0
    depth: int = 0
    level: int = 0
    rescuable: bool = True

    def child(self, key: str, share: float) -> _At:
        names = (key.lower(), column_name(key).lower())
        named = frozenset(n[1:] for n in self.named if n and n[0] in names)
        inside = (*self.path, key)
        return _At(
            named, inside, self.share * share, self.depth + 1, self.level + 1, self.rescuable
        )

    def each(self) -> _At:
        """An element or a value of a map: nothing is rescued there or below."""
        path = (*self.path, None)
        return replace(self, path=path, depth=self.depth + 1, level=self.level + 2, rescuable=False)


class _Settler:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def place(self, seen: Seen, at: _At) -> Place:
        if not (seen.scalars or seen.objects or seen.arrays):
            return _pending(seen, at)
        if not (seen.scalars or seen.arrays):
            return self._object(seen, at)
        if not (seen.scalars or seen.objects):
            return self._array(seen, seen.element, at)
        if seen.scalars == seen.values:
            return self._scalar(seen, at)
        return self._wrapped(seen, at) or self._mixed(seen, at)

    def _scalar(self, seen: Seen, at: _At) -> Place:
        mixed = (seen.strings > 0) + (seen.booleans > 0) + (seen.numbers > 0) > 1
        if mixed and seen.strings and self._dataset.mixed_scalars == "string":
            return _place(seen, at, TEXT).say("text", _counts(seen))
        if mixed:
            return _json(seen, at, _counts(seen))
        if seen.numbers:
            kind = number_type(seen)
            if kind is None:
                return _json(seen, at, "numbers that no type holds exactly")
            return _place(seen, at, kind)
        return _place(seen, at, TEXT if seen.strings else Scalar("boolean"))

    def _array(self, seen: Seen, element: Seen | None, at: _At) -> Place:
        if element is None or seen.lost:
            return _json(seen, at, _LOST)
        if why := self._too_deep(at):
            return _json(seen, at, why)
        inner = self.place(element, at.each())
        if inner.kind == "pending":
            return _pending(seen, at, [inner])
        place = _place(seen, at)
        place.kind, place.parts = "array", [inner]
        return place

    def _wrapped(self, seen: Seen, at: _At) -> Place | None:
        """An array of what comes single and in arrays; None when that is no one type."""
        joined = _elements_and_singles(seen)
        if joined is None or not self._one_type(joined):
            return None
        place = self._array(seen, joined, at)
        if place.kind != "array":
            return place
        if self._dataset.single_or_array == "json":
            return _json(seen, at, _counts(seen))
        return place.say("wrap", _counts(seen))

    def _one_type(self, seen: Seen) -> bool:
        """Whether all values are of one kind; what is inside of objects does not matter."""
        if seen.scalars == seen.values:
            return not seen.scalars or self._scalar(seen, _At(frozenset())).kind != "json"
        if not seen.scalars and not (seen.objects and seen.arrays):
            return True
        joined = _elements_and_singles(seen)
        wrap = self._dataset.single_or_array == "wrap"
        return wrap and joined is not None and self._one_type(joined)

    def _mixed(self, seen: Seen, at: _At) -> Place:
        """The most common kind where the others are rare, else json."""
        empty = seen.empty_objects + seen.empty_arrays
        fitting: dict[Group, int] = {
            "scalar": seen.scalars,
            "object": seen.objects + empty if seen.objects else 0,
            "array": seen.arrays + empty if seen.arrays else 0,
        }
        common = max(fitting, key=lambda group: fitting[group])
        rare = seen.values - fitting[common]
        if at.rescuable and rare < _RARE * seen.values:
            place = self.place(only(seen, common), at)
            if place.kind not in ("json", "pending"):
                place.rescue = True
                return place.say("rescue", f"{rare} of {seen.values} differ: {_counts(seen)}")
        return _json(seen, at, _counts(seen))

    def _object(self, seen: Seen, at: _At) -> Place:
        if why := self._too_deep(at):
            return _json(seen, at, why)
        if at.named:
            return self.struct(seen, at)
        if seen.lost:
            return _json(seen, at, _LOST)
        if self._dataset.maps == "auto" and (why := why_map(seen)):
            return self._map(seen, at, why)
        if seen.others is not None:
            return _json(seen, at, f"more than {MAX_KEYS} keys")
        return self.struct(seen, at)

    def _map(self, seen: Seen, at: _At, why: str) -> Place:
        value = self.place(union(seen.every_child()), at.each())
        if value.kind == "pending":
            return _pending(seen, at, [value])
        place = _place(seen, at)
        place.kind, place.parts = "map", [value]
        return place.say("map", why)

    def struct(self, seen: Seen, at: _At) -> Place:
        place = _place(seen, at)
        place.kind = "struct"
        for keys in spellings(seen, apart=self._dataset.case_twins == "split"):
            place.parts += self._fields(seen, keys, at)
        place.parts = _without_pending_twins(place.parts)
        self._name(place.parts, is_root=not at.path)
        lost = seen.others is not None or seen.lost
        if all(part.kind == "pending" for part in place.parts) and at.path:
            return _json(seen, at, _LOST) if lost else _pending(seen, at, place.parts)
        if lost:
            for part in place.parts:
                part.rescue = True
                part.say("rescue", "not all keys of this object were looked at")
        return place

    def _fields(self, seen: Seen, keys: Sequence[str], at: _At) -> list[Place]:
        """One place for all spellings of a key, or one for each where they are two things."""
        key, *others = keys
        merged = seen.children[key]
        if others:
            merged = union(child for k, child in seen.children.items() if k in keys)
        if others and not self._one_type(merged):
            return [field for key in keys for field in self._fields(seen, [key], at)]
        place = self.place(merged, at.child(key, _share(seen, merged)))
        for other in others:
            child = seen.children[other]
            share = at.share * _share(seen, child)
            place.aliases.append(Alias(other, share, child.example))
        return [place]

    def _name(self, parts: Sequence[Place], is_root: bool) -> None:
        reserved = is_ours if is_root else never
        keys = [str(part.path[-1]) for part in parts]
        names = assign(keys, reserved=reserved, lower=self._dataset.names == "lower")
        for part, key in zip(parts, keys, strict=True):
            part.name = names[key]
            if part.name != key and part.kind != "pending":
                part.say("renamed", why_renamed(key, part.name, reserved(column_name(key))))

    def _too_deep(self, at: _At) -> str:
        """Why an array or object cannot be a column of its own here."""
        if at.level + 3 > MAX_LEVELS:
            return f"nested deeper than {MAX_LEVELS} groups of Parquet"
        if at.depth >= self._dataset.max_depth and not at.named:
            return f"nested deeper than {self._dataset.max_depth}"
        return ""


def _without_pending_twins(parts: Sequence[Place]) -> list[Place]:
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
            twin.rescue = True
            twin.say("rescue", f"what {key} says may not fit")
    return kept


def _place(seen: Seen, at: _At, scalar: Type = JSON) -> Place:
    return Place(at.path, seen, at.share, at.depth, bool(at.named), "scalar", scalar)


def _json(seen: Seen, at: _At, reason: str) -> Place:
    return _place(seen, at).become_json(reason)


def _pending(seen: Seen, at: _At, parts: Sequence[Place] = ()) -> Place:
    place = _place(seen, at)
    place.kind, place.parts = "pending", list(parts)
    return place.say("pending", "no value so far")


def _elements_and_singles(seen: Seen) -> Seen | None:
    """What was seen in arrays and beside them; None where there is no array."""
    if not (seen.arrays or seen.empty_arrays):
        return None
    single = only(seen, "scalar", "object")
    if seen.arrays:
        single.empty_objects = 0  # is an empty array
    return union([seen.element, single] if seen.element else [single])


def _share(parent: Seen, child: Seen) -> float:
    return min(1.0, child.count / max(1, parent.count))


def _counts(seen: Seen) -> str:
    """`60 objects, 2 texts (first 0:17)`, the most frequent first."""
    counts: dict[Kind, int] = {
        "text": seen.strings,
        "number": seen.numbers,
        "boolean": seen.booleans,
        "object": seen.objects + seen.empty_objects,
        "array": seen.arrays + seen.empty_arrays,
    }
    common, *rarer = sorted((k for k in counts if counts[k]), key=lambda k: -counts[k])
    texts = [_plural(counts[common], common)]
    for kind in rarer:
        _, where = seen.examples.get(kind, ("", ""))
        texts.append(_plural(counts[kind], kind) + (f" (first {where})" if where else ""))
    return ", ".join(texts)


def _plural(count: int, kind: str) -> str:
    return f"{count} {kind}{'s' * (count > 1)}"
