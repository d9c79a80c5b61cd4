"""Phase 2: raw commits to the table, one claimed batch at a time. Free of Dagster and of Spark."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import CheckpointLostError, NoRecordYetError
from lake_platform.load import claims, unfinished
from lake_platform.load.apply import apply, fence, undo_doubled
from lake_platform.load.crew import Decoders
from lake_platform.load.failures import note, noted
from lake_platform.load.plan import Loading, decided, is_pending, next_work, runnable
from lake_platform.load.progress import catch_up, publish_applied
from lake_platform.load.replay import Batches, replayed
from lake_platform.load.results import LoadResult
from lake_platform.load.swap import settle_left


def load(
    table: str,
    ports: Ports,
    limits: Limits,
    windows: Sequence[str] | None = None,
    replay: bool = False,
    stop: Callable[[], bool] = lambda: False,
    seqs: Collection[int] = (),
) -> Iterator[LoadResult]:
    """Applies all pending raw commits, oldest first; yields each batch after it is committed.

    With `replay`, the applied commits of `windows` and those of `seqs` are applied again instead,
    all of them: one that ended halfway would leave rows that later records deleted, so the next
    load goes on with it. Else no new batch is taken once the budget of `limits` is used up; the
    next load goes on. `stop` ends both. Nothing new costs two LISTs and no engine.

    Raises:
        SchemaBlockedError, QuarantineRatioError, ReplayRefusedError, TransformError,
            StepCodeError, CorruptRawError, RawExpiredError, CheckpointLostError: stopped, nothing
            was written.
        RepeatedFailureError: the same failure again and again; an incident waits, BLOCKED.
        BatchClaimedError, CommitRaceError, EngineError, StorageUnavailableError: try again.
    """
    record = runnable(table, ports.metastore)
    with noted(table, ports, replay=replay):
        left = unfinished.abandoned(table, ports, limits)

        def again(loading: Loading) -> Batches:
            wanted = (windows or (), seqs) if replay else ((), ())
            return replayed(loading, *wanted, left)

        due = replay or left is not None
        yield from _batches(record, ports, limits, again, stop, due=due, only=replay)


def _batches(
    record: DatasetRecord,
    ports: Ports,
    limits: Limits,
    batches_again: Callable[[Loading], Batches],
    stop: Callable[[], bool],
    *,
    due: bool,
    only: bool,
) -> Iterator[LoadResult]:
    """`due`: there is something to replay; `only` that is asked for."""
    table = record.dataset.table
    deadline = ports.clock() + limits.load_budget_seconds * 1000
    recorded = ports.metastore.progress(table).applied_seq
    abandoned = claims.abandoned(table, ports, limits)
    if abandoned and abandoned.shadow not in ("", table):
        settle_left(abandoned, table, ports)
        record, abandoned = ports.metastore.get(table), None
        recorded = ports.metastore.progress(table).applied_seq
    if not (due or abandoned or is_pending(record.dataset, ports, recorded)):
        return
    with ExitStack() as stack:
        decoders = stack.enter_context(Decoders(table, ports.store, ports.pool))
        decisions = decided(record.dataset, ports)
        loading = Loading(record.dataset, ports, limits, decoders, decisions)
        again = stack.enter_context(closing(batches_again(loading)))
        while not stop() and (only or ports.clock() <= deadline):
            loading = replace(loading, dataset=ports.metastore.get(table).dataset)
            state = loading.state()
            # First of all: a table that is being swapped says something else at every look.
            left = claims.open_claim(table, ports, state, limits)
            if left:
                claims.check_no_swap_left(left, ports.store, table)
            if state.exists and state.applied < recorded:
                raise CheckpointLostError(table, recorded, state.applied)
            catch_up(loading, state, cut_off=abandoned is not None)
            if state.doubled and loading.dataset.mode == "append":
                undo_doubled(loading, state, left)
                continue  # the table says something else of itself now
            work = next_work(loading, state, left, again if due else iter(()), only=only)
            if work is None:
                if not only:
                    publish_applied(loading, state.applied)
                if abandoned:  # `state` finished what it left
                    fence(loading, left)
                    claims.release(table, ports, abandoned, done=True)
                return
            try:
                result = apply(loading, state, left, work)
            except NoRecordYetError as waiting:
                note(table, ports, waiting)
                return
            yield result
