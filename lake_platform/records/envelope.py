"""The line one Kafka record becomes in a raw object, and the proof that its value is sound.

A line is one JSON object:
    {"partition":0,"offset":7,"timestamp":1763953200000,"key":"k","headers":[["h","v"]],"value":{…}}
`value` is the record's own JSON, byte for byte, and only after it was proven to be exactly one
UTF-8 JSON object: else a crafted value could forge the envelope. Other forms:
    "value":null,"tombstone":true                       a null value
    "value_bytes":"<base64>","reason":"…"               a value that failed the proof
    "key_bytes":"<base64>" instead of "key"             a key that is not UTF-8
    "order":<ms>                                        see `Classifier.order_marks`
    "schema":<id>                                       of the registry, by which it was read
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import MutableMapping, Sequence
from itertools import accumulate

import orjson
import simdjson

from lake_platform.domain.quality import MAX_DEPTH, MAX_VALUE_BYTES, Reason

_SHALLOW_BYTES = 2 * MAX_DEPTH  # too short to be nested too deep
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS = bytes(c for c in range(256) if c not in b"{}[]")
Headers = Sequence[tuple[str, bytes | None]]


def reject_reason(value: bytes) -> Reason | None:
    """Why `value` is not exactly one JSON object; None when it is. The slow, explaining path."""
    if not value:
        return Reason.EMPTY
    if len(value) > MAX_VALUE_BYTES:
        return Reason.TOO_LARGE
    try:
        value.decode()
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "infinity" in str(error):
            return Reason.NUMBER_RANGE
        return Reason.TOO_DEEP if "depth" in str(error) else Reason.NOT_JSON
    if not isinstance(parsed, dict):
        return Reason.NOT_OBJECT
    return Reason.TOO_DEEP if _suspect(value) and _too_deep(value) else None


def _too_deep(value: bytes) -> bool:
    """Counted in the bytes: of a key that comes twice a parsed object shows the last value only."""
    brackets = _STRING.sub(b"", value).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if b in b"{[" else -1 for b in brackets)) > MAX_DEPTH


def _suspect(value: bytes) -> bool:
    """Cheaply, whether a long value may be too large or too deep."""
    return len(value) > MAX_VALUE_BYTES or value.count(b"{") + value.count(b"[") > MAX_DEPTH


class Classifier:
    """Decides on values and writes lines. One per dump: the parser's buffers are reused."""

    def __init__(self) -> None:
        self._parse = simdjson.Parser().parse

    def sound(self, value: bytes) -> bool:
        """Whether `value` is one JSON object, proven without building it (0.2 us at 256 B)."""
        # A byte order mark or a scalar does not start with a brace; a long value may be too deep.
        if not value.startswith(b"{") or (len(value) > _SHALLOW_BYTES and _suspect(value)):
            return reject_reason(value) is None
        try:
            self._parse(value)
        except (ValueError, RuntimeError):
            # E.g. an integer beyond 64 bits: sound JSON all the same.
            return reject_reason(value) is None
        return True

    def line(
        self,
        head: bytes,
        key: bytes | None,
        headers: Headers | None,
        value: bytes | None,
        reason: Reason | None = None,
    ) -> tuple[bytes, bool]:
        """The line for one record and whether its value was rejected, as with a `reason` it is.

        `head` is the coordinates' part, `{"partition":…,"timestamp":…`, without closing.
        """
        start = head + b',"key":' + encode_key(key)
        if headers:
            start += b',"headers":' + encode_headers(headers)
        if value is None:
            return start + b',"value":null,"tombstone":true}\n', False
        if reason is None and self.sound(value):
            return start + b',"value":' + value + b"}\n", False
        # `sound` said no, so there is a reason.
        reason = reason or reject_reason(value) or Reason.NOT_JSON
        kept = b',"value_bytes":"' + b64encode(value) + b'","reason":"' + reason.encode()
        return start + kept + b'"}\n', True


_PLAIN = bytes(c for c in range(0x20, 0x7F) if c not in b'"\\')  # as they are inside a JSON string


def encode_key(key: bytes | None) -> bytes:
    if key is None:
        return b"null"
    if not key.translate(None, _PLAIN):
        return b'"%b"' % key
    try:
        return orjson.dumps(key.decode())
    except UnicodeDecodeError:
        return b'null,"key_bytes":"' + b64encode(key) + b'"'


def encode_headers(headers: Headers) -> bytes:
    """`[["name", "text"], …]`; a header value that is not UTF-8 becomes `{"bytes": "<base64>"}`."""
    pairs: list[tuple[str, object]] = []
    for name, value in headers:
        try:
            pairs.append((name, None if value is None else value.decode()))
        except UnicodeDecodeError:
            pairs.append((name, {"bytes": b64encode(value or b"").decode()}))
    return orjson.dumps(pairs)


def single_line(lines: list[bytes]) -> bytes:
    """Joins lines; raw newlines between a value's tokens become spaces."""
    joined = b"".join(lines)
    if joined.count(b"\n") == len(lines) and b"\r" not in joined:
        return joined
    return b"".join(x[:-1].replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" for x in lines)


OrderMarks = MutableMapping[int, int]
