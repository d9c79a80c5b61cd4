"""The columns of a table as an audit reads them: which keys of a record mean a column, and what its
value is then. Worked out from the table's Arrow types and the recorded mapping alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from lake_platform.audit.scalars import Number, Read, UnfitError, scalar, since_1970
from lake_platform.domain.data_keys import looks_like_data
from lake_platform.domain.hints import Node
from lake_platform.domain.schema import JSON, RESCUED, Array, Field, Map, Scalar, Struct, Type

Rescued = dict[str, Any]
"""Values that fit no column, by JSON pointer."""
OfRecord = Callable[[Any, str, Rescued], Any]
"""Reads a value of a record that is not null, which stands at a pointer."""
_EMPTY: tuple[Any, ...] = ([], {})


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    keys: tuple[str, ...]
    read: OfRecord

    def value_of(self, record: Mapping[str, Any], at: str, rescued: Rescued) -> Any:
        """Of the first spelling with a value; others that say something else are rescued.

        Raises: UnfitError."""
        held = [key for key in self.keys if record.get(key) is not None]
        held.sort(key=lambda key: record[key] in _EMPTY)
        if not held:
            return None
        value = record[held[0]]
        for other in held[1:]:
            if canonical(record[other]) != canonical(value):
                rescued[f"{at}/{escaped(other)}"] = record[other]
        return self.read(value, f"{at}/{escaped(held[0])}", rescued)

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether nothing of what the record has for it would have to be rescued."""
        rescued: Rescued = {}
        try:
            self.value_of(record, "", rescued)
        except UnfitError:
            return False
        return not rescued


@dataclass(frozen=True, slots=True)
class Object:
    """What is known of an object. Of its keys without a column the record keeps, in `_rescued`,
    those that look like data, and all where it is `closed`; but none of which hints speak.
    `twins`: those too that differ from a column's in case only."""

    columns: Sequence[Column]
    hints: Node
    closed: bool
    twins: bool

    def project(self, record: Mapping[str, Any], at: str, rescued: Rescued) -> dict[str, Any]:
        """Raises: UnfitError."""
        found = {c.name: c.value_of(record, at, rescued) for c in self.columns}
        known = {key for c in self.columns for key in c.keys}
        for key in record.keys() - known:
            if self.stays_out(key) and not nothing(record[key]):
                rescued[f"{at}/{escaped(key)}"] = record[key]
        return found

    def _is_twin(self, key: str) -> bool:
        return any(key.casefold() == k.casefold() for c in self.columns for k in c.keys)

    def stays_out(self, key: str) -> bool:
        if self.twins and self._is_twin(key):
            return self.hints.owner(key) is None
        if not (self.closed or looks_like_data(key)):
            return False
        return self.hints.owner(key) is None and self.hints.twin(key) is None


def object_of(
    fields: Sequence[pa.Field], source: Struct, hints: Node, *, closed: bool, rescue: bool,
    twins: bool,
) -> Object:  # fmt: skip
    """`rescue`: what does not fit is kept, and no reason to quarantine the record."""
    said = _Said(hints, closed, rescue, twins)
    columns = [_column(f, source.get(f.name), said) for f in fields]
    return Object(columns, hints, closed, twins)


def nothing(value: Any) -> bool:
    """Null, or [] and {} in any shape."""
    if isinstance(value, dict):
        return all(map(nothing, value.values()))
    return all(map(nothing, value)) if isinstance(value, list) else value is None


def of_row(kind: pa.DataType, source: Type | None) -> Read:
    """Reads what a table holds; null stays null."""
    read = _of_row(kind, source)
    return lambda value: None if value is None else read(value)


def canonical(value: Any) -> str:
    """Equal for the same JSON, and for no other: 1, 1.0 and "1" are three things."""
    return json.dumps(value, sort_keys=True, default=lambda n: f"number {n.text}")


def loads(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Number.of, parse_int=_whole)


def _whole(text: str) -> int | Number:
    return Number.of(text) if text == "-0" else int(text)  # as text it keeps its sign


def _column(field: pa.Field, known: Field | None, above: _Said) -> Column:
    keys = known.keys if known else (field.name,)
    kind = known.type if known else None
    closed = known is not None and known.closed
    said = replace(above, hints=above.hints.of(keys), closed=closed)
    return Column(field.name, keys, _of_record(field.type, kind, said))


