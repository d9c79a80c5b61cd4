"""Phase 2: raw commits to the table, one claimed batch at a time. Free of Dagster and of Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import structlog

from lake_platform.domain.batches import BatchJob, BatchRange, Claim, TableState, WriteResult
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import SchemaVersion
from lake_platform.domain.quality import too_many
from lake_platform.domain.schema import Struct
from lake_platform.errors import (
    CheckpointLostError,
    CommitRaceError,
    CorruptRawError,
    LakeError,
    NotRunnableError,
    QuarantineRatioError,
    RawExpiredError,
    StopDatasetError,
    StorageUnavailableError,
)
from lake_platform.evolution import evolve
from lake_platform.load import claims
from lake_platform.load.quarantine import remove_stale, write_quarantine
from lake_platform.load.results import LoadResult
from lake_platform.load.scan import Scanner, ScanReport
from lake_platform.raw import log as raw_log

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Work:
    """One batch to apply: its commits in order, and what the checkpoint says afterwards."""

    commits: tuple[RawCommit, ...]
    applied: int
    replay: bool
    undone: tuple[str, ...] = ()

    @property
    def batch(self) -> BatchRange:
        return BatchRange(self.commits[0].seq, self.commits[-1].seq)

    @property
    def windows(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for raw in (o for c in self.commits for o in c.objects):
            counted[raw.window] += raw.records
        return counted


def load(
    table: str,
    ports: Ports,
    limits: Limits,
    windows: Sequence[str] | None = None,
    replay: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[LoadResult]:
    """Applies all pending raw commits, oldest first; yields each batch after it is committed.

    With `replay`, the applied commits of `windows` are applied again instead, all of them: one that
    ended halfway would leave rows that later records deleted. Else no new batch is taken once the
    budget of `limits` is used up; the next load goes on. `stop` ends both. Nothing new costs two
    LISTs and no engine.

    Raises:
        SchemaBlockedError, QuarantineRatioError, TransformError, CorruptRawError, RawExpiredError,
            CheckpointLostError: the dataset stops, nothing was written.
        BatchClaimedError, CommitRaceError, EngineError, StorageUnavailableError: try again.
    """
    record = ports.metastore.get(table)
    if record.status in {Status.PAUSED, Status.RETIRED, Status.BLOCKED}:
        raise NotRunnableError(table, record.status)
    started = ports.clock()
    progress = ports.metastore.progress(table)
    abandoned = claims.abandoned(table, ports, limits)
    if not (replay or abandoned or _pending(table, ports, progress.applied_seq)):
        return
    engine = ports.engine(record.dataset.format)
    todo = _replayed(record.dataset, ports, limits, windows or ()) if replay else None
    while not stop() and (replay or ports.clock() - started <= limits.load_budget_seconds * 1000):
        state = engine.state(record.dataset)
        if state.exists and state.applied < progress.applied_seq:
            raise CheckpointLostError(table, progress.applied_seq, state.applied)
        _catch_up_statistics(record.dataset, ports, state)
        left = claims.open_claim(table, ports, state, limits)
        if state.doubled and record.dataset.mode == "append":
            # Changes what the table says of itself, so look again.
            _undo_doubled(record.dataset, ports, state, left)
            continue
        work = _chosen(record.dataset, ports, limits, state, left, todo)
        if work is None:
            if abandoned:  # `state` finished what it left
                _fence(record.dataset, ports, left)
                claims.release(table, ports, abandoned, done=True)
            break
        yield _apply(record.dataset, ports, state, left, work)


def _chosen(
    dataset: Dataset,
    ports: Ports,
    limits: Limits,
    state: TableState,
    left: claims.LeftClaim | None,
    todo: Iterator[tuple[RawCommit, ...]] | None,
) -> _Work | None:
    """What is applied next; `todo` is what is left of a replay."""
    if state.doubled:
        return _since_doubled(dataset.table, ports, state)
    if todo is None or (state.last and state.last.reapply):
        return _next_work(dataset, ports, limits, state, left.claim if left else None)
    again = next(todo, ())
    # Another writer may have applied more since the replay began.
    return _Work(again, state.applied, replay=True) if again else None


def _pending(table: str, ports: Ports, applied_seq: int) -> bool:
    return next(raw_log.iter_commits_after(ports.store, table, applied_seq), None) is not None


def _next_work(
    dataset: Dataset, ports: Ports, limits: Limits, state: TableState, left: Claim | None
) -> _Work | None:
    """The batch of a claim that a writer left, else as many commits as fit a batch."""
    last = state.last
    if last is not None and last.reapply:
        again = _commits_of(dataset.table, ports, last.batch)
        return _Work(again, max(state.applied, last.batch.last_seq), replay=True)
    commits = raw_log.iter_commits_after(ports.store, dataset.table, state.applied)
    if left and not left.replay and left.batch.first_seq == state.applied + 1:
        end = left.batch.last_seq
        chosen = list(takewhile(lambda c: c.seq <= end, commits))
    else:
        chosen = _fitting(commits, limits.batch_bytes)
    if not chosen:
        _publish_applied(dataset.table, ports, state.applied, [])
        return None
    return _Work(tuple(chosen), chosen[-1].seq, replay=False)


def _commits_of(table: str, ports: Ports, batch: BatchRange) -> tuple[RawCommit, ...]:
    held = raw_log.iter_commits_after(ports.store, table, batch.first_seq - 1)
    return tuple(takewhile(lambda c: c.seq <= batch.last_seq, held))


def _fitting(commits: Iterable[RawCommit], most_bytes: int) -> list[RawCommit]:
    """The first commit whatever its size, and those behind it that fit with it."""
    chosen: list[RawCommit] = []
    size = 0
    for commit in commits:
        size += commit.raw_bytes
        if chosen and size > most_bytes:
            break
        chosen.append(commit)
    return chosen


def _replayed(
    dataset: Dataset, ports: Ports, limits: Limits, windows: Sequence[str]
) -> Iterator[tuple[RawCommit, ...]]:
    """The commits of batches that cover all applied commits of `windows`, in order."""
    engine = ports.engine(dataset.format)
    applied = engine.state(dataset).applied
    held = [c for c in raw_log.commits_after(ports.store, dataset.table, 0) if c.seq <= applied]
    wanted = set(windows)
    hit = [c.seq for c in held if wanted.intersection(c.windows)]
    if not hit:
        return
    last = applied if _deletes_after(dataset, held, hit[0]) else hit[-1]
    seqs = set(hit) if last == hit[-1] else set(range(hit[0], last + 1))
    _check_kept(
        dataset.table, [c for c in held if c.seq in seqs]
    )  # all before the first is written
    position = 0
    while position <= last:
        todo = [c for c in held if c.seq > position and c.seq in seqs]
        if not todo:
            return
        run = _contiguous(_fitting(todo, limits.batch_bytes))
        whole = engine.align(dataset, BatchRange(run[0].seq, run[-1].seq))
        chosen = [c for c in held if whole.first_seq <= c.seq <= whole.last_seq]
        position = whole.last_seq
        yield tuple(chosen)


def _check_kept(table: str, commits: Sequence[RawCommit]) -> None:
    """Raises: RawExpiredError when raw retention removed the objects of one."""
    gone = [c for c in commits if c.expired_at]
    if gone:
        windows = sorted({w for c in gone for w in c.windows})
        raise RawExpiredError(table, gone[0].seq, gone[-1].seq, windows)


def _expired_since(
    table: str, ports: Ports, work: _Work, error: LakeError
) -> RawExpiredError | None:
    """Raw retention may have taken the objects while we stood still: then that is the reason."""
    if isinstance(error, CorruptRawError):
        try:
            _check_kept(table, _commits_of(table, ports, work.batch))
        except RawExpiredError as gone:
            return gone
    return None


def _contiguous(commits: Sequence[RawCommit]) -> list[RawCommit]:
    run = [commits[0]]
    for commit in commits[1:]:
        if commit.seq != run[-1].seq + 1:
            break
        run.append(commit)
    return run


def _deletes_after(dataset: Dataset, held: Sequence[RawCommit], seq: int) -> bool:
    """A replay must not bring back what a later record deleted: then it goes on to the end."""
    if dataset.mode != "upsert":
        return False
    later = (o for c in held if c.seq >= seq for o in c.objects)
    return bool(dataset.delete_when) or any(o.tombstones for o in later)


def _catch_up_statistics(dataset: Dataset, ports: Ports, state: TableState) -> None:
    """Records a batch whose writer died between the table's commit and the metastore."""
    table, last = dataset.table, state.last
    if last is None or ports.metastore.progress(table).applied_seq >= state.applied:
        return
    work = _Work(_commits_of(table, ports, last.batch), state.applied, last.replay)
    schema = ports.metastore.active_schema(table)
    columns = _table_schema(schema) if schema else Struct()
    ports.metastore.record_batch(table, WriteResult(last, columns, 0, 0), work.windows)
    _publish_applied(table, ports, state.applied, work.commits)


