"""Values of change events in the forms that rows have them, as an audit reads them: numbers that
are dates, bytes that are decimals, documents of MongoDB, positions in the log of a source."""

from __future__ import annotations

import datetime as dt
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from lake_platform.audit.columns import loads
from lake_platform.audit.scalars import Number
from lake_platform.domain.quality import MAX_NUMBER_CHARS

_ROOMS = ("io.debezium.time", "io.debezium.data", "org.apache.kafka.connect.data")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_MYSQL_NUMBER = re.compile(r"(tiny|small|medium|big)?int|float|double|decimal|numeric", re.I)


def position_of(source: Mapping[str, Any]) -> str:
    name = source.get("connector")
    if name == "postgresql":
        return str(whole(source.get("lsn")) or 0).zfill(20)
    if name in ("mysql", "mariadb"):
        file = source.get("file")
        number = whole(file.split(".")[-1]) if isinstance(file, str) else 0
        parts = ((number, 10), (whole(source.get("pos")), 20), (whole(source.get("row")), 10))
        return "-".join(str(part or 0).zfill(width) for part, width in parts)
    if name == "sqlserver" and isinstance(source.get("commit_lsn"), str):
        change = source.get("change_lsn")
        serial = str(whole(source.get("event_serial_no")) or 0).zfill(6)
        return "-".join((source["commit_lsn"], change if isinstance(change, str) else "", serial))
    if name == "oracle" and (scn := whole(source.get("scn"))) is not None:
        return str(scn).zfill(20)
    time = whole(source.get("ts_ms"))
    order = str(whole(source.get("ord")) or 0).zfill(10)
    return "" if time is None else f"{str(time).zfill(15)}-{order}"


def whole(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]+", value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def milliseconds(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        at = dt.datetime.fromisoformat(text[:26].removesuffix("Z"))
    except ValueError:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=dt.UTC)) - _EPOCH) // dt.timedelta(
        milliseconds=1
    )


def as_mysql(row: dict[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _as_number(value) if _MYSQL_NUMBER.match(str(types.get(name, ""))) else value
        for name, value in row.items()
    }


def _as_number(value: Any) -> Any:
    """A text that is a number of JSON which a double has, whatever zeros are in front."""
    if not isinstance(value, str):
        return value
    sign, digits = ("-", value[1:]) if value.startswith("-") else ("", value)
    text = sign + re.sub(r"^0+(?=[0-9])", "", digits)
    if len(text) > 300 or not _NUMBER.fullmatch(text) or abs(float(text)) == float("inf"):
        return value
    return loads(text)


def converted(value: Any, schema: Any) -> Any:
    """By an inline schema of Kafka Connect."""
    if value is None or not isinstance(schema, dict):
        return value
    kind, name = schema.get("type"), _logical(schema.get("name"))
    if isinstance(value, dict) and kind == "struct" and name != "VariableScaleDecimal":
        fields = schema.get("fields")
        inside = {
            f["field"]: f
            for f in (fields if isinstance(fields, list) else ())
            if isinstance(f, dict) and isinstance(f.get("field"), str)
        }
        return {k: converted(v, inside.get(k)) for k, v in value.items()}
    if isinstance(value, list) and kind == "array":
        return [converted(v, schema.get("items")) for v in value]
    if name == "Decimal" and kind == "bytes" and isinstance(value, str):
        said = schema.get("parameters")
        scale = _scale(said.get("scale", 0)) if isinstance(said, dict) else 0
        return value if scale is None else _number(value, scale)
    if name == "VariableScaleDecimal" and isinstance(value, dict):
        scale = _scale(value["scale"])
        if scale is None:
            raise ValueError("a scale that is no number")
        return _number(value["value"], scale)
    if not isinstance(value, int) or isinstance(value, bool) or kind == "string":
        return value
    clock = name in ("Time", "MicroTime", "NanoTime")
    return _clock(value, name) if clock else _time(value, name)


def _time(value: int, name: str) -> Any:
    try:
        if name == "Date":
            return str((_EPOCH + dt.timedelta(days=value)).date())
        micros = {"Milli": value * 1000, "Micro": value, "Nano": value // 1000}
        unit = next((u for u in ("Micro", "Nano") if name.startswith(u)), "Milli")
        at = _EPOCH + dt.timedelta(microseconds=micros[unit])
    except OverflowError:
        return value
    if name.endswith("Timestamp"):
        return at.isoformat().replace("+00:00", "Z")
    return value


def _clock(value: int, name: str) -> str:
    micros = abs({"MicroTime": value, "NanoTime": value // 1000}.get(name, value * 1000))
    seconds, rest = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    text = f"-{text}" if value < 0 else text
    return f"{text}.{rest:06d}" if rest else text


def _logical(name: Any) -> str:
    """What a type of Debezium or Kafka Connect is called; empty for any other."""
    room, _, own = str(name).rpartition(".")
    return own if room in _ROOMS else ""


def _scale(value: Any) -> int | None:
    if isinstance(value, str) and value.startswith("-"):
        found = whole(value[1:])
        return None if found is None else -found
    return whole(value)


def _number(text: str, scale: int) -> Any:
    if not -MAX_NUMBER_CHARS <= scale <= MAX_NUMBER_CHARS:
        raise ValueError("a number too long")
    unscaled = int.from_bytes(b64decode(text, validate=True), "big", signed=True)
    if scale <= 0:
        return unscaled * 10**-scale
    digits = f"{abs(unscaled):0{scale + 1}d}"
    return Number.of(f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}")


def plain_document(value: Any) -> Any:
    """Of MongoDB's extended JSON."""
    if isinstance(value, list):
        return [plain_document(v) for v in value]
    if not isinstance(value, dict):
        return value
    first = next(iter(value), "")
    inner = value.get(first)
    if first == "$binary" and len(value) <= 2:
        return inner.get("base64") if isinstance(inner, dict) else inner
    if len(value) == 1:
        if first in ("$oid", "$uuid", "$symbol"):
            return inner
        if first.startswith("$number") and isinstance(inner, str):
            return _as_number(inner)
        if first == "$date":
            at = plain_document(inner)
            return _time(at, "Timestamp") if isinstance(at, int) else at
    return {k: plain_document(v) for k, v in value.items()}
