"""Keeps Dagster's own history short: by itself it prunes ticks, never runs and their events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.translator import LAYERS, table_of

_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_LOOK_BACK = timedelta(days=30)  # a run that is still needed then is not looked at again
_MOST_RUNS = 5_000  # a night; deleting one takes a tenth of a second
_PAGE = 200
Newest = dict[tuple[dg.AssetKey, str], str]
"""Asset and window -> the run that reported it last; the runs of an hour share their windows."""


def prune_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes our finished runs created before `before`; returns how many.

    A run stays as long as it is the last that said something of a window or a check: without it
    Dagster would show that window as missing, though it is in the table.
    """
    doomed: list[str] = []
    newest: Newest = {}
    for run in _old_runs(instance, before):
        if len(doomed) >= _MOST_RUNS:
            break
        held = _last_of_a_check(instance, run.run_id)
        if not held and not _last_of_a_window(instance, run.run_id, newest):
            doomed.append(run.run_id)
    for run_id in doomed:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _remove_file(instance, run_id)
    return len(doomed)


def _old_runs(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    chosen = dg.RunsFilter(
        statuses=_FINISHED, created_before=before, created_after=before - _LOOK_BACK
    )
    cursor: str | None = None
    while page := instance.get_runs(chosen, cursor=cursor, limit=_PAGE):
        yield from (run for run in page if _ours(run))
        cursor = page[-1].run_id


def _ours(run: dg.DagsterRun) -> bool:
    """Other code locations may share the instance."""
    return any(key.path[0] in LAYERS for key in run.asset_selection or ())


def _last_of_a_check(instance: dg.DagsterInstance, run_id: str) -> bool:
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    said = [e.dagster_event.asset_check_evaluation_data for e in events if e.dagster_event]
    keys = list({s.asset_check_key for s in said})
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return any(held.run_id == run_id for held in latest.values())


def _last_of_a_window(instance: dg.DagsterInstance, run_id: str, newest: Newest) -> bool:
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    for event in (e.dagster_event for e in events if e.dagster_event):
        key, partition = event.asset_key, event.partition
        if key is None or (partition is None and table_of(key, "catalog") is None):
            return True  # nothing of ours: whoever wrote it knows what it is for
        window = key, partition or ""
        if window not in newest:
            chosen = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
            (last,) = instance.fetch_materializations(chosen, limit=1).records
            newest[window] = last.run_id
        if newest[window] == run_id:
            return True
    return False


def _remove_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """On SQLite the events of a run are a file of its own, which stays as large as it was."""
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_of is not None:
        Path(path_of(run_id)).unlink(missing_ok=True)
