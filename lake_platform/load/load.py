"""Phase 2: raw commits to the table, one claimed batch at a time. Free of Dagster and of Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Status
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import CheckpointLostError, NotRunnableError
from lake_platform.load import claims
from lake_platform.load.apply import apply, fence, undo_doubled
from lake_platform.load.crew import Decoders
from lake_platform.load.failures import noted
from lake_platform.load.plan import Loading, is_pending, next_work
from lake_platform.load.progress import catch_up_statistics, publish_applied
from lake_platform.load.replay import replayed
from lake_platform.load.results import LoadResult


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
        RepeatedFailureError: the same failure again and again; an incident waits, BLOCKED.
        BatchClaimedError, CommitRaceError, EngineError, StorageUnavailableError: try again.
    """
    record = ports.metastore.get(table)
    if record.status in {Status.PAUSED, Status.RETIRED, Status.BLOCKED}:
        raise NotRunnableError(table, record.status)
    with noted(table, ports, replay=replay):
        yield from _batches(record, ports, limits, windows, replay, stop)


def _batches(
    record: DatasetRecord,
    ports: Ports,
    limits: Limits,
    windows: Sequence[str] | None,
    replay: bool,
    stop: Callable[[], bool],
) -> Iterator[LoadResult]:
    table = record.dataset.table
    deadline = ports.clock() + limits.load_budget_seconds * 1000
    recorded = ports.metastore.progress(table).applied_seq
    abandoned = claims.abandoned(table, ports, limits)
    if not (replay or abandoned or is_pending(table, ports, recorded)):
        return
    with Decoders(table, ports.store, ports.pool) as decoders:
        decisions = ports.metastore.decisions(table)
        loading = Loading(record.dataset, ports, limits, decoders, decisions)
        again = replayed(loading, windows or ()) if replay else None
        while not stop() and (replay or ports.clock() <= deadline):
            state = loading.state()
            if state.exists and state.applied < recorded:
                raise CheckpointLostError(table, recorded, state.applied)
            catch_up_statistics(loading, state)
            left = claims.open_claim(table, ports, state, limits)
            if state.doubled and record.dataset.mode == "append":
                undo_doubled(loading, state, left)
                continue  # the table says something else of itself now
            work = next_work(loading, state, left, again)
            if work is None:
                if again is None:
                    publish_applied(loading, state.applied)
                if abandoned:  # `state` finished what it left
                    fence(loading, left)
                    claims.release(table, ports, abandoned, done=True)
                return
            yield apply(loading, state, left, work)
