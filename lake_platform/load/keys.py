"""The primary key that the Kafka key of a tombstone names."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Scalar, Struct, Type
from lake_platform.load.origins import RAW_KEY, Origin, origins
from lake_platform.records.forms import Text, in_text
from lake_platform.records.observe import observe

_WRAPPED = {"schema", "payload"}


class TombstoneKeys:
    """`columns` are the table's, after the steps."""

    def __init__(self, dataset: Dataset, source: Struct, columns: Struct) -> None:
        self._origins = origins(dataset, dataset.primary_key)
        self._keys = {f.name: f.keys for f in source.fields}
        self._types: dict[str, Type | None] = {}
        for name in dataset.primary_key:
            column = columns.get(name) or (None if dataset.transformed else source.get(name))
            self._types[name] = column.type if column else None

    @property
    def named(self) -> list[str]:
        """Keys of records that the key is made of."""
        found = [(*self._keys.get(o.source or "", ()), o.source, o.column) for o in self._origins]
        return [name for names in found for name in names if name]

    def key_of(self, key: str | None) -> dict[str, Any] | None:
        """The primary key; None when the Kafka key does not give it, or a value of it that the
        table cannot hold."""
        if not key or any(o.source is None for o in self._origins):
            return None
        parsed = self._parsed(key)
        found = {o.column: self._part(o, key, parsed) for o in self._origins}
        if any(value is None for value in found.values()):
            return None
        return None if list(found.values()) == [""] else found

    def _parsed(self, key: str) -> Any:
        """A JSON value, else the text itself. Kafka Connect may wrap it in schema and payload."""
        try:
            parsed = json.loads(key, parse_float=Text.of, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return key
        named = {o.column for o in self._origins}
        if isinstance(parsed, dict) and parsed.keys() == _WRAPPED and not named <= _WRAPPED:
            return parsed["payload"]
        return parsed

    def _part(self, origin: Origin, key: str, parsed: Any) -> Any:
        kind = self._types[origin.column]
        if origin.source == RAW_KEY:
            return key if kind is None or _fits(key, kind) else None
        if isinstance(parsed, dict):
            # The names that records have come first, then those of the columns.
            own = self._keys.get(origin.source or "", ())
            names = (*own, origin.source, origin.column)
            value = next((v for n in names if (v := parsed.get(n)) is not None), None)
            return _as_column(value, kind)
        if len(self._origins) > 1:
            return None
        if kind == Scalar("string"):
            return parsed if isinstance(parsed, str) else key
        return _as_column(parsed, kind)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _as_column(value: Any, kind: Type | None) -> Any:
    """None when the column does not have it."""
    if not _fits(value, kind):
        return None
    if isinstance(kind, Scalar) and kind.format:
        return in_text(kind, value)  # what the engines read as a date or timestamp
    if kind == Scalar("string") and not isinstance(value, str):
        return getattr(value, "text", None) or json.dumps(value)  # as in a record
    return value


def _fits(value: Any, kind: Type | None) -> bool:
    if value is None or isinstance(value, dict | list):
        return False
    return kind is None or observe(value, kind) == kind
