"""Debezium's envelope: plain, wrapped in schema and payload, or with documents of MongoDB."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lake_platform.domain.change import ChangeEvent, Op
from lake_platform.domain.quality import Reason
from lake_platform.records.change.connect import Columns, columns_of
from lake_platform.records.change.mongodb import document
from lake_platform.records.change.parts import Parts, encode, held, object_of, plain, whole

_OPS: Mapping[str, Op] = {"c": "c", "r": "r", "u": "u", "d": "d", "t": "t"}
_WRAPPED = {"schema", "payload"}
# In place of a large value that did not change and was not sent; as text, as bytes, in an array.
_LEFT_OUT = (
    b'"__debezium_unavailable_value"',
    b'"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="',
    b'"5f5f646562657a69756d5f756e617661696c61626c655f76616c7565"',
)
_AS_NUMBERS = re.compile(rb"\[95, ?95, ?100, ?101, ?98, ?101, ?122, ?105, ?117, ?109, ?95, ?")
_MOST_SCHEMAS = 1_000


class Debezium:
    """`hints`: takes what inline schemas say, as `Events` has them."""

    def __init__(self, hints: dict[str, dict[str, str]]) -> None:
        self._hints = hints
        self._columns: dict[bytes, Mapping[str, Columns]] = {}

    def read(self, parts: Parts) -> ChangeEvent | Reason | None:
        """Raises: ValueError."""
        schema = None
        if parts.keys() == _WRAPPED:
            schema, payload = held(parts, "schema"), held(parts, "payload")
            if payload is None:  # as some converters write a tombstone
                return ChangeEvent("d")
            parts = object_of(payload)
        op = _OPS.get(str(plain(parts, "op")))
        if op is None:
            return None if is_about_no_row(parts) else Reason.NOT_CHANGE
        source = plain(parts, "source") or {}
        if not isinstance(source, dict):
            return Reason.NOT_CHANGE
        time = whole(source.get("ts_ms")) or whole(plain(parts, "ts_ms"))
        position = position_of(source)
        if op == "t":
            return ChangeEvent("t", position=position, time=time)
        columns = self._of_schema(schema)
        row = self._row(held(parts, "after"), columns.get("after"))
        before = self._row(held(parts, "before"), columns.get("before"))
        if op == "d":
            return ChangeEvent("d", None, before, position, time)
        if row is None:
            return Reason.NO_ROW
        if any(mark in row for mark in _LEFT_OUT) or _AS_NUMBERS.search(row):
            return Reason.LEFT_OUT
        return ChangeEvent(op, row, before, position, time)

    def key(self, key: str) -> str:
        """As it is where it says nothing that has another form in rows."""
        if not key.startswith("{"):
            return key
        try:
            parts = object_of(key)
            if parts.keys() == _WRAPPED:
                columns = self._of_schema(held(parts, "schema")).get("", None)
                found = bytes(parts["payload"])
                if not found.startswith(b"{"):
                    return found.decode()
                parts = object_of(found if columns is None else columns.convert(found))
            if parts.keys() == {"id"} and bytes(parts["id"]).startswith(b'"'):
                return _mongodb_key(parts, key)
        except (ValueError, RecursionError):
            return key
        return encode(parts).decode()

    def _row(self, text: bytes | None, columns: Columns | None) -> bytes | None:
        if text is None:
            return None
        if text.startswith(b'"'):
            return document(text)
        if not text.startswith(b"{"):
            raise ValueError("a row that is no object")
        return text if columns is None else columns.convert(text)

    def _of_schema(self, schema: bytes | None) -> Mapping[str, Columns]:
        """What the inline schema says, by the field of the envelope, itself under an empty name;
        nothing without one."""
        if schema is None:
            return {}
        found = self._columns.get(schema)
        if found is None:
            if len(self._columns) >= _MOST_SCHEMAS:
                self._columns.clear()
            found = self._columns[schema] = columns_of(schema)
            if "after" in found:
                self._hints |= found["after"].hints
        return found


def position_of(source: Mapping[str, Any]) -> str:
    """Text that sorts as the log of the source does; by its clock where nothing else is said."""
    connector = source.get("connector")
    # What a snapshot reads beside the log is older than anything in it.
    if connector == "postgresql":
        return f"{whole(source.get('lsn')) or 0:020d}"
    if connector in ("mysql", "mariadb"):
        file = source.get("file")
        number = whole(file.rpartition(".")[2]) if isinstance(file, str) else None
        at = whole(source.get("pos")) or 0
        return f"{number or 0:010d}-{at:020d}-{whole(source.get('row')) or 0:010d}"
    if connector == "sqlserver" and isinstance(commit := source.get("commit_lsn"), str):
        change = source.get("change_lsn")
        change = change if isinstance(change, str) else ""
        return f"{commit}-{change}-{whole(source.get('event_serial_no')) or 0:06d}"
    if connector == "oracle" and (scn := whole(source.get("scn"))) is not None:
        return f"{scn:020d}"
    time = whole(source.get("ts_ms"))
    return "" if time is None else f"{time:015d}-{whole(source.get('ord')) or 0:010d}"


def is_about_no_row(parts: Parts) -> bool:
    """Heartbeats, boundaries of transactions, changes of schemas, messages of the application."""
    if plain(parts, "op") == "m" or "message" in parts:
        return True
    return (
        parts.keys() == {"ts_ms"}
        or parts.keys() >= {"status", "id", "event_count"}
        or parts.keys() >= {"source", "ddl"}
    )


def _mongodb_key(parts: Parts, key: str) -> str:
    """`{"id": "<JSON of the _id>"}` as `{"_id": …}`; of another database as it is."""
    text = msgspec.json.decode(bytes(parts["id"]), type=str)
    try:
        row = document(encode(f'{{"_id":{text}}}'))
    except ValueError:
        return key
    return encode({**object_of(row), "id": parts["id"]}).decode()
