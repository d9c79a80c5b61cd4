"""Documents of MongoDB, which come as text in its extended JSON, as plain JSON.

{"$oid": "…"}, {"$uuid": "…"}             the text
{"$numberLong": "5"}, {"$numberInt": …}   the number
{"$numberDecimal": "1.10"}                the number; NaN and infinities as text
{"$numberDouble": "1.5"}                  likewise
{"$date": …}                              ISO text, UTC
{"$binary": {"base64": "…", …}}           base64
{"$timestamp": {…}}, {"$regularExpression": {…}}, …   as they are
"""

from __future__ import annotations

import datetime as dt

import msgspec

from lake_platform.records.change.parts import array_of, encode, number_of, object_of

_text = msgspec.json.Decoder(str).decode
_NUMBERS = ("$numberLong", "$numberInt", "$numberDouble", "$numberDecimal")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def document(text: bytes) -> bytes:
    """Of a JSON text with a document in it. Raises: ValueError."""
    found = _text(text).encode()
    if not found.lstrip().startswith(b"{"):
        raise ValueError("not a document")
    return _plain(found)


def _plain(raw: bytes) -> bytes:
    first = raw.lstrip()[:1]
    if first == b"[":
        return encode([msgspec.Raw(_plain(bytes(one))) for one in array_of(raw)])
    if first != b"{":
        return raw
    held = object_of(raw)
    if len(held) <= 2 and any(key.startswith("$") for key in held):
        said = _said(held)
        if said is not None:
            return said
    return encode({key: msgspec.Raw(_plain(bytes(one))) for key, one in held.items()})


def _said(held: dict[str, msgspec.Raw]) -> bytes | None:
    """What a value of extended JSON says; None for one that stays as it is."""
    (key, raw), *more = held.items()
    text = bytes(raw)
    if key == "$binary" and text.startswith(b"{"):
        return bytes(object_of(text).get("base64", msgspec.Raw(b"null")))
    if more:
        return text if key == "$binary" else None  # beside "$type"
    if key in ("$oid", "$uuid", "$symbol"):
        return text
    if key in _NUMBERS and text.startswith(b'"'):
        return number_of(_text(text)) or text
    return _date(text) if key == "$date" else None


def _date(text: bytes) -> bytes:
    if text.startswith(b'"'):
        return text
    if text.startswith(b"{"):
        text = _said(object_of(text)) or b""
    try:
        at = _EPOCH + dt.timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        return text  # beyond the years of a timestamp
    return encode(at.isoformat().replace("+00:00", "Z"))
