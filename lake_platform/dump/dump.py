"""Phase 1: Kafka to raw objects, committed slice by slice. Knows nothing of Dagster or Spark."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import Gap, OffsetRange, RawCommit, TopicInfo
from lake_platform.domain.pool import InProcess
from lake_platform.domain.progress import Progress
from lake_platform.domain.windows import window_start_ms
from lake_platform.dump.failures import OVER, noted
from lake_platform.dump.forecast import Look, backlog, forecast
from lake_platform.dump.part import OffsetsGoneError
from lake_platform.dump.shares import Reading, jobs
from lake_platform.errors import (
    CommitRaceError,
    InvalidFieldError,
    KafkaUnavailableError,
    NotRunnableError,
    OffsetsMissingError,
    OffsetsWentBackError,
    TopicRecreatedError,
)
from lake_platform.raw import log as raw_log
from lake_platform.raw import schemas as raw_schemas

_MAX_SLICE_MS = 12 * 3_600_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The ranges of one dump; their ends were read at `look.at` and stay fixed."""

    topic_id: str
    look: Look

    @property
    def ranges(self) -> Mapping[int, OffsetRange]:
        return self.look.ranges

    @property
    def as_of(self) -> int:
        return self.look.at


@noted
def dump(
    table: str, ports: Ports, limits: Limits, stop: Callable[[], bool] = lambda: False
) -> Iterator[RawCommit]:
    """Reads the topic up to the end offsets of now; yields each slice after it is committed.

    `stop` is asked between slices. Whatever ends this generator, the log holds whole slices only,
    and the next dump goes on behind the last one.

    Raises:
        OffsetsMissingError, TopicRecreatedError, OffsetsWentBackError: an operator must decide.
        InvalidFieldError: the dataset reads the raw of another one.
        CommitRaceError: another dump of the dataset was faster.
        KafkaUnavailableError, StorageUnavailableError, WorkerLostError: try again.
    """
    record = ports.metastore.get(table)
    if record.status in {Status.PAUSED, Status.RETIRED}:
        raise NotRunnableError(table, record.status)
    check_own_raw(record.dataset)
    before = ports.metastore.progress(table)
    head = raw_log.head(ports.store, table, before.head_seq)
    if record.status == Status.REGISTERED:
        ports.metastore.set_status(table, Status.BOOTSTRAPPING)
    if head is not None and head.seq > before.head_seq:
        # A writer died between its commit and this. Before the plan: that may stop the dataset.
        _publish(table, ports, head)
    plan = _plan(record.dataset, head, before, ports)
    if backlog(head, plan.look):
        ports.metastore.update_progress(table, **_seen(head, plan))  # should it never be read
    with _open(record.dataset, plan, head, ports, limits) as reading:
        while not reading.finished and not stop():
            head = _dump_slice(record.dataset, reading, plan, head, ports, limits)
            _publish(table, ports, head, **_seen(head, plan))
            yield head
        if reading.finished:
            _caught_up(table, ports, head, plan)


def check_own_raw(dataset: Dataset) -> None:
    """Raises: InvalidFieldError for one that reads the raw of another dataset."""
    if dataset.raw_from:
        raise InvalidFieldError(
            "table", dataset.table, f"reads the raw of {dataset.raw_from}, and has no dump",
            f"dump is of {dataset.raw_from}: lake dump {dataset.raw_from}, lake gaps accept "
            f"{dataset.raw_from}",
        )  # fmt: skip


@contextmanager
def _open(
    dataset: Dataset, plan: _Plan, head: RawCommit | None, ports: Ports, limits: Limits
) -> Iterator[Reading]:
    """In this process, unless there is enough to read for several."""
    most = limits.dump_processes or (ports.pool.size if ports.pool else 1)
    shares = jobs(dataset, plan.ranges, head, most if ports.pool else 1)
    alone = InProcess(ports.kafka, ports.store, ports.clock)
    pool = ports.pool if ports.pool and len(shares) > 1 else alone
    with pool.open(shares) as crew:
        yield Reading.begin(crew, shares, plan.ranges)


def missing_ranges(table: str, ports: Ports) -> Mapping[int, OffsetRange]:
    """Offsets that were never read and that Kafka no longer holds, less accepted gaps."""
    dataset = ports.metastore.get(table).dataset
    check_own_raw(dataset)
    head = raw_log.head(ports.store, table)
    info = ports.kafka.describe(dataset.topic)
    starts = _starts(head, info, ports.metastore.accepted_gaps(table))
    return _missing(starts, info)


def _plan(dataset: Dataset, head: RawCommit | None, before: Progress, ports: Ports) -> _Plan:
    as_of = ports.clock()  # before the ends are read: what came later is not claimed complete
    info = ports.kafka.describe(dataset.topic)
    if head is not None:
        _check_same_topic(dataset, head, info)
    starts = _starts(head, info, ports.metastore.accepted_gaps(dataset.table))
    for partition, start in starts.items():
        if start > info.ranges[partition].end:
            end = info.ranges[partition].end
            raise OffsetsWentBackError(dataset.table, dataset.topic, partition, start, end)
    missing = _missing(starts, info)
    if missing:
        gone = {p: (r.start, r.end) for p, r in missing.items()}
        raise OffsetsMissingError(dataset.table, dataset.topic, gone)
    ranges = {p: OffsetRange(s, info.ranges[p].end) for p, s in starts.items()}
    retention = info.retention and info.retention.of(dataset.mode)
    return _Plan(info.topic_id, Look(as_of, ranges, retention, before))


def _check_same_topic(dataset: Dataset, head: RawCommit, info: TopicInfo) -> None:
    fewer = set(head.next_offsets) - set(info.ranges)
    if head.topic_id != info.topic_id or fewer:
        raise TopicRecreatedError(dataset.table, dataset.topic, head.topic_id, info.topic_id)


