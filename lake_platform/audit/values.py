"""What a record's JSON must look like as a row of its table.

A value that does not fit its column's type makes the record unfit: it belongs in quarantine. Rows
of the table become the same comparable values.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from lake_platform.audit.change import ChangeReader
from lake_platform.audit.columns import (
    Column,
    Rescued,
    canonical,
    loads,
    nothing,
    object_of,
    of_row,
)
from lake_platform.audit.made import Document, Maker
from lake_platform.audit.scalars import UnfitError
from lake_platform.domain.hints import NONE, Node
from lake_platform.domain.schema import RESCUED_FIELD, Struct

_RANK_BYTES = 40
_OURS = ("_hoodie_", "_kafka_", "_lake_key", "_lake_order", "_lake_ordinal")
_WRAPPED = {"schema", "payload"}  # of Kafka Connect, with schemas enabled


class Projector:
    """Turns JSON documents and rows of one table into comparable values. `source` says which keys
    of the documents mean which column; those that `hints` drop mean none, in any case.
    `twins`: nor do those that differ from a column's in case only; `apart`: those are other keys to
    `hints`."""

    def __init__(
        self,
        schema: pa.Schema,
        key: tuple[str, ...],
        ordering: str | None,
        source: Struct,
        hints: Node = NONE,
        *,
        twins: bool = False,
        apart: bool = False,
        changes: ChangeReader | None = None,
    ) -> None:
        self._changes = changes
        self._maker = Maker(hints, apart=apart)
        dropped = (key for key, node in hints.keys.items() if node.hint.drop)
        self._dropped = {key.casefold() for key in dropped}
        fields = [f for f in schema if not f.name.startswith(_OURS)]
        self.schema = pa.schema(fields)
        self.key, self.ordering = key, ordering
        types = {f.name: f.type for f in source.fields}
        self._of_rows = {f.name: of_row(f.type, types.get(f.name)) for f in fields}
        own = [f for f in fields if f.name != RESCUED_FIELD.name]
        rescue = RESCUED_FIELD.name in self._of_rows
        self._root = object_of(own, source, hints, closed=source.closed, rescue=rescue, twins=twins)
        self._columns = self._root.columns
        self._known = {key for column in self._columns for key in column.keys}

    def read(self, value: bytes, key: str | None) -> tuple[Document | None, tuple[Any, ...]]:
        """The row of a record with what the definition makes of it, and what may name the key of
        one that goes.

        Raises: UnfitError when it is not one JSON object, or no change event where it must be.
        """
        said = self._parsed(value)
        if self._changes is None:
            return self._maker.document(said, value), ()
        event = self._changes.read(said, key)
        row = None if event.row is None else self._maker.document(event.row, value)
        return row, event.gone

    def key_of_gone(self, gone: tuple[Any, ...]) -> str | None:
        """By the first that gives one."""
        found = (self._key_of(one) for one in gone)
        return next((key for key in found if key is not None), None)

    def _key_of(self, one: Any) -> str | None:
        if not isinstance(one, dict):
            return self.key_of_tombstone(one)
        try:
            return self.key_of(_key_values(self._keys, one))
        except UnfitError:
            return None

    def _parsed(self, value: bytes) -> dict[str, Any]:
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise UnfitError(str(error)) from None
        if not isinstance(parsed, dict):
            raise UnfitError("no object")
        found: dict[str, Any] = loads(value)
        return found

    def project(self, document: Document) -> dict[str, Any]:
        """Of a record. Raises: UnfitError."""
        rescued: Rescued = dict(document.unparsed)
        found: dict[str, Any] = self._root.project(document, "", rescued)
        if rescued and RESCUED_FIELD.name not in self._of_rows:
            raise UnfitError("something to rescue, and no column for it")
        found[RESCUED_FIELD.name] = canonical(rescued) if rescued else None
        return {name: found.get(name) for name in self._of_rows}

    def misfits(self, document: Mapping[str, Any], columns: Collection[str]) -> list[str]:
        """Those of `columns` that cannot hold what the document has for them."""
        return [c.name for c in self._columns if c.name in columns and not c.holds(document)]

    def project_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Of those columns that `row` has."""
        return {name: read(row[name]) for name, read in self._of_rows.items() if name in row}

    def key_of(self, values: Mapping[str, Any]) -> str | None:
        """None when a part of the key is null or missing, or its only part is empty."""
        parts = [values.get(name) for name in self.key]
        return None if any(p is None for p in parts) or parts == [""] else repr(parts)

    def rank_of(self, values: Mapping[str, Any]) -> str | None:
        """Text that sorts as the ordering field does; empty without one, None when it is null."""
        if self.ordering is None:
            return ""
        value = values.get(self.ordering)
        return None if value is None else rank(value)

    def hash_of(self, values: Mapping[str, Any], document: Mapping[str, Any] | None = None) -> str:
        """Of a document, what the table has no column for counts, too: it would be lost."""
        said = (document or {}).items()
        unknown = (n for n, v in said if n not in self._known and not nothing(v))
        extra = sorted(n for n in unknown if not self._is_elsewhere(n))
        text = repr((list(values.values()), extra))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def _is_elsewhere(self, key: str) -> bool:
        """Whether a key without a column is dropped, or what it says is in `_rescued`."""
        return key.casefold() in self._dropped or self._root.stays_out(key)

    def key_of_tombstone(self, key: str | None) -> str | None:
        """The Kafka key as JSON object with the key's columns, or as the value of its only one."""
        if not key:
            return None
        said = key if self._changes is None else self._changes.key(key)
        if not isinstance(said, str):
            return self._key_of(said)
        key = said
        try:
            orjson.loads(key)
            parsed = loads(key)
        except (orjson.JSONDecodeError, RecursionError):
            parsed = key
        if isinstance(parsed, dict) and parsed.keys() == _WRAPPED and not {*self.key} <= _WRAPPED:
            parsed = parsed["payload"]
        named = self._keys
        tries = [parsed] if isinstance(parsed, dict) else self._single(parsed, key, named)
        for document in tries:
            try:
                return self.key_of(_key_values(named, document))
            except UnfitError:
                continue
        return None

    @property
    def _keys(self) -> list[Column]:
        return [c for c in self._columns if c.name in self.key]

    def _single(self, parsed: Any, key: str, named: Sequence[Column]) -> list[dict[str, Any]]:
        if len(self.key) != 1 or not named:
            return []
        tries = (parsed if isinstance(parsed, str | int | Decimal) else key, key)
        return [{named[0].keys[0]: value} for value in tries]


def _key_values(columns: Sequence[Column], document: Mapping[str, Any]) -> dict[str, Any]:
    """By the keys of records, else by the columns' names. Raises: UnfitError."""
    found = {}
    for column in columns:
        by_key = any(document.get(key) is not None for key in column.keys)
        said = document if by_key else {column.keys[0]: document.get(column.name)}
        rescued: Rescued = {}
        found[column.name] = column.value_of(said, "", rescued)
    return found


def rank(value: Any) -> str:
    if isinstance(value, str):
        return "s" + value
    if isinstance(value, bool | int):
        return f"i{int(value) + (1 << 127):0{_RANK_BYTES}d}"
    if isinstance(value, float):
        (bits,) = struct.unpack(">Q", struct.pack(">d", value))
        return f"f{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"
    if isinstance(value, Decimal):
        return rank(int(value.scaleb(-int(value.as_tuple().exponent))))
    return "d" + str(value)
