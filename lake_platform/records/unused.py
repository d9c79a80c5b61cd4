"""Values that no step looks at: they need not fit, but are left out where they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from lake_platform.domain.decisions import Names
from lake_platform.domain.diff import diff
from lake_platform.domain.mapping import Path, shown
from lake_platform.domain.schema import Array, Field, Struct, Type
from lake_platform.records.observe import observe


class Unused:
    """`places`: columns of the records and fields in them, as paths of names."""

    def __init__(self, places: Collection[Names]) -> None:
        self._places = frozenset(places)
        # Where one of them may be below.
        self._above = {place[:n] for place in places for n in range(1, len(place))}

    def without(self, value: dict[str, Any], schema: Struct) -> tuple[dict[str, Any], Counter[str]]:
        """A parsed record less what does not fit, which is counted by its path in records."""
        counts: Counter[str] = Counter()
        if not self._places:
            return value, counts
        return self._object(value, schema, (), (), counts), counts

    def _object(
        self, value: dict[str, Any], kind: Struct, at: Names, path: Path,
        counts: Counter[str],
    ) -> dict[str, Any]:  # fmt: skip
        kept = {}
        for key, item in value.items():
            field = kind.of_key(key) or kind.twin_of(key)
            place, here = (*at, field.name if field else key), (*path, key)
            if field is None or (place not in self._places and place not in self._above):
                kept[key] = item
            elif place in self._above:
                kept[key] = self._below(item, field.type, place, here, counts)
            elif _fits(item, field):
                kept[key] = item
            else:
                counts[shown(here)] += 1
        return kept

    def _below(self, item: Any, kind: Type, at: Names, path: Path, counts: Counter[str]) -> Any:
        if isinstance(kind, Array):
            within = (*path, None)
            if isinstance(item, list):
                return [self._below(one, kind.element, at, within, counts) for one in item]
            return self._below(item, kind.element, at, within, counts)
        if isinstance(kind, Struct) and isinstance(item, dict):
            return self._object(item, kind, at, path, counts)
        return item


def _fits(item: Any, field: Field) -> bool:
    seen = observe(item, field.type)
    if seen == field.type:
        return True
    changes = diff(Struct((field,)), Struct((replace(field, type=seen),)), partial=True)
    return all(c.verdict != "breaking" for c in changes)
