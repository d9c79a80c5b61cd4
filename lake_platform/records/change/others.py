"""Envelopes of Canal, Maxwell, Oracle GoldenGate and AWS DMS."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lake_platform.domain.change import ChangeEvent, Op
from lake_platform.domain.mapping import shown
from lake_platform.domain.quality import Reason
from lake_platform.records.change.parts import (
    Parts,
    array_of,
    decimal_of,
    encode,
    held,
    number_of,
    object_of,
    plain,
    row_of,
    whole,
)

Hints = dict[str, dict[str, str]]
"""Types of columns by path, as a definition's `columns` has them."""
_CANAL: dict[str, Op] = {"INSERT": "c", "UPDATE": "u", "DELETE": "d", "TRUNCATE": "t"}
_MAXWELL: dict[str, Op] = {
    "insert": "c", "update": "u", "delete": "d", "bootstrap-insert": "r", "table-truncate": "t",
}  # fmt: skip
_OGG: dict[str, Op] = {"I": "c", "U": "u", "D": "d", "T": "t"}
_DMS: dict[str, Op] = {"load": "r", "insert": "c", "update": "u", "delete": "d"}
_TRUNCATE = ("truncate", "truncate-table")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+)(?:, ?(\d+))?\)")
_NUMBERS = re.compile(r"(?:tiny|small|medium|big)?int|float|double|decimal|numeric")
_TIMES = {"date": "date", "datetime": "timestamp", "timestamp": "timestamp"}


def canal(parts: Parts, hints: Hints) -> ChangeEvent | Reason | None:
    """Its values are texts; columns of numbers have them as numbers, by the types it tells."""
    op = _CANAL.get(str(plain(parts, "type")))
    if op is None:
        return None if plain(parts, "isDdl") is True else Reason.NOT_CHANGE
    time = whole(plain(parts, "es"))
    if op == "t":
        return ChangeEvent("t", time=time)
    rows = array_of(held(parts, "data") or b"[]")
    if len(rows) != 1:
        return Reason.SEVERAL_ROWS if rows else Reason.NO_ROW
    types = plain(parts, "mysqlType")
    types = types if isinstance(types, dict) else {}
    row = _typed(row_of(bytes(rows[0])), types, hints)
    old = held(parts, "old")
    before = None if old is None else _before(row, _typed(bytes(array_of(old)[0]), types, {}))
    return _event(op, row, before, "", time)


def maxwell(parts: Parts, _: Hints) -> ChangeEvent | Reason | None:
    kind = str(plain(parts, "type"))
    op = _MAXWELL.get(kind)
    if op is None:
        # bootstrap-start, table-create, database-alter, …
        return None if "-" in kind else Reason.NOT_CHANGE
    seconds = whole(plain(parts, "ts"))
    time = None if seconds is None else seconds * 1000
    if op == "t":
        return ChangeEvent("t", time=time)
    row = row_of(held(parts, "data"))
    before = _before(row, held(parts, "old"))
    position = plain(parts, "position")
    return _event(op, row, before, _log_position(position), time)


def ogg(parts: Parts, _: Hints) -> ChangeEvent | Reason | None:
    op = _OGG.get(str(plain(parts, "op_type")))
    if op is None:
        return Reason.NOT_CHANGE
    position = plain(parts, "pos")
    text = position if isinstance(position, str) else ""
    time = _milliseconds(plain(parts, "op_ts"))
    if op == "t":
        return ChangeEvent("t", position=text, time=time)
    before = row_of(held(parts, "before"))
    if op == "d":
        return _event(op, before, None, text, time)
    row = row_of(held(parts, "after"))
    if row is not None and _lacks(object_of(row), object_of(before or b"{}")):
        return Reason.LEFT_OUT
    return _event(op, row, _before(row, before), text, time)


def _lacks(row: Parts, before: Parts) -> bool:
    """Whether it has only some of the columns: those that changed."""
    return not row or bool(before.keys() - row.keys())


def dms(parts: Parts, _: Hints) -> ChangeEvent | Reason | None:
    about = object_of(held(parts, "metadata") or b"")
    if plain(about, "record-type") == "control":
        emptied = plain(about, "operation") in _TRUNCATE
        return ChangeEvent("t") if emptied else None
    op = _DMS.get(str(plain(about, "operation")))
    if op is None:
        return Reason.NOT_CHANGE
    row = row_of(held(parts, "data"))
    before = _before(row, held(parts, "before-image"))
    if op == "d":
        row = before or row
    return _event(op, row, before, "", _milliseconds(plain(about, "timestamp")))


def _event(
    op: Op, row: bytes | None, before: bytes | None, position: str, time: int | None
) -> ChangeEvent | Reason:
    """`row` of a delete is the row that goes."""
    if row is None:
        return Reason.NO_ROW
    if op == "d":
        return ChangeEvent(op, None, row, position, time)
    return ChangeEvent(op, row, before, position, time)


def _typed(row: bytes | None, types: Mapping[str, Any], hints: Hints) -> bytes | None:
    """By the types of MySQL."""
    if row is None or not types:
        return row
    found = object_of(row)
    for name, raw in found.items():
        kind = str(types.get(name, "")).lower()
        if column := _column_of(kind):
            hints[shown((name,))] = {"type": column}
        if _NUMBERS.match(kind) and bytes(raw)[:1] == b'"':
            number = number_of(bytes(raw)[1:-1].decode())
            found[name] = raw if number is None else msgspec.Raw(number)
    return encode(found)


def _column_of(kind: str) -> str:
    """What values of a type of MySQL fit, whichever came first; empty where they say it."""
    if digits := _DECIMAL.match(kind):
        return decimal_of(int(digits[1]), int(digits[2] or 0))
    if "bigint" in kind and "unsigned" in kind:
        return "decimal(20,0)"
    name = kind.partition("(")[0].partition(" ")[0]
    if name in ("double", "float"):
        return "double"
    return "long" if name.endswith("int") else _TIMES.get(name, "")


def _before(row: bytes | None, changed: bytes | None) -> bytes | None:
    """The whole row before, of what a change says of it: columns that changed, or all."""
    if changed is None or row is None:
        return None
    return encode({**object_of(row), **object_of(changed)})


def _log_position(position: object) -> str:
    """Of a binlog, `binlog.000012:3456`, as text that sorts."""
    if not isinstance(position, str):
        return ""
    name, _, at = position.rpartition(":")
    number = name.rpartition(".")[2]
    if not (number.isdigit() and at.isdigit()):
        return ""
    return f"{int(number):010d}-{int(at):020d}"


def _milliseconds(text: object) -> int | None:
    """Of ISO text; UTC where it names no zone."""
    if not isinstance(text, str):
        return None
    try:
        at = dt.datetime.fromisoformat(text[:26].rstrip("Z"))
    except ValueError:
        return None
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (at.replace(tzinfo=at.tzinfo or dt.UTC) - epoch) // dt.timedelta(milliseconds=1)
