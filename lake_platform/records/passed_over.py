"""Values that a hint drops: known to the fast decoder, taken out before the slow path looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import Node, along
from lake_platform.domain.mapping import Path, shown
from lake_platform.domain.schema import DROPPED, Array, Field, Map, Struct, Type


class PassedOver:
    """What the hints of a dataset drop. A column that is there is none of it. Counted by the path
    of the hint is what is not null."""

    def __init__(self, dataset: Dataset) -> None:
        self._hints, self._apart = dataset.hints, dataset.case_twins == "split"
        self.any = any(hint.drop for _, hint in dataset.hints.paths())

    def known(self, schema: Struct) -> Struct:
        """`schema` with the keys that are passed over in what it has."""
        found = along(schema, self._hints, _known) if self.any else schema
        return found if isinstance(found, Struct) else schema

    def without(self, value: Any, schema: Struct) -> tuple[Any, Counter[str]]:
        """A parsed record less what is passed over, which is counted."""
        counts: Counter[str] = Counter()
        if self.any:
            value = self._without(value, self._hints, schema, (), counts)
        return value, counts

    def count(self, values: Sequence[Any], schema: Struct) -> Counter[str]:
        """In what the fast decoder gave for `known`."""
        counts: Counter[str] = Counter()
        if self.any:
            _count(values, schema, (), counts)
        return counts

    def _without(
        self, value: Any, node: Node, kind: Type | None, at: Path, counts: Counter[str]
    ) -> Any:
        if not node.below or not isinstance(value, dict | list):
            return value
        if node.each is None:
            if isinstance(value, list):
                return value
            return self._object(value, node, kind, at, counts)
        inner = kind.element if isinstance(kind, Array) else getattr(kind, "value", None)
        below = (*at, None)
        if isinstance(value, list):
            return [self._without(item, node.each, inner, below, counts) for item in value]
        if isinstance(kind, Array):  # a single one of what others have several of
            return self._without(value, node.each, inner, below, counts)
        return {k: self._without(v, node.each, inner, below, counts) for k, v in value.items()}

    def _object(
        self, value: dict[str, Any], node: Node, kind: Type | None, at: Path, counts: Counter[str]
    ) -> dict[str, Any]:
        kept, known = {}, kind if isinstance(kind, Struct) else Struct()
        for key, item in value.items():
            own, field = self._owner(key, node), known.of_key(key)
            if own is None:
                kept[key] = item
                continue
            child, place = node.keys[own], (*at, own)
            if child.hint.drop and _is_free(key, own, known):
                counts[shown(place)] += item is not None
            else:
                inner = field.type if field else None
                kept[key] = self._without(item, child, inner, place, counts)
        return kept

    def _owner(self, key: str, node: Node) -> str | None:
        own = node.owner(key)
        return node.twin(key) if own is None and not self._apart else own


def _is_free(key: str, own: str, kind: Struct) -> bool:
    """Whether no column means this key."""
    field = kind.of_key(key) or (None if key == own else kind.twin_of(key))
    return field is None or field.type == DROPPED


def _known(struct: Struct, node: Node) -> Struct:
    dropped = (
        # Behind all columns, under a name that none has.
        Field(f"(dropped) {key}", DROPPED, key=key)
        for key, child in node.keys.items()
        if child.hint.drop and struct.of_key(key) is None
    )
    return Struct((*struct.fields, *dropped))


def _count(values: Sequence[Any], kind: Type, at: Path, counts: Counter[str]) -> None:
    if isinstance(kind, Array | Map):
        items = (v.values() if isinstance(v, dict) else v for v in values)
        inner = kind.element if isinstance(kind, Array) else kind.value
        held = [item for item in chain.from_iterable(items) if item is not None]
        _count(held, inner, (*at, None), counts)
    elif isinstance(kind, Struct):
        for number, field in enumerate(kind.fields):
            if not _drops(field.type):
                continue
            found = (getattr(v, f"f{number}") for v in values)
            place = (*at, field.keys[0])
            if field.type == DROPPED:
                counts[shown(place)] += sum(v is not None and bytes(v) != b"null" for v in found)
            else:
                _count([v for v in found if v is not None], field.type, place, counts)


def _drops(kind: Type) -> bool:
    if isinstance(kind, Struct):
        return any(_drops(f.type) for f in kind.fields)
    if isinstance(kind, Array | Map):
        return _drops(kind.element if isinstance(kind, Array) else kind.value)
    return kind == DROPPED
