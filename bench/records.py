"""The records of the benchmarks, and how many of what must be found at the end.

A: events of 256 bytes, B: of 1 KB, as a JSON object each. `update_share` of them carry the id of an
earlier record, which is what an upsert table merges.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

PARTITIONS = 8
SIZES = {"A": 256, "B": 1024}
_SPREAD_MS = 4 * 3_600_000
_SNIPPETS = 4096
_KINDS = ("page_view", "add_to_cart", "checkout", "refund", "search", "login")
_COUNTRIES = ("DE", "FR", "US", "IN", "BR", "JP", "NG", "PL")
_WORDS = [
    "amber",
    "river",
    "stone",
    "quiet",
    "north",
    "signal",
    "paper",
    "cloud",
    "garden",
    "window",
    "copper",
    "silver",
    "morning",
    "harbor",
    "letter",
    "bridge",
    "market",
    "yellow",
    "thunder",
    "pocket",
    "winter",
    "candle",
    "forest",
    "mirror",
    "engine",
]


@dataclass(frozen=True)
class Expected:
    """What a topic holds. `value_crc` is the sum of the values' CRC-32, free of order;
    `latest_seq_sum` the sum of `seq` over the last record of each id."""

    records: int = 0
    value_bytes: int = 0
    value_crc: int = 0
    keys: int = 0
    latest_seq_sum: int = 0


@dataclass
class Events:
    """A stream of records that knows what it made."""

    shape: str = "A"
    update_share: float = 0.0
    spread_over: int = 1_000_000
    seed: int = 7
    records: int = 0
    value_bytes: int = 0
    value_crc: int = 0
    latest: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - the same records in every run
        size = SIZES[self.shape]
        self._texts = [self._text(size) for _ in range(_SNIPPETS)]
        self._started = int(time.time() * 1000) - _SPREAD_MS - 60_000

    @property
    def expected(self) -> Expected:
        return Expected(
            self.records, self.value_bytes, self.value_crc, len(self.latest), sum(self.latest)
        )

    def make(self, count: int) -> Iterator[tuple[bytes, bytes, int]]:
        """`count` more records: key, value, timestamp (ms)."""
        size, texts, rand = SIZES[self.shape], self._texts, self._random.random
        for seq in range(self.records, self.records + count):
            number = len(self.latest)
            if self.update_share and number and rand() < self.update_share:
                number = int(rand() * number)
                self.latest[number] = seq
            else:
                self.latest.append(seq)
            timestamp = self._started + min(seq, self.spread_over) * _SPREAD_MS // self.spread_over
            key = b"id-%09d" % number
            head = b'{"id":"%s","seq":%d,' % (key, seq) + self._middle(seq, timestamp)
            value = head + texts[seq % _SNIPPETS][: size - len(head) - 2] + b'"}'
            self.value_bytes += len(value)
            self.value_crc += zlib.crc32(value)
            yield key, value, timestamp
        self.records += count

    def _middle(self, seq: int, timestamp: int) -> bytes:
        mixed = seq * 2654435761 % (1 << 32)
        at = datetime.fromtimestamp(timestamp // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            b'"event":"%s","at":"%s","user_id":%d,"amount":%d.%02d,"country":"%s","new":%s,'
            b'"page":{"path":"/p/%x","ms":%d},"text":"'
            % (
                _KINDS[mixed % 6].encode(), at.encode(), mixed % 500_000, mixed % 900, mixed % 100,
                _COUNTRIES[mixed % 8].encode(), b"true" if mixed % 3 else b"false",
                mixed % 65_536, mixed % 4_000,
            )
        )  # fmt: skip

    def _text(self, size: int) -> bytes:
        words = self._random.choices(_WORDS, k=size // 4)
        return " ".join(words).encode().ljust(size)


def produce(bootstrap: str, topic: str, events: Events, count: int) -> Expected:
    """Appends `count` records to the topic, a key always to the same partition.

    Raises: RuntimeError when the broker did not take all of them.
    """
    from confluent_kafka import KafkaException, Producer

    failed: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.num.messages": 20_000,
            "queue.buffering.max.messages": 500_000,
            "compression.type": "lz4",
            "acks": "all",
            "enable.idempotence": True,
            "on_delivery": lambda error, _message: failed.append(error) if error else None,
        }
    )
    for key, value, timestamp in events.make(count):
        while True:
            try:
                producer.produce(topic, value, key, timestamp=timestamp)
                break
            except BufferError:
                producer.poll(0.2)
    try:
        left = producer.flush(120)
    except KafkaException as error:
        raise RuntimeError(f"producing to {topic}: {error}") from error
    if left or failed:
        raise RuntimeError(f"producing to {topic}: {left + len(failed)} records were not taken")
    return events.expected
