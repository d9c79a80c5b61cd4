"""What a value that is no JSON object looks like: said to people, decides nothing.

A guess from the first bytes. It names what producers send by mistake and what to do about it.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from lake_platform.records.envelope import reject_reason

_PREFIX = 5  # a zero byte and four of a schema id
_GLUE_PREFIX = 18  # version, compression, and the 16 bytes of a schema version's UUID
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x82SNAPPY\x00", "snappy"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"Obj\x01", "an Avro file"),
    (b"\xc3\x01", "one Avro record with the fingerprint of its schema"),
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"\xac\xed\x00\x05", "a serialized Java object"),
)
_COMPRESSED = frozenset(["gzip", "zstd", "snappy", "lz4", "bzip2"])
_PLAIN = "send plain JSON text"
_WIRE_TYPES = (0, 1, 2, 5)
_SHOWN = 40
_MOST_KINDS = 3


def looks_like(value: bytes) -> str:
    """A few words on a value that is not exactly one JSON object."""
    if not value:
        return "an empty value"
    return _framed(value) or _binary(value) or _text(value)


def counted(values: Iterable[bytes]) -> str:
    """The kinds among `values` with their numbers, the most frequent first, each with an example;
    empty without values."""
    numbers: Counter[str] = Counter()
    examples: dict[str, bytes] = {}
    for value in values:
        kind = looks_like(value)
        numbers[kind] += 1
        examples.setdefault(kind, value[:_SHOWN])
    shown = [f"{n} {kind}, as {examples[kind]!r}" for kind, n in numbers.most_common(_MOST_KINDS)]
    more = len(numbers) - len(shown)
    return "; ".join([*shown, *([f"and {more} other kinds"] if more else [])])


class Watch:
    """Passes the first values of a topic on, and remembers those that can be no row."""

    def __init__(self) -> None:
        self.seen = self.tombstones = 0
        self.unfit: list[bytes] = []

    def over(self, values: Iterable[bytes | None]) -> Iterator[bytes | None]:
        for value in values:
            self.seen += 1
            if value is None:
                self.tombstones += 1
            elif reject_reason(value) is not None:
                self.unfit.append(value[: 1 << 16])
            yield value

    def warnings(self, topic: str, *, useful: bool) -> list[str]:
        """`useful`: some record gave a column."""
        found = []
        if self.unfit:
            found.append(
                f"{len(self.unfit)} of {self.seen} records of topic {topic} that were looked at "
                f"are not one JSON object each and will go to quarantine: {counted(self.unfit)}"
            )
        if not useful and self.seen > len(self.unfit):
            rest = self.seen - len(self.unfit)
            found.append(
                f"{rest} of {self.seen} records of topic {topic} that were looked at have no value "
                f"in any column ({self.tombstones} are tombstones): schema version 1 comes with "
                f"the first that has one"
            )
        return found


def _framed(value: bytes) -> str:
    if len(value) > _PREFIX and value[0] == 0:
        inner = value[_PREFIX:]
        prefix = "behind Confluent's five-byte prefix (a zero and a schema id)"
        if reject_reason(inner) is None:
            return (
                f"JSON {prefix}: written by a schema registry's serializer; register with "
                f"value_format=json_schema and set LAKE_REGISTRY_URL, or {_PLAIN}: a plain "
                f"serializer, or in Kafka Connect JsonConverter with schemas.enable=false"
            )
        if value[1] == 0:  # ids count up from 1
            return (
                f"binary {prefix}: Avro or Protobuf of a schema registry; register with "
                f"value_format=avro or value_format=protobuf and set LAKE_REGISTRY_URL"
            )
    if len(value) > _GLUE_PREFIX and value[0] == 3 and value[1] in (0, 5):
        return f"a value behind the prefix of AWS Glue's schema registry; {_PLAIN}"
    return ""


def _binary(value: bytes) -> str:
    for magic, name in _MAGIC:
        if value.startswith(magic):
            what = f"{name}, compressed by the producer's own code" if name in _COMPRESSED else name
            hint = " (Kafka's own compression.type is fine)" if name in _COMPRESSED else ""
            return f"{what}; {_PLAIN}{hint}"
    if value[:2] in (b"\xff\xfe", b"\xfe\xff") or value[1:2] == b"\x00" == value[3:4]:
        return "text in UTF-16; send UTF-8"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        kind = "Protobuf" if _is_protobuf(value) else "binary"
        return f"{kind}, or text that is not UTF-8; {_PLAIN} in UTF-8"
    if any(ord(c) < ord(" ") and c not in "\t\r\n" for c in text):
        return f"{'Protobuf' if _is_protobuf(value) else 'binary'}; {_PLAIN}"
    return ""


def _is_protobuf(value: bytes) -> bool:
    """Whether all of it reads as fields of a Protobuf message."""
    at = 0
    while at < len(value):
        tag, at = _varint(value, at)
        kind = tag & 7
        if tag >> 3 == 0 or kind not in _WIRE_TYPES or at < 0:
            return False
        if kind == 0:
            _, at = _varint(value, at)
        elif kind == 2:  # a length, then as many bytes
            length, at = _varint(value, at)
            at = at + length if at >= 0 else at
        else:
            at += 8 if kind == 1 else 4
        if at < 0:
            return False
    return at == len(value)


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """The number and where it ends; -1 when it does not."""
    number = 0
    for place, byte in enumerate(value[at : at + 10]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    return 0, -1


def _text(value: bytes) -> str:
    text = value.decode()
    if text.startswith("\ufeff"):
        return "text behind a byte order mark; send it without"
    stripped = text.strip()
    if not stripped:
        return "nothing but blanks"
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _no_json(stripped)
    if isinstance(parsed, str):
        inside = "a JSON document as a JSON string (encoded twice)"
        return f"{inside if _is_object(parsed) else 'a JSON string'}; send a JSON object"
    names = {list: "a JSON array", bool: "a JSON boolean", type(None): "a JSON null"}
    return f"{names.get(type(parsed), 'a JSON number')}; send a JSON object"


def _no_json(text: str) -> str:
    if text.startswith("<"):
        return f"XML or HTML; {_PLAIN}"
    if text.startswith(("{", "[")):
        return _broken(text)
    rows = list(csv.reader(text.splitlines()[:2], delimiter=_separator(text)))
    if rows and len(rows[0]) > 1 and "=" not in rows[0][0]:
        return f"text with {len(rows[0])} fields, as of a CSV file; {_PLAIN}"
    return f"plain text; {_PLAIN}"


def _separator(text: str) -> str:
    return max(",;\t|", key=text.count)


def _broken(text: str) -> str:
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        if re.match(r"[{\[]\s*'", text):
            return "JSON with single quotes, as Python prints a dict; send double quotes"
        why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        return f"broken or cut JSON ({why})"
    rest = text[end:].lstrip()
    if rest:
        several = rest.startswith(("{", "["))
        kind = "more than one JSON document" if several else "JSON with text behind it"
        return f"{kind} in one value"
    return "JSON beyond our limits, or with what only some parsers take (NaN, 1e400)"


def _is_object(text: str) -> bool:
    return reject_reason(text.encode("utf-8", "surrogatepass")) is None
