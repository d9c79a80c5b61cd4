"""What becomes of a dataset that is retired, for who is asked whether it shall be."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lake_platform.domain.progress import (
    DatasetRecord,
    Progress,
    time_to_data_loss_seconds,
)


def lost_by_retiring(
    record: DatasetRecord, progress: Progress, open_incidents: int, now_ms: int
) -> Iterator[str]:
    """Sentences: what stops, what may be lost, what stays."""
    table, topic = record.dataset.table, record.dataset.topic
    yield f"{table} is {record.status}: nothing is dumped and nothing is loaded any more"
    yield from _unread(record, progress, now_ms)
    pending = progress.waiting
    if pending > 0:
        yield f"{pending} raw commits wait to be loaded; they stay in raw"
    if open_incidents:
        yield f"its open incidents ({open_incidents}) are closed as retired"
    yield (
        "table, raw, quarantine and history stay where they are, and no maintenance looks after "
        "them; checks, metrics and assets are gone from the displays; the name stays taken"
    )
    yield (
        f"it can be taken back: lake datasets unretire {table} goes on where it stood, as long as "
        f"its files are there and Kafka still has what topic {topic} got meanwhile"
    )


def _unread(record: DatasetRecord, progress: Progress, now_ms: int) -> Iterator[str]:
    left = time_to_data_loss_seconds(record, progress, now_ms)
    unread = f"{progress.backlog} records" if progress.backlog else "what comes from now on"
    if left is None or math.isinf(left):
        yield f"lost is what Kafka drops before it is read: {unread}, once its retention is over"
    else:
        hours = left / 3600
        yield f"lost is what Kafka drops before it is read: {unread} may go in {hours:.1f} hours"
