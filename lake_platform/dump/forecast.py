"""When records that were not read yet may age out of Kafka: told before it happens.

All limits of a topic count, whichever comes first. By age: a record goes `retention.ms` after its
timestamp, at the earliest; a tombstone of a compacted topic `min.compaction.lag.ms` and
`delete.retention.ms` after it, which matters to upsert tables. By size: a record goes when
`retention.bytes` of newer ones are in its partition; the speed is that of the whole topic between
the last two looks, all in one partition, so the forecast is early rather than late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lake_platform.domain.offsets import OffsetRange, RawCommit, Retention
from lake_platform.domain.progress import NEVER, Progress

_CENTURY_MS = 100 * 365 * 86_400_000  # what is kept longer is kept; some write 2^63-1 for ever


@dataclass(frozen=True, slots=True)
class Look:
    """Kafka as a dump saw it at `at` (ms): what it will read of each partition, and where the
    dataset stood before."""

    at: int
    ranges: Mapping[int, OffsetRange]
    retention: Retention | None
    before: Progress


def backlog(head: RawCommit | None, look: Look) -> dict[int, int]:
    """Offsets of `look.ranges` not read, of each partition that has any."""
    read = head.next_offsets if head else {}
    left = {p: r.end - max(r.start, read.get(p, 0)) for p, r in look.ranges.items()}
    return {p: offsets for p, offsets in left.items() if offsets > 0}


def forecast(head: RawCommit | None, look: Look) -> dict[str, int]:
    """`loss_at` and `kept_ms` of Progress."""
    if look.retention is None:
        return {"loss_at": 0, "kept_ms": 0}
    ages = [ms for ms in (look.retention.ms, look.retention.tombstones_ms) if ms is not None]
    age, size = min((ms for ms in ages if ms < _CENTURY_MS), default=None), look.retention.bytes
    if age is None and size is None:
        return {"loss_at": NEVER, "kept_ms": NEVER}
    filled = None if size is None else _filled_in_ms(head, look, size)
    losses = [
        0 if age is None else _by_age(head, look, age),
        0 if filled is None or size is None else _by_size(head, look, size, filled),
    ]
    kept = [ms for ms in (age, filled) if ms is not None]
    return {
        "loss_at": min((at for at in losses if at), default=0),
        "kept_ms": min(kept, default=0),
    }


def _by_age(head: RawCommit | None, look: Look, limit_ms: int) -> int:
    """0 when not known yet: nothing of a partition was ever read. A partition's read position is as
    old as the newest record before it, and what was once caught up with is read."""
    marks = head.order_marks if head else {}
    complete = look.before.complete_as_of
    ages = [max(marks.get(p, 0), complete) for p in backlog(head, look)]
    since = min(ages, default=look.at)
    return since + limit_ms if since else 0


def _by_size(head: RawCommit | None, look: Look, limit_bytes: int, filled_ms: int) -> int:
    worst = max(backlog(head, look).values(), default=0) * _record_bytes(head)
    return look.at + int(filled_ms * max(0.0, 1 - worst / max(1, limit_bytes)))


def _filled_in_ms(head: RawCommit | None, look: Look, limit_bytes: int) -> int | None:
    """How long the topic takes to fill a partition's limit; as known before while it stands still,
    None when that is nothing."""
    speed = _records_per_ms(head, look) * _record_bytes(head)
    if speed > 0:
        return min(_CENTURY_MS, int(limit_bytes / speed))
    return look.before.kept_ms if look.before.kept_ms > 0 else None


def _records_per_ms(head: RawCommit | None, look: Look) -> float:
    before = look.before
    if not before.looked_at or look.at <= before.looked_at or head is None:
        return 0.0
    now = head.total_records + sum(backlog(head, look).values())
    return max(0, now - before.records_ingested - before.backlog) / (look.at - before.looked_at)


def _record_bytes(head: RawCommit | None) -> float:
    """Of a raw line: about what an uncompressed Kafka record takes."""
    return head.total_bytes / head.total_records if head and head.total_records else 0.0
