"""What a load tells the metastore; the table's own checkpoint stays the truth."""

from __future__ import annotations

from collections.abc import Sequence

from lake_platform.domain.batches import TableState, WriteResult
from lake_platform.domain.dataset import Status
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.schema import Struct
from lake_platform.load.plan import Loading, Work
from lake_platform.load.quarantine import settle


def publish_applied(loading: Loading, applied: int, commits: Sequence[RawCommit] = ()) -> None:
    """`commits`: those whose application is told, for how far the table is complete."""
    table, metastore = loading.table, loading.ports.metastore
    progress = metastore.progress(table)
    complete = max(
        (c.complete_as_of for c in commits if c.complete_as_of), default=progress.complete_through
    )
    if applied >= (progress.ends_at or progress.head_seq):
        complete = max(complete, progress.complete_as_of)
    metastore.update_progress(
        table,
        applied_seq=applied,
        complete_through=complete,
        loaded_at=loading.ports.clock(),
        load_error="",
        load_error_kind="",
        load_failures=0,
    )
    bootstrapping = metastore.get(table).status == Status.BOOTSTRAPPING
    whole = complete and applied >= (progress.ends_at or progress.head_seq)
    if bootstrapping and whole and not progress.all_quarantined:
        metastore.set_status(table, Status.LIVE)


def catch_up(loading: Loading, state: TableState, *, cut_off: bool) -> None:
    """Ends what a writer began that died between the table's commit and the metastore; `cut_off`:
    the newest claim has no end."""
    table, metastore, last = loading.table, loading.ports.metastore, state.last
    if last is None:
        return
    # One that takes back a late batch has no numbers of its own.
    again = cut_off and last.replay and not last.reapply
    if not again and metastore.progress(table).applied_seq >= state.applied:
        return
    work = Work(loading.commits_of(last.batch), state.applied, last.replay)
    if again:
        settle(loading.ports.store, table, work.commits, last.quarantine_keys, last.epoch)
    schema = metastore.active_schema(table)
    columns = schema.columns if schema else Struct()
    metastore.record_batch(table, WriteResult(last, columns, 0, 0), work.windows)
    publish_applied(loading, state.applied, work.commits)
