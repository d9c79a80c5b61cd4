"""Tells receivers of what is wrong: what the metastore knows, and what only Dagster does."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import dagster as dg

from assets.audit import AUDIT, AUDIT_JOB
from assets.catalog import DRIFT
from assets.checks import check_key, check_names
from assets.translator import asset_key
from lake_platform.domain.alerts import CHECK_FAILED, JOB_FAILED, Alert, Known, firing
from lake_platform.domain.dataset import Status
from lake_platform.domain.progress import DatasetRecord
from resources.platform import PlatformResource

EVERY_SECONDS = 30
# They say what other conditions say, from the same numbers.
_TOLD_OTHERWISE = frozenset(["schema", "freshness", "retention"])
# Warnings in Dagster; yet rows are wrong.
_NEVER_MILD = frozenset([AUDIT, "deletes"])
_JOBS = ("maintenance", "compaction", AUDIT_JOB)


def alerts_sensor(tables: Collection[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the receivers that LAKE_ALERT_… name of what is wrong: once, with "
        "reminders, and when it is over. Without any it only keeps the record that `lake alerts "
        "list` and /metrics show.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        now = platform.open_ports().clock()
        known = platform.known()
        fires = [
            *firing(known, now),
            *_failed_checks(context.instance, known, tables),
            *_failed_jobs(context.instance),
        ]
        done = platform.tell(fires, now)
        for receiver, why in done.failures.items():
            context.log.warning(f"{receiver}: {why}")
        for receiver, answer in done.answers.items():
            context.log.info(f"{receiver}: {answer}")
        return dg.SkipReason(_said(done.fires, done.failures))

    return sensor


def _said(fires: Collection[str], failures: Collection[str]) -> str:
    said = f"{len(fires)} alerts fire: {', '.join(list(fires)[:5])}" if fires else "no alert fires"
    return f"{said}; not delivered to {', '.join(failures)}" if failures else said


def _failed_checks(
    instance: dg.DagsterInstance, known: Known[DatasetRecord], tables: Collection[str]
) -> Iterator[Alert]:
    """Checks whose newest result is an error. One that is running now, or whose run died, has no
    result."""
    live = [
        r.dataset
        for r in known.records
        if r.dataset.table in tables and r.status is not Status.RETIRED
    ]
    keys = [
        check_key(dataset.table, name)
        for dataset in live
        for name in {*check_names(dataset), AUDIT} - _TOLD_OTHERWISE
    ]
    keys += [dg.AssetCheckKey(asset_key("catalog", d.table), DRIFT) for d in live]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    for key, held in latest.items():
        result = held.evaluation
        if result is None or result.passed:
            continue
        if result.severity is not dg.AssetCheckSeverity.ERROR and key.name not in _NEVER_MILD:
            continue
        table = key.asset_key.path[1]
        yield Alert(
            CHECK_FAILED, table, key.name,
            f"check {key.name} of table {table} failed: {result.description or 'see Dagster'}",
            f"lake audit {table}" if key.name == AUDIT else f"lake datasets stats {table}",
        )  # fmt: skip


def _failed_jobs(instance: dg.DagsterInstance) -> Iterator[Alert]:
    """Jobs of maintenance whose newest finished run failed, with no retry to come."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for job in _JOBS:
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=ended), limit=1):
            failed = run.status == dg.DagsterRunStatus.FAILURE
            if failed and not run.is_complete_and_waiting_to_retry:
                text = f"the last run of job {job} failed"
                yield Alert(JOB_FAILED, "", job, text, f"open run {run.run_id} in Dagster")
