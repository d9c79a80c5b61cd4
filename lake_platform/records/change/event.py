"""Reads change events by the envelope that a definition names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from lake_platform.domain.change import ChangeEvent, Envelope
from lake_platform.domain.quality import Reason
from lake_platform.records.change.debezium import Debezium, is_about_no_row
from lake_platform.records.change.others import Hints, canal, dms, maxwell, ogg
from lake_platform.records.change.parts import Parts, held, object_of

Read = Callable[[Parts, Hints], ChangeEvent | Reason | None]
"""None: it is not about a row."""
_OTHERS: Mapping[str, Read] = {"canal": canal, "maxwell": maxwell, "ogg": ogg, "dms": dms}


class Events:
    """`hints`: types of columns that the events themselves declare, by path of the row."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self.hints: Hints = {}
        self._debezium = Debezium(self.hints)

    def read(self, value: bytes) -> ChangeEvent | Reason | None:
        """Of a value that is one JSON object; None for one that is not about a row. With `auto` an
        object in no known envelope is a row."""
        parts = object_of(value)
        kind = _kind(parts) if self._envelope == "auto" else self._envelope
        if kind == "none":
            return ChangeEvent("c", row=value)
        try:
            if kind == "debezium":
                return self._debezium.read(parts)
            return _OTHERS[kind](parts, self.hints)
        except (ValueError, LookupError, TypeError, RecursionError):
            return Reason.NOT_CHANGE

    def key(self, key: str) -> str:
        """A Kafka key by the names and in the forms of rows."""
        if self._envelope not in ("debezium", "auto"):
            return key
        return self._debezium.key(key)


def _kind(parts: Parts) -> str:
    if parts.keys() == {"schema", "payload"}:
        payload = held(parts, "payload")
        return "debezium" if payload is None or _is_event(payload) else "none"
    if parts.keys() >= {"op", "source"} and _is_object(parts["source"]):
        return "debezium"
    if is_about_no_row(parts):
        return "debezium"
    if parts.keys() >= {"data", "type", "isDdl"}:
        return "canal"
    if parts.keys() >= {"data", "type", "database", "table", "ts"} and _is_object(parts["data"]):
        return "maxwell"
    if parts.keys() >= {"op_type", "op_ts", "pos"}:
        return "ogg"
    if parts.keys() >= {"metadata"} and b'"record-type"' in bytes(parts["metadata"]):
        return "dms"
    return "none"


def _is_object(raw: bytes | msgspec.Raw) -> bool:
    return bytes(raw).startswith(b"{")


def _is_event(payload: bytes) -> bool:
    if not _is_object(payload):
        return False
    parts = object_of(payload)
    return parts.keys() >= {"op", "source"} or is_about_no_row(parts)
