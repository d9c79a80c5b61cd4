"""One batch: claim it, look at every record, write it, tell of it."""

from __future__ import annotations

import structlog

from lake_platform.domain.batches import BatchJob, Claim, TableState
from lake_platform.domain.quality import too_many
from lake_platform.errors import (
    CommitRaceError,
    CorruptRawError,
    LakeError,
    QuarantineRatioError,
    RawExpiredError,
    StopDatasetError,
    StorageUnavailableError,
)
from lake_platform.evolution import evolve
from lake_platform.load import claims
from lake_platform.load.plan import Loading, Work, undoing
from lake_platform.load.progress import publish_applied
from lake_platform.load.quarantine import remove_stale, write_quarantine
from lake_platform.load.replay import check_kept
from lake_platform.load.results import LoadResult
from lake_platform.load.scan import Scanner, ScanReport

_log = structlog.get_logger(__name__)


def apply(
    loading: Loading, state: TableState, left: claims.LeftClaim | None, work: Work
) -> LoadResult:
    """Raises: as `load.load.load`; the claim is released then."""
    table, ports = loading.table, loading.ports
    began = ports.clock()
    check_kept(table, work.commits)
    claim = _take_claim(loading, state, left, work)
    try:
        report, job = _prepare(loading, claim, work)
        result = loading.engine.write(job)
    except LakeError as error:
        _give_up(loading, claim)
        gone = _expired_since(loading, work, error)
        if isinstance(error, StopDatasetError):
            ports.metastore.update_progress(table, last_error=str(gone or error))
        if gone:
            raise gone from error
        raise
    if work.replay or left:
        # After the commit: before it these records would be nowhere if we died.
        remove_stale(ports.store, table, work.commits, job.quarantine_keys)
    ports.metastore.record_batch(table, result, work.windows)
    publish_applied(loading, result.applied.applied, work.commits)
    claims.release(table, ports, claim, done=True)
    return LoadResult(
        table=table,
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


def undo_doubled(loading: Loading, state: TableState, left: claims.LeftClaim | None) -> None:
    """Takes a zombie's late commit out of an append table, under a claim of its own."""
    claim = _take_claim(loading, state, left, undoing(loading, state))
    loading.engine.undo(loading.dataset, state, claim)


def fence(loading: Loading, left: claims.LeftClaim | None) -> None:
    for epoch in left.unfenced if left else ():
        loading.engine.fence(loading.dataset, epoch)


def _take_claim(
    loading: Loading, state: TableState, left: claims.LeftClaim | None, work: Work
) -> Claim:
    """Claims the batch and fences the claims that never became a commit.

    Raises:
        CommitRaceError: one of them did become a commit since `state` was read.
    """
    known = state.last.epoch if state.last else 0
    after = left.claim.epoch if left else known
    claim = claims.take(loading.table, loading.ports, work.batch, after, work.replay)
    fence(loading, left)
    # Without `left` the claim itself proves that nobody was here in between.
    if left and loading.state() != state:
        claims.release(loading.table, loading.ports, claim, done=False)
        raise CommitRaceError(
            f"table {loading.table!r}: {left.claim.worker} was taken for dead and committed batch "
            f"{left.claim.batch} all the same; nothing was written, load again"
        )
    return claim


def _give_up(loading: Loading, claim: Claim) -> None:
    """The error that ends a load is what an operator must see, not that its end could not be
    marked: without the mark the next load finds by itself that this one is over."""
    try:
        claims.release(loading.table, loading.ports, claim, done=False)
    except StorageUnavailableError as error:
        _log.warning("the claim's end could not be marked", dataset=loading.table, error=str(error))


def _expired_since(loading: Loading, work: Work, error: LakeError) -> RawExpiredError | None:
    """Raw retention may have taken the objects while we stood still: then that is the reason."""
    if isinstance(error, CorruptRawError):
        try:
            check_kept(loading.table, loading.commits_of(work.batch))
        except RawExpiredError as gone:
            return gone
    return None


def _prepare(loading: Loading, claim: Claim, work: Work) -> tuple[ScanReport, BatchJob]:
    dataset, ports = loading.dataset, loading.ports
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
        table_schema=schema.columns,
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
