"""Mutations of records: bytes, tokens, encodings, structure, and attempts to forge the envelope."""

from __future__ import annotations

from random import Random

from lake_platform.adapters.memory.systems import MemoryMessage
from lake_platform.domain.windows import HOUR_MS
from tests.fuzz.corpus import Corpus

BASE_MS = 1_793_491_200_000  # 2026-11-01 00:00 UTC
_SPICE = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\n", b"\r", b"\xff",
    b"\xed\xa0\x80", b"\xc0\xaf", b"0", b"-", b"01", b"1e999", b"-1e400", b"1e-999", b"NaN",
    b"-Infinity", b"null",
    b"\xef\xbb\xbf", b"\\u12", b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b" ", b"\t", b"\x0b",
    b"\xe2\x80\xa8", b"\x85", b"\xc2\xa0", b"//", b"/**/", b"'", b"9223372036854775808", b"9" * 40,
    b"9" * 400, b"1." + b"0" * 1_001, b"\x7f", b"\x1f", b"+1", b".5", b"1.", b"0x1", b"True",
)  # fmt: skip
_FORGERIES = (
    b'},"offset":99,"x":{', b'}\n{"partition":0,"offset":99,"value":{}}', b',"tombstone":true',
    b'"},"value":{"a":"', b'}}', b'},"reason":"x","y":{', b'","reason":"x',
)  # fmt: skip
_KEYS = (
    None,
    b"",
    b"k",
    b'","offset":99,"x":"',
    b'k"}\n{"offset":99}',
    b"\\",
    b"\xff\xfe",
    b"\x00",
)
_HEADERS: tuple[tuple[str, bytes | None], ...] = (
    ("h", b"v"), ("h", None), ('","offset":9,"', b"\xff"), ("\n", b'"}\n{'), ("", b""),
)  # fmt: skip


def messages(
    chance: Random, corpus: Corpus, topic_number: int, partition: int, count: int
) -> list[MemoryMessage]:
    """`count` records of one partition, in offset order, holes among the offsets."""
    topic = corpus.topics[topic_number]
    made, offset, at_ms = [], chance.randrange(1 << 40), BASE_MS
    for _ in range(count):
        at_ms += chance.randrange(2_000)
        value = _value(chance, topic, corpus)
        key = chance.choice(_KEYS) if chance.random() < 0.2 else b"%d" % offset
        headers = chance.choices(_HEADERS, k=2) if chance.random() < 0.05 else None
        made.append(MemoryMessage(partition, offset, _clock(chance, at_ms), key, value, headers))
        offset += 1 if chance.random() < 0.98 else chance.randrange(1, 1 << 16)
    return made


def _clock(chance: Random, at_ms: int) -> int:
    if chance.random() > 0.01:
        return at_ms
    return chance.choice((-1, 0, at_ms - 50 * HOUR_MS, at_ms + 9_000 * HOUR_MS, (1 << 62)))


def _value(chance: Random, topic: tuple[bytes, ...], corpus: Corpus) -> bytes | None:
    dice = chance.random()
    if dice < 0.01:
        return None
    if dice < 0.10 and corpus.documents:
        text = chance.choice(corpus.documents)
        return text if chance.random() < 0.3 else b'{"a":%b}' % text
    value = chance.choice(topic)
    if dice < 0.25:
        return value
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = chance.choice(_MUTATIONS)(chance, value, topic)
    return value


def _bytes(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    at = chance.randrange(len(value) + 1)
    return value[:at] + bytes([chance.randrange(256)]) + value[at + chance.randint(0, 2) :]


def _spice(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    at = chance.randrange(len(value) + 1)
    return value[:at] + chance.choice(_SPICE) + value[at + chance.randint(0, 3) :]


def _truncate(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    return value[: chance.randrange(len(value) + 1)]


def _splice(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:
    other = chance.choice(topic)
    return value[: chance.randrange(len(value) + 1)] + other[chance.randrange(len(other) + 1) :]


def _forge(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    at = max(0, len(value) - chance.randint(0, 1))
    if chance.random() < 0.3:
        at = chance.randrange(len(value) + 1)
    return value[:at] + chance.choice(_FORGERIES) + value[at:]


def _space(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    """Whitespace after a structural byte: sound JSON stays sound outside strings."""
    for mark in (b",", b":", b"{"):
        if chance.random() < 0.5:
            value = value.replace(mark, mark + chance.choice((b"\n", b" ", b"\r\n", b"\t")), 2)
    return value


def _member(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:
    """One more member in front: new, doubled, or a whole record."""
    name = chance.choice((b"id", b"new", b"ID", b"value", b"a.b", b"_kafka_offset", b"\\u0069d"))
    inner = chance.choice((b"1", b"null", b'"x"', b"[]", b"-0.0", b"1e2", chance.choice(topic)))
    return value.replace(b"{", b'{"%b":%b,' % (name, inner), 1)


def _nest(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    depth = chance.choice((1, 2, 50, 98, 99, 100, 101, 200, 600, 1_100))
    if len(value) > 2_000:
        return value
    if chance.random() < 0.5:
        return b'{"a":' * depth + value + b"}" * depth
    return b'{"a":' + b"[" * depth + value + b"]" * depth + b"}"


def _encode(chance: Random, value: bytes, topic: tuple[bytes, ...]) -> bytes:  # noqa: ARG001
    text = value.decode("latin-1")
    return text.encode(chance.choice(("utf-16", "utf-16-be", "utf-8", "utf-32-le", "utf-8-sig")))


_MUTATIONS = (_bytes, _bytes, _spice, _spice, _truncate, _splice, _forge, _space, _space, _member,
              _member, _nest, _encode)  # fmt: skip
