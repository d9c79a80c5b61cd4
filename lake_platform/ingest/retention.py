"""When records that were not read yet may age out of Kafka: told before it happens.

Both limits of a topic count, whichever comes first. By age: a record goes `retention.ms` after its
timestamp, at the earliest. By size: it goes when `retention.bytes` of newer ones are in its
partition; the speed is that of the whole topic between the last two looks, all in one partition,
so the forecast is early rather than late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lake_platform.domain.offsets import RawCommit, Retention
from lake_platform.domain.ports import NEVER, Progress


@dataclass(frozen=True, slots=True)
class Look:
    """Kafka as a dump saw it at `at` (ms), and where the dataset stood before it."""

    at: int
    ends: Mapping[int, int]
    retention: Retention | None
    before: Progress


def backlog(head: RawCommit | None, ends: Mapping[int, int]) -> dict[int, int]:
    """Offsets not read, of each partition that has any."""
    read = head.next_offsets if head else {}
    return {p: left for p, end in ends.items() if (left := end - read.get(p, 0)) > 0}


def forecast(head: RawCommit | None, look: Look) -> dict[str, int]:
    """`loss_at` and `kept_ms` of Progress."""
    if look.retention is None:
        return {"loss_at": 0, "kept_ms": 0}
    if look.retention == Retention():
        return {"loss_at": NEVER, "kept_ms": NEVER}
    kept = [ms for ms in (look.retention.ms, _filled_in_ms(head, look)) if ms is not None]
    losses = [at for at in (_by_age(head, look), _by_size(head, look)) if at]
    return {
        "loss_at": max(1, min(losses, default=0)) if losses else 0,
        "kept_ms": min(kept, default=0),
    }


def _by_age(head: RawCommit | None, look: Look) -> int | None:
    if look.retention is None or look.retention.ms is None:
        return None
    since = _unread_since(head, look)
    return since + look.retention.ms if since else None


def _unread_since(head: RawCommit | None, look: Look) -> int:
    """No unread record is older than this; 0 when that is not known yet. A partition's read
    position is as old as the newest record before it; what was once caught up with is read."""
    marks = head.order_marks if head else {}
    complete = look.before.complete_as_of
    return min((max(marks.get(p, 0), complete) for p in backlog(head, look.ends)), default=look.at)


def _by_size(head: RawCommit | None, look: Look) -> int | None:
    filled = _filled_in_ms(head, look)
    if filled is None or look.retention is None or look.retention.bytes is None:
        return None
    worst = max(backlog(head, look.ends).values(), default=0)
    share = worst * _record_bytes(head) / max(1, look.retention.bytes)
    return look.at + int(filled * max(0.0, 1 - share))


def _filled_in_ms(head: RawCommit | None, look: Look) -> int | None:
    """How long the topic takes to fill a partition's limit; None without limit or speed."""
    if look.retention is None or look.retention.bytes is None:
        return None
    speed = _records_per_ms(head, look) * _record_bytes(head)
    return int(look.retention.bytes / speed) if speed > 0 else None


def _records_per_ms(head: RawCommit | None, look: Look) -> float:
    before = look.before
    if not before.looked_at or look.at <= before.looked_at or head is None:
        return 0.0
    now = head.total_records + sum(backlog(head, look.ends).values())
    return max(0, now - before.records_ingested - before.backlog) / (look.at - before.looked_at)


def _record_bytes(head: RawCommit | None) -> float:
    """Of a raw line: about what an uncompressed Kafka record takes."""
    return head.total_bytes / head.total_records if head and head.total_records else 0.0
