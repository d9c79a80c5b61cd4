"""Change events as an audit reads them, worked out from parsed documents alone: the row after a
change, or the key of the row that goes by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lake_platform.audit.change_values import (
    as_mysql,
    converted,
    milliseconds,
    plain_document,
    position_of,
    whole,
)
from lake_platform.audit.columns import loads
from lake_platform.audit.scalars import UnfitError
from lake_platform.domain.change import OP_KEY, POSITION_KEY, TIME_KEY

_WRAPPED = {"schema", "payload"}
_LEFT_OUT = (
    "__debezium_unavailable_value",
    "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
    "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565",
)
_OPS = {
    "canal": {"INSERT": "c", "UPDATE": "u", "DELETE": "d"},
    "maxwell": {"insert": "c", "update": "u", "delete": "d", "bootstrap-insert": "r"},
    "ogg": {"I": "c", "U": "u", "D": "d"},
    "dms": {"load": "r", "insert": "c", "update": "u", "delete": "d"},
}


@dataclass(frozen=True, slots=True)
class Event:
    """`row` after it; None where there is none. `gone` are documents and texts that may name the
    key of the row that goes, the surest first; beside a row, of that as it was. With neither the
    record is about no row."""

    row: dict[str, Any] | None = None
    gone: tuple[Any, ...] = field(default=())


NOTHING = Event()


class ChangeReader:
    """`changelog`: deletes are rows, too."""

    def __init__(self, envelope: str, *, changelog: bool) -> None:
        self._envelope, self._changelog = envelope, changelog

    def read(self, said: dict[str, Any], key: str | None) -> Event:
        """Raises: UnfitError for what is no change event, or says no row."""
        kind = _kind(said) if self._envelope == "auto" else self._envelope
        try:
            if kind == "none":
                return self._row(said, "c", {})
            if kind == "debezium":
                return self._debezium(said, key)
            return getattr(self, f"_{kind}")(said)  # type: ignore[no-any-return]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UnfitError(f"no change event: {error}") from None

    def key(self, key: str) -> str | dict[str, Any]:
        """A Kafka key as rows have it."""
        if self._envelope not in ("debezium", "auto"):
            return key
        try:
            found = loads(key)
        except ValueError:
            return key
        if isinstance(found, dict) and found.keys() == _WRAPPED:
            schema, found = found["schema"], found["payload"]
            found = converted(found, schema)
            if not isinstance(found, dict):
                return str(found) if isinstance(found, str | int) else key
        if isinstance(found, dict) and found.keys() == {"id"} and isinstance(found["id"], str):
            try:
                return {"_id": plain_document(loads(found["id"])), "id": found["id"]}
            except ValueError:
                return key
        return found if isinstance(found, dict) else key

    def _row(self, row: Any, op: str, about: Mapping[str, Any], before: Any = None) -> Event:
        if not isinstance(row, dict):
            raise UnfitError("no row after it")
        beside = {OP_KEY: op, **{k: v for k, v in about.items() if v is not None}}
        gone = (before,) if isinstance(before, dict) and not self._changelog else ()
        return Event({**row, **beside}, gone)

    def _deleted(self, rows: tuple[Any, ...], about: Mapping[str, Any]) -> Event:
        if not self._changelog:
            return Event(None, tuple(r for r in rows if r is not None) or ("",))
        return self._row(next((r for r in rows if isinstance(r, dict)), None), "d", about)

    def _debezium(self, said: dict[str, Any], key: str | None) -> Event:
        schema: Mapping[str, Any] = {}
        if said.keys() == _WRAPPED:
            schema, said = said["schema"] or {}, said["payload"]
            if said is None:
                return self._deleted((None if key is None else self.key(key),), {})
        op = said.get("op")
        if op not in ("c", "r", "u", "d", "t"):
            if _rowless(said):
                return NOTHING
            raise UnfitError("no change event")
        source = said.get("source") or {}
        if not isinstance(source, dict):
            raise UnfitError("a source that is no object")
        if op == "t":
            return NOTHING
        about = {
            TIME_KEY: whole(source.get("ts_ms")) or whole(said.get("ts_ms")),
            POSITION_KEY: position_of(source) or None,
        }
        inside = _inside(schema)
        after = _image(said.get("after"), inside.get("after"))
        before = _image(said.get("before"), inside.get("before"))
        if op == "d":
            return self._deleted((before, None if key is None else self.key(key)), about)
        if isinstance(after, dict) and _left_out(after):
            raise UnfitError("a value that was left out")
        return self._row(after, op, about, before)

    def _canal(self, said: dict[str, Any]) -> Event:
        op = _OPS["canal"].get(str(said.get("type")))
        if op is None:
            return _about_nothing(said.get("isDdl") is True or said.get("type") == "TRUNCATE")
        (row,) = said["data"]
        types = said.get("mysqlType")
        types = types if isinstance(types, dict) else {}
        row = as_mysql(row, types)
        old = said.get("old")
        before = None if old is None else {**row, **as_mysql(old[0], types)}
        return self._either(op, row, before, {TIME_KEY: whole(said.get("es"))})

    def _maxwell(self, said: dict[str, Any]) -> Event:
        op = _OPS["maxwell"].get(str(said.get("type")))
        if op is None:
            return _about_nothing("-" in str(said.get("type")))
        seconds, position = whole(said.get("ts")), said.get("position")
        about: dict[str, Any] = {TIME_KEY: None if seconds is None else seconds * 1000}
        if isinstance(position, str):
            found = re.fullmatch(r"(?:.*\.)?(\d+):(\d+)", position)
            about[POSITION_KEY] = found and f"{int(found[1]):010d}-{int(found[2]):020d}"
        old = said.get("old")
        before = None if old is None else {**said["data"], **old}
        return self._either(op, said["data"], before, about)

    def _ogg(self, said: dict[str, Any]) -> Event:
        op = _OPS["ogg"].get(str(said.get("op_type")))
        if op is None:
            return _about_nothing(said.get("op_type") == "T")
        position = said.get("pos")
        about = {
            TIME_KEY: milliseconds(said.get("op_ts")),
            POSITION_KEY: position if isinstance(position, str) and position else None,
        }
        before, after = said.get("before"), said.get("after")
        if op == "d":
            return self._either(op, before, None, about)
        if isinstance(after, dict) and (not after or (before or {}).keys() - after.keys()):
            raise UnfitError("columns that were left out")
        before = None if before is None else {**after, **before}  # type: ignore[dict-item]
        return self._either(op, after, before, about)

    def _dms(self, said: dict[str, Any]) -> Event:
        about = said["metadata"]
        if about.get("record-type") == "control":
            return NOTHING
        op = _OPS["dms"].get(str(about.get("operation")))
        if op is None:
            raise UnfitError("no change event")
        old = said.get("before-image")
        before = None if old is None else {**said["data"], **old}
        row = before if op == "d" and before is not None else said["data"]
        time = milliseconds(about.get("timestamp"))
        return self._either(op, row, before, {TIME_KEY: time})

    def _either(self, op: str, row: Any, before: Any, about: Mapping[str, Any]) -> Event:
        if op != "d":
            return self._row(row, op, about, before)
        if not isinstance(row, dict):
            raise UnfitError("no row before it")
        return self._deleted((row,), about)


def _rowless(said: Mapping[str, Any]) -> bool:
    """Of Debezium: transactions, schemas, messages, heartbeats."""
    others = ({"status", "id", "event_count"}, {"source", "ddl"}, {"message"})
    named = any(said.keys() >= other for other in others)
    return said.get("op") == "m" or said.keys() == {"ts_ms"} or named


def _about_nothing(known: bool) -> Event:
    if not known:
        raise UnfitError("no change event")
    return NOTHING


def _kind(said: Mapping[str, Any]) -> str:
    names = said.keys()
    if names == _WRAPPED:
        inside = said["payload"]
        event = isinstance(inside, dict) and (inside.keys() >= {"op", "source"} or _rowless(inside))
        return "debezium" if inside is None or event else "none"
    if (names >= {"op", "source"} and isinstance(said["source"], dict)) or _rowless(said):
        return "debezium"
    marks = {
        "canal": {"data", "type", "isDdl"},
        "maxwell": {"data", "type", "database", "table", "ts"},
        "ogg": {"op_type", "op_ts", "pos"},
    }
    found = next((kind for kind, mark in marks.items() if names >= mark), "none")
    if found == "maxwell" and not isinstance(said["data"], dict):
        found = "none"
    about = said.get("metadata")
    return (
        "dms" if found == "none" and isinstance(about, dict) and "record-type" in about else found
    )


def _inside(schema: Any) -> dict[str, Any]:
    """Of an inline schema the images of the row; nothing of what is none."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(fields, list):
        return {}
    images = (f for f in fields if isinstance(f, dict) and isinstance(f.get("fields"), list))
    return {str(f.get("field")): f for f in images}


def _image(said: Any, schema: Any) -> Any:
    if isinstance(said, str):
        said, schema = plain_document(loads(said)), None  # a document of MongoDB
    if not isinstance(said, dict | None):
        raise UnfitError("a row that is no object")
    return said if schema is None else converted(said, schema)


def _left_out(value: Any) -> bool:
    """Text, or an array of the bytes, that stands for what was not sent."""
    if isinstance(value, dict):
        return any(map(_left_out, (*value, *value.values())))
    if isinstance(value, list):
        codes = [n for n in value[:11] if isinstance(n, int) and 0 <= n < 128]
        return "".join(map(chr, codes)) == _LEFT_OUT[0][:11] or any(map(_left_out, value))
    return value in _LEFT_OUT
