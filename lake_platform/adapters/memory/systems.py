"""In-memory versions of the ports, held to the same contract suites as the real ones."""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lake_platform.adapters.memory.registry import MemoryRegistry
from lake_platform.domain.offsets import OffsetRange, Retention, TopicInfo
from lake_platform.errors import InvalidFieldError, OffsetsMissingError

_POLL_MESSAGES = 500


@dataclass(frozen=True, slots=True)
class MemoryMessage:
    _partition: int
    _offset: int
    _timestamp: int
    _key: bytes | None
    _value: bytes | None
    _headers: Sequence[tuple[str, bytes | None]] | None = None

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1 if self._timestamp >= 0 else 0, self._timestamp)

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        return self._headers


@dataclass
class _Partition:
    messages: list[MemoryMessage] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def between(self, start: int, end: int) -> list[MemoryMessage]:
        """The first few records of offsets `[start, end)`."""
        first = bisect_left(self.messages, start, key=MemoryMessage.offset)
        found = self.messages[first : first + _POLL_MESSAGES]
        return [m for m in found if m.offset() < end]


class MemoryKafka:
    """Topics in a dict, with the edges the platform cares about: retention, holes, re-creation."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[str, list[_Partition]]] = {}
        self._retention: dict[str, Retention] = {}
        self.registry = MemoryRegistry()
        self.reported: dict[tuple[str, str], dict[int, int]] = {}

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        self._topics[topic] = (uuid.uuid4().hex, [_Partition() for _ in range(partitions)])

    def delete_topic(self, topic: str) -> None:
        del self._topics[topic]

    def add_partitions(self, topic: str, total: int) -> None:
        held = self._partitions(topic)
        held += [_Partition() for _ in range(total - len(held))]

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = 0,
        timestamp_ms: int = 0,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> int:
        """Returns the record's offset."""
        held = self._partitions(topic)[partition]
        held.messages.append(MemoryMessage(partition, held.end, timestamp_ms, key, value, headers))
        held.end += 1
        return held.end - 1

    def leave_hole(self, topic: str, partition: int = 0, offsets: int = 1) -> None:
        """Offsets without a record, as transaction markers and compaction leave them."""
        self._partitions(topic)[partition].end += offsets

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Retention: drops the records with offset < `before`."""
        held = self._partitions(topic)[partition]
        held.start = max(held.start, before)
        held.messages = [m for m in held.messages if m.offset() >= before]

    def set_retention(
        self,
        topic: str,
        ms: int | None = None,
        size: int | None = None,
        tombstones_ms: int | None = None,
    ) -> None:
        """Only told, not enforced: `expire` does that. `size` in bytes a partition."""
        self._retention[topic] = Retention(ms, size, tombstones_ms)

    def describe(self, topic: str) -> TopicInfo:
        self._partitions(topic)
        topic_id, held = self._topics[topic]
        ranges = {i: OffsetRange(p.start, p.end) for i, p in enumerate(held)}
        return TopicInfo(topic_id, ranges, self._retention.get(topic, Retention()))

    def topic_id(self, topic: str) -> str:
        self._partitions(topic)
        return self._topics[topic][0]

    @contextmanager
    def open(self, topic: str, ranges: Mapping[int, OffsetRange]) -> Iterator[MemoryReader]:
        yield MemoryReader(topic, self._partitions(topic), ranges)

    def report_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        self.reported[group, topic] = dict(offsets)

    def _partitions(self, topic: str) -> list[_Partition]:
        if topic not in self._topics:
            raise InvalidFieldError("topic", topic, "does not exist", "create it first")
        return self._topics[topic][1]


class MemoryReader:
    def __init__(
        self, topic: str, held: Sequence[_Partition], ranges: Mapping[int, OffsetRange]
    ) -> None:
        self._topic = topic
        self._held = held
        self._ranges = dict(ranges)
        self._at = {p: r.start for p, r in ranges.items()}

    def poll(self) -> Sequence[MemoryMessage]:
        for partition, wanted in self._ranges.items():
            at = self._at[partition]
            if at >= wanted.end:
                continue
            held = self._held[partition]
            if at < held.start:
                gone = {partition: (at, min(held.start, wanted.end))}
                raise OffsetsMissingError("?", self._topic, gone)
            found = held.between(at, wanted.end)
            whole = len(found) < _POLL_MESSAGES
            self._at[partition] = min(wanted.end, held.end) if whole else found[-1].offset() + 1
            if found:
                return found
        return []

    def positions(self) -> Mapping[int, int]:
        return dict(self._at)

    def finished(self) -> bool:
        return all(self._at[p] >= r.end for p, r in self._ranges.items())