def _undo_doubled(
    dataset: Dataset, ports: Ports, state: TableState, left: claims.LeftClaim | None
) -> None:
    work = _Work(_commits_of(dataset.table, ports, state.doubled[0].batch), state.applied, True)
    claim = _take_claim(dataset, ports, state, left, work)
    ports.engine(dataset.format).undo(dataset, state, claim)


def _since_doubled(table: str, ports: Ports, state: TableState) -> _Work:
    """All since the batch that a zombie committed late: an upsert table merged it, so it cannot be
    taken out, and keys that were deleted in between may be back."""
    first = min(d.batch.first_seq for d in state.doubled)
    commits = _commits_of(table, ports, BatchRange(first, state.applied))
    undone = tuple(d.instant for d in state.doubled)
    return _Work(commits, state.applied, replay=True, undone=undone)


def _apply(
    dataset: Dataset, ports: Ports, state: TableState, left: claims.LeftClaim | None, work: _Work
) -> LoadResult:
    began = ports.clock()
    _check_kept(dataset.table, work.commits)
    claim = _take_claim(dataset, ports, state, left, work)
    try:
        report, job = _prepare(dataset, ports, claim, work)
        result = ports.engine(dataset.format).write(job)
    except LakeError as error:
        _give_up(dataset.table, ports, claim)
        gone = _expired_since(dataset.table, ports, work, error)
        if isinstance(error, StopDatasetError):
            ports.metastore.update_progress(dataset.table, last_error=str(gone or error))
        if gone:
            raise gone from error
        raise
    if work.replay or left:
        # After the commit: before it these records would be nowhere if we died.
        remove_stale(ports.store, dataset.table, work.commits, job.quarantine_keys)
    ports.metastore.record_batch(dataset.table, result, work.windows)
    _publish_applied(dataset.table, ports, result.applied.applied, work.commits)
    claims.release(dataset.table, ports, claim, done=True)
    return LoadResult(
        table=dataset.table,
        applied=result.applied,
        windows=work.windows,
        changes=tuple(report.changes.values()),
        schema_version=job.schema_version,
        table_schema=result.table_schema,
        quarantined=report.by_reason,
        seconds=(ports.clock() - began) / 1000,
        files=result.files,
        bytes=result.bytes,
    )


