"""Fills the ledger: what each side holds, nothing judged yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lake_platform.audit.declared import MessageReader
from lake_platform.audit.ledger import Ledger
from lake_platform.audit.raw import (
    RawLine,
    listed_objects,
    logged_objects,
    read_object,
    read_quarantine,
)
from lake_platform.audit.report import Problem
from lake_platform.audit.sources import Sources, TableReader, TopicLook
from lake_platform.audit.subject import Subject
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import Gap, OffsetRange, RawCommit
from lake_platform.domain.own_columns import ORDINAL, PLACE
from lake_platform.domain.ports import KafkaMessage

# Lines as DuckDB takes them: coordinates that are null must count as alien, not vanish in a join.
_LAKE_COLUMNS = "coalesce(_kafka_partition, -1), coalesce(_kafka_offset, -1)"
# Of an exploded record: its rows are one, and each that is there twice is one more.
_ONE_A_RECORD = """
INSERT INTO lake
SELECT part, off, min(ts) FROM lake_elements GROUP BY part, off
UNION ALL
SELECT part, off, ts FROM (
  SELECT *, row_number() OVER (PARTITION BY part, off, ord) AS number FROM lake_elements)
WHERE number > 1
"""


class Sink(Protocol):
    """Wants to know of every record beyond its coordinates."""

    def message(self, message: KafkaMessage) -> None: ...

    def raw_line(self, line: RawLine) -> None: ...

    def close(self) -> None:
        """All were seen."""
        ...


@dataclass(frozen=True, slots=True)
class Sinks:
    """Several as one, or none."""

    sinks: Sequence[Sink] = ()

    def __bool__(self) -> bool:
        return bool(self.sinks)

    def message(self, message: KafkaMessage) -> None:
        for sink in self.sinks:
            sink.message(message)

    def raw_line(self, line: RawLine) -> None:
        for sink in self.sinks:
            sink.raw_line(line)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()


@dataclass(frozen=True, slots=True)
class Reach:
    """How far Kafka can vouch. `usable`: it still is the topic the log was read from."""

    look: TopicLook
    usable: bool

    def holds(self, partition: int, offset: int) -> bool:
        """Whether the offset is in what Kafka has not aged out."""
        held = self.look.ranges.get(partition)
        return self.usable and held is not None and offset >= held.start

    def vouches(self, partition: int, offset: int) -> bool:
        """Whether a record that raw has must be in Kafka, too."""
        return self.holds(partition, offset) and not self.look.compacted


def reach_of(look: TopicLook, commits: Sequence[RawCommit]) -> Reach:
    return Reach(look, usable=bool(look.topic_id) and look.topic_id == commits[-1].topic_id)


def put_log(ledger: Ledger, commits: Sequence[RawCommit], gaps: Sequence[Gap]) -> None:
    for commit in commits:
        for partition, held in commit.ranges.items():
            ledger.add(
                "spans", partition, held.start, held.end, commit.seq, commit.committed_at,
                commit.expired_at is not None,
            )  # fmt: skip
    for gap in gaps:
        ledger.add("gaps", gap.partition, gap.start, gap.end)


def put_table(ledger: Ledger, reader: TableReader, dataset: Dataset) -> None:
    columns = [*PLACE, "_kafka_timestamp"]
    select = f"{_LAKE_COLUMNS}, epoch_ms(_kafka_timestamp)"
    if not dataset.explode:
        for batch in reader.batches(dataset, columns):
            ledger.add_arrow("lake", batch, select)
        return
    for batch in reader.batches(dataset, [*columns, ORDINAL]):
        ledger.add_arrow("lake_elements", batch, f"{select}, {ORDINAL}")
    ledger.run(_ONE_A_RECORD)


def put_quarantine(
    ledger: Ledger, sources: Sources, dataset: Dataset, problems: list[Problem]
) -> None:
    for window, line in read_quarantine(sources.files, dataset.table, problems):
        place = line.record.partition, line.record.offset
        ledger.add("quarantine", *place, window, line.reason)


def put_topic(
    ledger: Ledger, sources: Sources, subject: Subject, reach: Reach, sink: Sinks
) -> None:
    """Reads what Kafka still holds of the offsets the log says were read."""
    if not reach.usable:
        return
    begins, ends = subject.begins, subject.commits[-1].next_offsets
    ranges = {
        p: OffsetRange(max(held.start, begins.get(p, 0)), min(held.end, ends[p]))
        for p, held in reach.look.ranges.items()
        if p in ends and begins.get(p, 0) < ends[p]
    }
    for partition, wanted in ranges.items():
        ledger.add("starts", partition, wanted.start)
    plain = subject.dataset.value_format == "json"
    read = None if plain else MessageReader(sources.files, subject.dataset)
    for messages in sources.topic.read(subject.dataset.topic, ranges):
        for m in messages if read is None else map(read, messages):
            ledger.add("kafka", m.partition(), m.offset(), m.timestamp()[1], m.value() is None)
            if sink:
                sink.message(m)


def put_raw(
    ledger: Ledger, sources: Sources, subject: Subject, reach: Reach, problems: list[Problem],
    sink: Sinks,
) -> int:  # fmt: skip
    """Reads every object the log names and every one it does not; the number of the latter."""
    dataset, logged = subject.dataset, logged_objects(subject.commits)
    known = {o.key for c in subject.log for o in c.objects}
    orphans = [
        o for k, o in listed_objects(sources.files, dataset.topic, dataset.raw_table).items()
        if k not in known
    ]  # fmt: skip
    for found in (*logged, *orphans):
        for line in read_object(sources.files, found, problems):
            ledger.add(
                "raw", line.partition, line.offset, line.timestamp, line.tombstone, found.window,
                found.raw is not None,
            )  # fmt: skip
            if sink and not reach.vouches(line.partition, line.offset):
                sink.raw_line(line)
    return len(orphans)