def _starts(head: RawCommit | None, info: TopicInfo, gaps: Sequence[Gap]) -> dict[int, int]:
    """Where to go on: the first dump at the earliest offset, a new partition at 0."""
    if head is None:
        return {p: r.start for p, r in info.ranges.items()}
    starts = {p: head.next_offsets.get(p, 0) for p in info.ranges}
    for gap in sorted(gaps, key=lambda g: g.start):
        if gap.partition in starts and gap.start <= starts[gap.partition] < gap.end:
            starts[gap.partition] = gap.end
    return starts


def _missing(starts: Mapping[int, int], info: TopicInfo) -> dict[int, OffsetRange]:
    return {
        p: OffsetRange(start, info.ranges[p].start)
        for p, start in starts.items()
        if start < info.ranges[p].start
    }


def _dump_slice(
    dataset: Dataset,
    reading: Reading,
    plan: _Plan,
    head: RawCommit | None,
    ports: Ports,
    limits: Limits,
) -> RawCommit:
    nonce = uuid.uuid4().hex[:12]
    began_at = ports.clock()
    try:
        read = reading.read(nonce, head.order_marks if head else {}, limits.slice)
    except OffsetsGoneError as error:
        raise _missing_error(error, dataset, reading, plan, ports) from error
    _check_young(dataset.table, ports.clock() - began_at)
    _check_not_re_created(dataset, plan, ports)
    commit = RawCommit(
        seq=head.seq + 1 if head else 1,
        nonce=nonce,
        topic=dataset.topic,
        topic_id=plan.topic_id,
        committed_at=ports.clock(),
        ranges=read.ranges,
        next_offsets=read.positions,
        objects=read.objects,
        order_marks=read.order_marks,
        total_records=(head.total_records if head else 0) + sum(o.records for o in read.objects),
        total_bytes=(head.total_bytes if head else 0) + sum(o.raw_bytes for o in read.objects),
        misfiled=read.misfiled,
        complete_as_of=plan.as_of if reading.finished else None,
    )
    raw_schemas.keep(ports.store, dataset.table, read.declared.values())
    raw_log.append(ports.store, dataset.table, commit)
    return commit


def _missing_error(
    error: OffsetsGoneError, dataset: Dataset, reading: Reading, plan: _Plan, ports: Ports
) -> OffsetsMissingError:
    """The reader knows neither for whom it reads nor what Kafka still holds."""
    _check_not_re_created(dataset, plan, ports)
    at = {**reading.positions, **error.positions}
    left = {p: position for p, position in at.items() if position < plan.ranges[p].end}
    missing = _missing(left, ports.kafka.describe(dataset.topic))
    gone = {p: (r.start, r.end) for p, r in missing.items()}
    return OffsetsMissingError(dataset.table, dataset.topic, gone or error.ranges)


def _check_not_re_created(dataset: Dataset, plan: _Plan, ports: Ports) -> None:
    """What was read before this is of the topic that was planned, if it still is the same.

    Raises: TopicRecreatedError; InvalidFieldError when there is none of that name any more.
    """
    found = ports.kafka.topic_id(dataset.topic)
    if found != plan.topic_id:
        raise TopicRecreatedError(dataset.table, dataset.topic, plan.topic_id, found)


def _check_young(table: str, age_ms: int) -> None:
    """The cleaner takes objects that no commit names after a day. Raises: CommitRaceError."""
    if age_ms > _MAX_SLICE_MS:
        raise CommitRaceError(
            f"dataset {table!r}: this writer stood still for {age_ms // 3_600_000} h, so the "
            f"cleaner may have removed what it uploaded; the slice was not committed, dump again"
        )


def _publish(table: str, ports: Ports, head: RawCommit, **values: int) -> None:
    """Tells the metastore; the log stays the truth, this only lets others look cheaply."""
    ports.metastore.update_progress(
        table,
        head_seq=head.seq,
        records_ingested=head.total_records,
        bytes_ingested=head.total_bytes,
        dumped_at=ports.clock(),
        **_begins(head),
        **OVER,
        **values,
    )


def _begins(commit: RawCommit) -> dict[str, int]:
    first = min(commit.windows, default="")
    return {"begins_at": window_start_ms(first)} if first else {}


def _seen(head: RawCommit | None, plan: _Plan) -> dict[str, int]:
    left = sum(backlog(head, plan.look).values())
    return {"backlog": left, "looked_at": plan.as_of, **forecast(head, plan.look)}


def _caught_up(table: str, ports: Ports, head: RawCommit | None, plan: _Plan) -> None:
    seq = head.seq if head else 0
    values: dict[str, int | str] = {
        "backlog": 0, "complete_as_of": plan.as_of, "dumped_at": ports.clock(),
        "looked_at": plan.as_of, **OVER, **forecast(head, plan.look),
    }  # fmt: skip
    if ports.metastore.progress(table).applied_seq >= seq:
        values["complete_through"] = plan.as_of
    ports.metastore.update_progress(table, **values)
    for record in (ports.metastore.get(table), *ports.metastore.readers(table)):
        progress = ports.metastore.progress(record.dataset.table)
        whole = progress.applied_seq >= seq and not progress.all_quarantined
        if whole and record.status == Status.BOOTSTRAPPING:
            ports.metastore.set_status(record.dataset.table, Status.LIVE)
    if head is not None:
        try:
            dataset = ports.metastore.get(table).dataset
            ports.kafka.report_offsets(f"lake-{table}", dataset.topic, head.next_offsets)
        except KafkaUnavailableError as error:
            # Display only, in Kafka's own tools; our log is the truth.
            _log.warning("group offsets not shown in Kafka", dataset=table, error=str(error))
