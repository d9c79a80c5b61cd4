"""The columns a table has, with what other hints make of some of them: the first schema of a table
that is built anew. All other columns keep name and type."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import RECORD_KEY, parsed_key
from lake_platform.domain.mapping import Mapped, Path, parse_path
from lake_platform.domain.schema import Array, Field, Map, Struct, Type
from lake_platform.errors import InvalidFieldError
from lake_platform.evolution.first import values_of
from lake_platform.raw import log as raw_log
from lake_platform.records.opened import Opener
from lake_platform.sight.infer import MOST_RECORDS, settled
from lake_platform.sight.profile import Profile

Hints = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Reshaped:
    """`mapped`: how the paths that were looked at anew come to their columns."""

    source: Struct
    mapped: tuple[Mapped, ...] = ()


def reshaped(
    before: Dataset, after: Dataset, held: Struct, exported: Hints, ports: Ports
) -> Reshaped:
    """`held`, the columns of the records so far, with those about which the hints of `after` say
    something else than those of `before`. What these become is looked up in up to 20,000 records of
    raw that have them. `exported`: hints that give `held` again, so that names stay.

    Raises: InvalidFieldError for two columns of one name.
    """
    # `_rescued` comes with the first value that still has to be; a closed record stays so.
    held = Struct(tuple(f for f in held.fields if f.keys or f.closed))
    changed = _changed(before, after)
    if not changed:
        return Reshaped(held)
    asked = replace(after, columns=_together(exported, after.columns, changed))
    values = islice(_values(after, changed, ports), MOST_RECORDS)
    sight = settled(values, asked, Profile()).sight
    if sight is None:
        return Reshaped(held)
    source = _Merge(changed, after).struct(held, sight.source, ())
    _check_names(source, "")
    told = tuple(m for m in sight.mapped if _inside(m.path, changed))
    return Reshaped(source, told)


def _changed(before: Dataset, after: Dataset) -> frozenset[Path]:
    old, new = before.columns, after.columns
    found: set[Path] = set() if before.keep_raw == after.keep_raw else {(RECORD_KEY,)}
    for text in {t for t in (*old, *new) if old.get(t) != new.get(t)}:
        path = parse_path(text)
        hints = (old.get(text, {}), new.get(text, {}))
        # The other keys that mean this column had one of their own, or get it.
        found |= {path, *((*path[:-1], a) for h in hints for a in h.get("aliases", ()))}
        if any("parse" in hint for hint in hints):
            found.add((*path[:-1], parsed_key(str(path[-1]))))
    return frozenset(found)


def _together(
    exported: Hints, wanted: Hints, changed: Collection[Path]
) -> dict[str, dict[str, Any]]:
    """What `wanted` says counts; where it gives no name, the column keeps the one it has."""
    kept = {t: h for t, h in exported.items() if t in wanted or not _inside(parse_path(t), changed)}
    named = {
        text: {"name": kept[text]["name"], **hint}
        if "name" in kept.get(text, {}) and "drop" not in hint
        else dict(hint)
        for text, hint in wanted.items()
    }
    return {**{t: dict(h) for t, h in kept.items()}, **named}


def _values(dataset: Dataset, changed: Collection[Path], ports: Ports) -> Iterator[bytes]:
    """Those that have one of the keys, as they are usually written."""
    keys = {next((k for k in reversed(path) if k is not None), "") for path in changed}
    written = {json.dumps(key, ensure_ascii=plain) for key in keys for plain in (True, False)}
    marks = [text.encode() for text in written]
    log = raw_log.of_table(ports.store, dataset)
    return (
        value for value in values_of(Opener(dataset), ports, log) if any(m in value for m in marks)
    )


def _inside(path: Path, changed: Iterable[Path]) -> bool:
    """Whether it is one of them, or below one."""
    return any(path[: len(above)] == above for above in changed)


@dataclass(frozen=True, slots=True)
class _Merge:
    """Of the columns that are held and those of a new look: which counts where."""

    changed: frozenset[Path]
    dataset: Dataset

    def struct(self, held: Struct, seen: Struct, at: Path) -> Struct:
        kept = [self._field(f, held, seen, at) for f in held.fields]
        new = [f for f in seen.fields if held.same(f) is None and self._asked(f, at)]
        fields = [f for f in (*kept, *new) if f is not None]
        # `_rescued` is the last.
        return Struct(tuple(sorted(fields, key=lambda f: not f.keys)))

    def _asked(self, field: Field, at: Path) -> bool:
        return not field.keys or any(self._of((*at, k)) for k in field.keys)

    def _of(self, path: Path) -> bool:
        """Whether something is said of the path, or of what is below it."""
        return any(path == c[: len(path)] for c in self.changed)

    def _field(self, field: Field, held: Struct, seen: Struct, at: Path) -> Field | None:
        own = [(*at, k) for k in field.keys]
        if not any(self._of(path) for path in own):
            return field
        now = seen.same(field)
        if now is not None and held.same(now) not in (None, field):
            return None  # its key means another column now
        if any(path in self.changed for path in own):
            return now if now is not None or self._dropped(own) else field
        if now is None:
            return field
        return replace(field, type=self._type(field.type, now.type, own[0]))

    def _dropped(self, own: Collection[Path]) -> bool:
        return any(hint.drop and path in own for path, hint in self.dataset.hints.paths())

    def _type(self, held: Type, seen: Type, at: Path) -> Type:
        each = (*at, None)
        if each in self.changed:
            return seen
        if isinstance(held, Struct) and isinstance(seen, Struct):
            return self.struct(held, seen, at)
        if isinstance(held, Array) and isinstance(seen, Array):
            return Array(self._type(held.element, seen.element, each))
        if isinstance(held, Map) and isinstance(seen, Map):
            return Map(self._type(held.value, seen.value, each))
        return seen


def _check_names(struct: Struct, at: str) -> None:
    for name, count in Counter(f.name.lower() for f in struct.fields).items():
        if count > 1:
            raise InvalidFieldError(
                "columns", f"{at}{name}", "would be two columns (case does not count)",
                "give one of them another name, by a hint",
            )  # fmt: skip
    for field in struct.fields:
        kind = field.type
        while isinstance(kind, Array | Map):
            kind = kind.element if isinstance(kind, Array) else kind.value
        if isinstance(kind, Struct):
            _check_names(kind, f"{at}{field.name}.")
