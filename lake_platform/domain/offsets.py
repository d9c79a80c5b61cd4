"""Offset ranges, raw objects and raw commits: what the phase-1 commit log holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lake_platform.domain.dataset import Mode


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Half-open: `[start, end)`. Kafka may hold fewer records (compaction, transaction markers)."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class RawObject:
    """One gzip NDJSON object: records of one partition and one window, in offset order.

    `offset_sum` is the order-free digest (sum of offsets mod 2^64) a table can be held against.
    `rejected` counts the records kept as `value_bytes`; `tombstones` the null values, whose offsets
    add up to `tombstone_offset_sum` (None in logs of releases that did not keep it). `schemas` are
    the ids of registered schemas that values were read by.
    """

    key: str
    partition: int
    window: str
    first_offset: int
    last_offset: int
    records: int
    raw_bytes: int
    stored_bytes: int
    sha256: str
    min_timestamp: int
    max_timestamp: int
    offset_sum: int
    rejected: int = 0
    tombstones: int = 0
    tombstone_offset_sum: int | None = None
    schemas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RawCommit:
    """One slice, committed. `next_offsets` and the totals are cumulative, so the newest commit
    alone tells where to go on.

    `complete_as_of` (ms) is set on the slice that reached the end offsets, with the time at which
    those were read: all records older than it are in this commit or an earlier one.
    `order_marks` holds the highest believed record timestamp per partition (see records/envelope).
    `expired_at` (ms) is set by the cleaner when raw retention lets the objects go.
    """

    seq: int
    nonce: str
    topic: str
    topic_id: str
    committed_at: int
    ranges: Mapping[int, OffsetRange]
    next_offsets: Mapping[int, int]
    objects: tuple[RawObject, ...]
    order_marks: Mapping[int, int]
    total_records: int
    total_bytes: int
    misfiled: int = 0
    complete_as_of: int | None = None
    expired_at: int | None = None

    @property
    def records(self) -> int:
        return sum(o.records for o in self.objects)

    @property
    def raw_bytes(self) -> int:
        return sum(o.raw_bytes for o in self.objects)

    @property
    def windows(self) -> list[str]:
        return sorted({o.window for o in self.objects})

    def to_bytes(self) -> bytes:
        plain = _plain(self)
        plain["ranges"] = {p: _plain(r) for p, r in self.ranges.items()}
        plain["objects"] = [_plain(o) for o in self.objects]
        return json.dumps(plain, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> RawCommit:
        plain: dict[str, Any] = json.loads(data)
        plain["ranges"] = {int(p): OffsetRange(**r) for p, r in plain["ranges"].items()}
        plain["next_offsets"] = {int(p): n for p, n in plain["next_offsets"].items()}
        plain["order_marks"] = {int(p): n for p, n in plain["order_marks"].items()}
        plain["objects"] = tuple(
            RawObject(**o | {"schemas": tuple(o.get("schemas", ()))}) for o in plain["objects"]
        )
        return cls(**plain)


def _plain(held: Any) -> dict[str, Any]:
    """One level only: `asdict` copies all it meets, which a log of 100,000 commits feels."""
    return {name: getattr(held, name) for name in held.__slots__}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps records: by age, and by size of each partition. None: no limit.

    `tombstones_ms`: how old a tombstone must at least be before compaction takes it. Nobody can
    tell afterwards that it was there, so an upsert table that did not read it keeps the row.
    """

    ms: int | None = None
    bytes: int | None = None
    tombstones_ms: int | None = None

    def of(self, mode: Mode) -> Retention:
        """What counts for a table: only an upsert needs tombstones."""
        return self if mode == "upsert" else replace(self, tombstones_ms=None)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as Kafka has it now: earliest and end offset (exclusive) per partition.

    `retention` is None when we may not read the topic's settings.
    """

    topic_id: str
    ranges: Mapping[int, OffsetRange]
    retention: Retention | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets Kafka no longer had, acknowledged by an operator."""

    partition: int
    start: int
    end: int
    accepted_by: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """Bounds of what one dump commits at once."""

    max_bytes: int
    max_records: int
    roll_bytes: int = field(default=64 << 20)


def common(
    one: Mapping[int, OffsetRange], other: Mapping[int, OffsetRange]
) -> dict[int, OffsetRange]:
    both = {
        p: OffsetRange(max(r.start, other[p].start), min(r.end, other[p].end))
        for p, r in one.items()
        if p in other
    }
    return {p: r for p, r in both.items() if len(r)}


def listed(ranges: Mapping[int, OffsetRange]) -> str:
    return ", ".join(f"p{p} [{r.start}, {r.end})" for p, r in sorted(ranges.items()))
