"""What runs at work are busy with, and runs whose worker is gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import structlog

from assets.jobs import PHASE_TAG
from assets.translator import LAYERS, Layer, table_of
from lake_platform.domain.ports import Workers
from resources.platform import worker_of

_log = structlog.get_logger(__name__)
_OPEN = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_SIGNED_WITHIN_MS = 10 * 60_000
_RETRY_WITHIN = timedelta(minutes=2)  # a retry that did not come by then does not come


def busy_tables(instance: dg.DagsterInstance, layer: Layer, now_ms: int) -> set[str]:
    """Tables whose `layer` asset is in a run that is queued, at work, or about to be retried."""
    busy: set[str] = set()
    for run in [*_open_runs(instance), *_to_be_retried(instance, now_ms)]:
        tables = (table_of(key, layer) for key in run.asset_selection or ())
        busy.update(t for t in tables if t is not None)
    return busy


def end_dead_runs(instance: dg.DagsterInstance, workers: Workers, now_ms: int) -> list[str]:
    """Ends runs whose worker process no longer exists on this host; returns their ids.

    A killed code server takes its workers with it and leaves their runs STARTED for good, and
    as long as a run is open nobody asks for its datasets again.
    """
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_OPEN)):
        run = record.dagster_run
        worker = worker_of(run)
        if worker is None:
            if not _never_signed(record, now_ms):
                continue
        elif workers.alive(worker) is not False:
            continue
        gone = worker or "the worker, which died before it began,"
        message = f"{gone} is gone; what it committed stays, the rest is asked for again"
        _log.warning("run ended", run=run.run_id, reason=message)
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=message)
        else:
            instance.report_run_failed(run, message=message)
        ended.append(run.run_id)
    return ended


def _never_signed(record: dg.RunRecord, now_ms: int) -> bool:
    """A run of ours signs its worker on the run as soon as it has started."""
    run = record.dagster_run
    ours = {key.path[0] for key in run.asset_selection or ()}.intersection(LAYERS)
    return (
        run.status == dg.DagsterRunStatus.STARTED
        and (bool(ours) or PHASE_TAG in run.tags)
        and record.start_time is not None
        and now_ms - record.start_time * 1000 >= _SIGNED_WITHIN_MS
    )


def _open_runs(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(dg.RunsFilter(statuses=_OPEN))


def _to_be_retried(instance: dg.DagsterInstance, now_ms: int) -> list[dg.DagsterRun]:
    since = datetime.fromtimestamp(now_ms / 1000, UTC) - _RETRY_WITHIN
    failed = instance.get_runs(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={"dagster/will_retry": "true"},
            updated_after=since,
        )
    )
    return [run for run in failed if run.is_complete_and_waiting_to_retry]