def _give_up(table: str, ports: Ports, claim: Claim) -> None:
    """The error that ends a load is what an operator must see, not that its end could not be
    marked: without the mark the next load finds by itself that this one is over."""
    try:
        claims.release(table, ports, claim, done=False)
    except StorageUnavailableError as error:
        _log.warning("the claim's end could not be marked", dataset=table, error=str(error))


def _take_claim(
    dataset: Dataset, ports: Ports, state: TableState, left: claims.LeftClaim | None, work: _Work
) -> Claim:
    """Claims the batch and fences the claims that never became a commit.

    Raises:
        CommitRaceError: one of them did become a commit since `state` was read.
    """
    known = state.last.epoch if state.last else 0
    after = left.claim.epoch if left else known
    claim = claims.take(dataset.table, ports, work.batch, after, work.replay)
    _fence(dataset, ports, left)
    # Without `left` the claim itself proves that nobody was here in between.
    if left and ports.engine(dataset.format).state(dataset) != state:
        claims.release(dataset.table, ports, claim, done=False)
        raise CommitRaceError(
            f"table {dataset.table!r}: {left.claim.worker} was taken for dead and committed batch "
            f"{left.claim.batch} all the same; nothing was written, load again"
        )
    return claim


def _fence(dataset: Dataset, ports: Ports, left: claims.LeftClaim | None) -> None:
    for epoch in left.unfenced if left else ():
        ports.engine(dataset.format).fence(dataset, epoch)