@dataclass(frozen=True, slots=True)
class _Said:
    """Of a column and what is in it."""

    hints: Node
    closed: bool
    rescue: bool
    twins: bool

    @property
    def each(self) -> _Said:
        return replace(self, hints=self.hints.elements)


def _of_record(kind: pa.DataType, source: Type | None, said: _Said) -> OfRecord:
    read = _unguarded(kind, source, said)
    if not said.rescue:
        return read
    plain = not pa.types.is_nested(kind)

    def guarded(value: Any, at: str, rescued: Rescued) -> Any:
        try:
            found = read(value, at, rescued)
        except UnfitError:
            found = None
            rescued[at] = value
        if found is None and plain and value in _EMPTY:
            rescued[at] = value  # [] and {} are no null where there are plain values
        return found

    return guarded


def _unguarded(kind: pa.DataType, source: Type | None, said: _Said) -> OfRecord:
    types = pa.types
    if source == JSON:
        return lambda value, _, __: canonical(value)
    if types.is_struct(kind):
        inner = source if isinstance(source, Struct) else Struct()
        return _struct(
            object_of(
                list(kind),
                inner,
                said.hints,
                closed=said.closed,
                rescue=said.rescue,
                twins=said.twins,
            )
        )
    if types.is_list(kind) or types.is_large_list(kind):
        element = source.element if isinstance(source, Array) else None
        return _list(_of_record(kind.value_type, element, said.each))
    if types.is_map(kind):
        value = source.value if isinstance(source, Map) else None
        return _map(_of_record(kind.item_type, value, said.each))
    read = since_1970(source) if isinstance(source, Scalar) and source.format else scalar(kind)
    return lambda value, _, __: read(value)


def _struct(known: Object) -> OfRecord:
    def read(value: Any, at: str, rescued: Rescued) -> dict[str, Any] | None:
        if value == []:
            return None
        if not isinstance(value, dict):
            raise UnfitError("no object")
        return _without_nothing(known.project(value, at, rescued))

    return read


def _list(read_one: OfRecord) -> OfRecord:
    def read(value: Any, at: str, rescued: Rescued) -> list[Any] | None:
        if value in _EMPTY:
            return None  # as long as only such were seen there was no column
        if not isinstance(value, list):
            found = [read_one(value, at, rescued)]
            if at in rescued:  # no array of what is not there
                raise UnfitError("no array, and no element")
            return found
        return [
            None if item is None else read_one(item, f"{at}/{n}", rescued)
            for n, item in enumerate(value)
        ]

    return read


def _map(read_one: OfRecord) -> OfRecord:
    def read(value: Any, at: str, rescued: Rescued) -> list[Any] | None:
        if value in _EMPTY:
            return None
        if not isinstance(value, dict):
            raise UnfitError("no object")
        return sorted(
            (k, None if v is None else read_one(v, f"{at}/{escaped(k)}", rescued))
            for k, v in value.items()
        )

    return read


def _of_row(kind: pa.DataType, source: Type | None) -> Read:
    types = pa.types
    if source in (JSON, RESCUED):
        return lambda text: canonical(loads(text))
    if types.is_struct(kind):
        inner = source if isinstance(source, Struct) else Struct()
        reads = {f.name: of_row(f.type, _type_of(inner, f.name)) for f in kind}
        return lambda row: _without_nothing({n: r(row.get(n)) for n, r in reads.items()})
    if types.is_list(kind) or types.is_large_list(kind):
        one = of_row(kind.value_type, source.element if isinstance(source, Array) else None)
        return lambda items: [one(item) for item in items] or None
    if types.is_map(kind):
        one = of_row(kind.item_type, source.value if isinstance(source, Map) else None)
        return lambda pairs: sorted((k, one(v)) for k, v in dict(pairs).items()) or None
    return scalar(kind)


def _type_of(struct: Struct, name: str) -> Type | None:
    field = struct.get(name)
    return field.type if field else None


def _without_nothing(found: dict[str, Any]) -> dict[str, Any] | None:
    """Engines differ on an object without a value and no object."""
    return None if all(v is None for v in found.values()) else found


def escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
