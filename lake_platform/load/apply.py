"""One batch: claim it, look at every record, write it, tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from lake_platform.domain.batches import BatchJob, Claim, Exclusion, TableState
from lake_platform.domain.dataset import Status
from lake_platform.errors import (
    CommitRaceError,
    CorruptRawError,
    LakeError,
    NoRecordYetError,
    RawExpiredError,
    StorageUnavailableError,
)
from lake_platform.evolution import evolve, registered
from lake_platform.load import claims
from lake_platform.load.decoded import check_unread, decoded, staging
from lake_platform.load.judged import judged
from lake_platform.load.plan import Loading, Work, undoing
from lake_platform.load.progress import publish_applied
from lake_platform.load.quarantine import (
    deletes_among,
    place_of,
    settle,
    write_quarantine,
)
from lake_platform.load.replay import check_kept
from lake_platform.load.report import ScanReport
from lake_platform.load.results import LoadResult
from lake_platform.load.rules import check_blocking

_log = structlog.get_logger(__name__)


def apply(
    loading: Loading, state: TableState, left: claims.LeftClaim | None, work: Work
) -> LoadResult:
    """Raises: as `load.load.load`; the claim is released then."""
    table, ports = loading.table, loading.ports
    began = ports.clock()
    check_kept(table, work.commits)
    loading.engine.check_steps(loading.dataset)
    claim = _take_claim(loading, state, left, work)
    job = None
    try:
        fresh = not state.exists and loading.dataset.settles
        report, job = prepare(loading, claim, work, fresh=fresh)
        staged_for_engine = loading.engine.layout(loading.dataset) is None
        if staged_for_engine:
            loading.decoders.rest()
        judged_at = ports.clock()
        result = loading.engine.write(job)
        written_at = ports.clock()
    except Exception as error:
        _give_up(loading, claim, staged=job is None)
        if not isinstance(error, LakeError):
            raise
        gone = _expired_since(loading, work, error)
        if gone:
            raise gone from error
        raise
    if report.changes or staged_for_engine:
        _clear(loading, claim)  # else the staged files are the table's by now
    released: tuple[str, ...] = ()
    dropped: Sequence[str] = ()
    rescued = report.rescued_counts
    # We may have slept since the commit, and what is on record be of another table by now.
    ours = partial(claims.is_same_table, ports.store, table, claim)
    if ours():
        if work.replay or left:
            released = settle(
                ports.store, table, work.commits, job.quarantine_keys, claim.epoch, ours=ours
            )
        absent = _absent(loading, job, report)
        spent = {
            "decode": (judged_at - began) / 1000, "write": (written_at - judged_at) / 1000,
        }  # fmt: skip
        ports.metastore.record_batch(
            table, result, work.windows, rescued, report.lost, absent, seconds=spent
        )
        publish_applied(loading, result.applied.applied, work.commits)
        dropped = ports.metastore.drop_absent(table) if absent else ()
    claims.release(table, ports, claim, done=True)
    return LoadResult(
        table=table,
        applied=result.applied,
        windows=work.windows,
        changes=tuple(report.changes.values()),
        schema_version=job.schema_version,
        table_schema=result.table_schema,
        quarantined=report.by_reason,
        rescued=rescued,
        seconds=(ports.clock() - began) / 1000,
        files=result.files,
        bytes=result.bytes,
        passed_over=dict(report.passed_over),
        released=released,
        broken=dict(report.rules),
        lost=dict(report.lost),
        dropped_columns=tuple(dropped),
    )


def _absent(loading: Loading, job: BatchJob, report: ScanReport) -> list[str] | None:
    """Columns without a value in this batch, where the definition asks. A table that is made anew
    keeps what the live one has."""
    dataset = loading.dataset
    if dataset.absent_for is None or dataset.live_table != dataset.table:
        return None
    rescued = {path[0] for path in report.rescued}
    fields = (f for f in job.source.fields if rescued.isdisjoint(f.keys))
    missed = [f.name for f in fields if f.name not in report.valued]
    # What a schema of these records still declares is not gone, however sparse its values are.
    declared = registered.read(dataset, loading.ports, job.commits) if missed else []
    kept = registered.names_declared(declared, dataset, job.source) if declared else set()
    return [name for name in missed if name not in kept]


def undo_doubled(loading: Loading, state: TableState, left: claims.LeftClaim | None) -> None:
    """Takes a zombie's late commit out of an append table, under a claim of its own.

    Raises: RawExpiredError: it could not be applied again; rows stand twice, none is taken out.
    """
    work = undoing(loading, state)
    check_kept(loading.table, work.commits)
    claim = _take_claim(loading, state, left, work)
    loading.engine.undo(loading.dataset, state, claim)


def fence(loading: Loading, left: claims.LeftClaim | None) -> None:
    for epoch in left.unfenced if left else ():
        loading.engine.fence(loading.dataset, epoch)


def _take_claim(
    loading: Loading, state: TableState, left: claims.LeftClaim | None, work: Work
) -> Claim:
    """Claims the batch and fences the claims that never became a commit.

    Raises:
        CommitRaceError: one of them did become a commit since `state` was read, or the table is
            another one by now.
    """
    known = state.last.epoch if state.last else loading.dataset.first_epoch
    after = left.claim.epoch if left else known
    claim = claims.take(loading.table, loading.ports, work.batch, after, work.replay)
    fence(loading, left)
    _check_goes_on(loading, claim, work)
    # Without `left` the claim itself proves that nobody was here in between.
    if left and loading.state() != state:
        claims.release(loading.table, loading.ports, claim, done=False)
        raise CommitRaceError(
            f"table {loading.table!r}: {left.claim.worker} was taken for dead and committed batch "
            f"{left.claim.batch} all the same; nothing was written, load again"
        )
    return claim


def _check_goes_on(loading: Loading, claim: Claim, work: Work) -> None:
    """Who held the claim before may have stopped the table, and an operator ended or rebuilt it
    since.

    Raises: CommitRaceError.
    """
    record = loading.ports.metastore.get(loading.table)
    stopped = record.status is Status.BLOCKED and not work.replay
    if stopped or not record.dataset.raw_span.holds(work.batch.last_seq):
        why = (
            f"was stopped since this load began; nothing was written, see "
            f"lake incidents list --all --table {loading.table}"
        )
    elif record.dataset != loading.dataset:
        why = "has another definition since this load looked at it; nothing was written, load again"
    else:
        return
    claims.release(loading.table, loading.ports, claim, done=False)
    raise CommitRaceError(f"table {loading.table!r} {why}")


def _give_up(loading: Loading, claim: Claim, staged: bool) -> None:
    """The error that ends a load is what an operator must see, not that its end could not be
    marked: without the mark the next load finds by itself that this one is over.

    `staged`: nothing was written yet, so no commit can name what is in staging.
    """
    try:
        if staged:
            _clear(loading, claim)
        claims.release(loading.table, loading.ports, claim, done=False)
    except StorageUnavailableError as error:
        _log.warning("the claim's end could not be marked", dataset=loading.table, error=str(error))


def _clear(loading: Loading, claim: Claim) -> None:
    store = loading.ports.store
    store.delete([i.key for i in store.list(staging(loading.table, claim))])


def _expired_since(loading: Loading, work: Work, error: LakeError) -> RawExpiredError | None:
    """Raw retention may have taken the objects while we stood still: then that is the reason."""
    if isinstance(error, CorruptRawError):
        try:
            check_kept(loading.table, loading.commits_of(work.batch))
        except RawExpiredError as gone:
            return gone
    return None


def prepare(
    loading: Loading, claim: Claim, work: Work, *, fresh: bool
) -> tuple[ScanReport, BatchJob]:
    """The verdict on every record of a batch, and what is to be written; nothing is in the table
    yet. `fresh`: there is none that a change could break.

    Raises: SchemaBlockedError, QuarantineRatioError, RuleBrokenError, ReplayRefusedError,
        TransformError, EngineError, InvalidFieldError, NoRecordYetError.
    """
    dataset, ports = loading.dataset, loading.ports
    try:
        active = evolve.ensure_schema(dataset, ports, work.commits)
    except NoRecordYetError:
        check_unread(loading, claim, work)
        raise
    found = decoded(loading, claim, work, active, fresh=fresh)
    staged, schema, late = found.staged, found.schema, found.late
    report = staged.report
    report.changes = {c.path: c for c in found.changes}
    objects = [o for c in work.commits for o in c.objects]
    check_blocking(dataset, ports, report.rules, objects, work.batch.id, asked=work.asked)
    evolve.record(dataset, ports, active, schema)
    keys = write_quarantine(
        ports.store, dataset.table, work.commits, schema.version, report.rejected,
        claim.epoch if work.replay else None,
        still=partial(claims.check_newest, dataset.table, ports, claim),
    )  # fmt: skip
    job = BatchJob(
        dataset=dataset,
        claim=claim,
        commits=work.commits,
        source=schema.source,
        table_schema=schema.columns,
        schema_version=schema.version,
        # Not applied before its new columns are in the table: else a crash in between would leave
        # nothing pending, and the columns out until new records come.
        applied=work.commits[0].seq - 1 if late else work.applied,
        staged=staged.files,
        unique=staged.unique,
        deletes=tuple(report.deletes),
        quarantine_keys=keys,
        quarantined=len(report.rejected),
        quarantined_deletes=deletes_among(dataset, report.rejected),
        dropped=report.dropped,
        exploded=report.beside,
        replay=work.replay,
        reapply=late,
        undone=work.undone,
        only_aside=found.only_aside,
    )
    job = judged(loading, report, job, asked=work.asked)
    check_blocking(dataset, ports, report.rules, objects, work.batch.id, asked=work.asked)
    if work.replay and dataset.mode == "append":
        places = (place_of(r.line) for r in report.rejected)
        job = replace(job, removed=tuple(Exclusion(*place) for place in places))
    return report, job
