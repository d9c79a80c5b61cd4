"""The commits of a table in memory, and what their records did to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake_platform.domain.batches import AppliedBatch, BatchJob
from lake_platform.domain.layout import seq_name
from lake_platform.domain.quality import Balance

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """What one record does to the table: `row` is None for a delete of `key`."""

    partition: int
    offset: int
    order: int
    key: tuple[Any, ...]
    row: Row | None

    @property
    def place(self) -> tuple[int, int]:
        """The record's place in Kafka's order."""
        return self.order, self.offset


@dataclass(frozen=True, slots=True)
class Commit:
    nonce: str
    batch: AppliedBatch
    events: tuple[Event, ...]

    def to_bytes(self) -> bytes:
        events = [[e.partition, e.offset, e.order, e.key, e.row] for e in self.events]
        plain = {"nonce": self.nonce, "batch": self.batch.to_dict(), "events": events}
        return json.dumps(plain).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Commit:
        plain = json.loads(data)
        events = tuple(Event(p, o, at, tuple(k), row) for p, o, at, k, row in plain["events"])
        return cls(plain["nonce"], AppliedBatch.from_dict(plain["batch"]), events)


def merge(held: dict[Any, Event], event: Event, ordering_field: str | None) -> None:
    old = held.get(event.key)
    if event.row is None:
        if old is not None and old.place <= event.place:
            del held[event.key]
    elif old is None or old.row is None or rank(old, ordering_field) <= rank(event, ordering_field):
        held[event.key] = event


def rank(event: Event, ordering_field: str | None) -> tuple[Any, ...]:
    if ordering_field is None or event.row is None:
        return event.place
    return (event.row[ordering_field], *event.place)


def applied(
    job: BatchJob, number: int, events: Sequence[Event], before: Mapping[Any, Event]
) -> AppliedBatch:
    puts, deleted = sum(e.row is not None for e in events), 0
    if job.dataset.mode == "upsert":
        final = {e.key: e for e in sorted(events, key=lambda e: e.place)}
        puts = sum(e.row is not None for e in final.values())
        deleted = sum(e.row is None and e.key in before for e in final.values())
    rest = job.records + job.exploded - job.quarantined - job.dropped - puts - deleted
    balance = Balance(
        records=job.records,
        written=puts,
        # In a plain append nothing may be left over, so there it stays a difference.
        deduplicated=max(0, rest) if job.dataset.mode == "upsert" else 0,
        deleted=deleted,
        dropped=job.dropped,
        quarantined=job.quarantined,
        exploded=job.exploded,
        quarantined_deletes=job.quarantined_deletes,
    )
    return AppliedBatch(
        job.batch, job.applied, job.claim.epoch, seq_name(number), job.schema_version,
        job.replay, job.reapply, balance, job.quarantine_keys,
    )  # fmt: skip