def _prepare(
    dataset: Dataset, ports: Ports, claim: Claim, work: _Work
) -> tuple[ScanReport, BatchJob]:
    active = evolve.ensure_schema(dataset, ports, work.commits)
    objects = [o for c in work.commits for o in c.objects]
    report = Scanner(dataset, active.source).scan(objects, ports.store)
    if report.breaking:
        evolve.block(dataset, ports, report.breaking, work.batch.id, report.samples)
    if too_many(len(report.rejected), report.records, dataset.max_quarantine_ratio):
        raise QuarantineRatioError(
            dataset.table, len(report.rejected), report.records, dataset.max_quarantine_ratio,
            ", ".join(f"{n} {reason}" for reason, n in report.by_reason.items()),
        )  # fmt: skip
    additions = [c for c in report.changes.values() if c.verdict == "automatic"]
    late = bool(additions) and dataset.evolution == "next_batch" and not work.replay
    schema = evolve.next_version(dataset, ports, active, report.observed, additions, late)
    keys = write_quarantine(
        ports.store, dataset.table, work.commits, schema.version, report.rejected
    )
    job = BatchJob(
        dataset=dataset,
        claim=claim,
        commits=work.commits,
        source=active.source if late else schema.source,
        table_schema=_table_schema(schema),
        schema_version=schema.version,
        # Not applied before its new columns are in the table: else a crash in between would leave
        # nothing pending, and the columns out until new records come.
        applied=work.commits[0].seq - 1 if late else work.applied,
        excluded=tuple(report.excluded),
        deletes=tuple(report.deletes),
        quarantine_keys=keys,
        quarantined=len(report.rejected),
        dropped=report.dropped,
        replay=work.replay,
        reapply=late,
        undone=work.undone,
    )
    return report, job


def _table_schema(schema: SchemaVersion) -> Struct:
    return schema.table if schema.table is not None else schema.source


def _publish_applied(table: str, ports: Ports, applied: int, commits: Sequence[RawCommit]) -> None:
    """Tells the metastore; the table's own checkpoint stays the truth."""
    progress = ports.metastore.progress(table)
    complete = max(
        (c.complete_as_of for c in commits if c.complete_as_of), default=progress.complete_through
    )
    if applied >= progress.head_seq:
        complete = max(complete, progress.complete_as_of)
    ports.metastore.update_progress(
        table,
        applied_seq=applied,
        complete_through=complete,
        loaded_at=ports.clock(),
        last_error="",
    )
    bootstrapping = ports.metastore.get(table).status == Status.BOOTSTRAPPING
    if bootstrapping and complete and applied >= progress.head_seq:
        ports.metastore.set_status(table, Status.LIVE)
