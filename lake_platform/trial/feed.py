"""Sends the records of files to a topic in memory, and remembers the line each came from."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lake_platform.domain.ports import Clock, Kafka
from lake_platform.trial.records import Record, read_records

# What is sent before it is dumped: memory stays flat whatever the size of a file.
_CHUNK_RECORDS = 100_000
_CHUNK_BYTES = 64 << 20


class Topic(Kafka, Protocol):
    """A topic that can be written to; see adapters/memory/systems."""

    def create_topic(self, topic: str, partitions: int = 1) -> None: ...
    def add_partitions(self, topic: str, total: int) -> None: ...
    def expire(self, topic: str, partition: int, before: int) -> None: ...
    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = 0,
        timestamp_ms: int = 0,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> int: ...


@dataclass
class _Origins:
    """Of one partition: offset `firsts[i]` and those behind it are from `files[i]`."""

    firsts: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))


class Feed:
    def __init__(self, topic: Topic, name: str, clock: Clock) -> None:
        self._topic, self._name, self._clock = topic, name, clock
        self._origins: list[_Origins] = [_Origins()]
        topic.create_topic(name)

    def send_file(self, path: Path, *, whole: bool) -> Iterator[int]:
        """Sends a file a chunk at a time; yields the records of each, to be dumped before more
        come."""
        return self.send(str(path), read_records(path, whole=whole))

    def send(self, source: str, records: Iterator[Record]) -> Iterator[int]:
        """As `send_file`; `source` is what `origin` calls it."""
        count = size = 0
        for record in records:
            self._send(source, record)
            count, size = count + 1, size + len(record.value or b"")
            if count >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
                yield count
                count = size = 0
        if count:
            yield count

    def forget(self, dumped: Mapping[int, int]) -> None:
        """Takes what was dumped out of the topic; `dumped`: the next offset of each partition."""
        for partition, offset in dumped.items():
            self._topic.expire(self._name, partition, offset)

    def origin(self, partition: int, offset: int) -> tuple[str, int] | None:
        """File and line of a record."""
        if partition >= len(self._origins):
            return None
        held = self._origins[partition]
        if not 0 <= offset < len(held.lines):
            return None
        return held.files[bisect_right(held.firsts, offset) - 1], held.lines[offset]

    def _send(self, source: str, record: Record) -> None:
        if record.partition >= len(self._origins):
            self._topic.add_partitions(self._name, record.partition + 1)
            missing = record.partition + 1 - len(self._origins)
            self._origins += [_Origins() for _ in range(missing)]
        at = self._clock() if record.timestamp is None else record.timestamp
        offset = self._topic.produce(
            self._name, record.key, record.value,
            partition=record.partition, timestamp_ms=at, headers=record.headers or None,
        )  # fmt: skip
        held = self._origins[record.partition]
        if not held.files or held.files[-1] != source:
            held.firsts.append(offset)
            held.files.append(source)
        held.lines.append(record.line)
