"""Looks after what no run looks after: tables that fall behind, and runs that died."""

import json
from collections.abc import Collection, Iterator

import dagster as dg

from assets.checks import as_evaluation, freshness, retention
from assets.jobs import maintenance_job
from lake_platform.domain.dataset import Status
from resources.platform import PlatformResource
from sensors.known import Known
from sensors.live import end_dead_runs

_LOOK_EVERY_SECONDS = 300
_REPEAT_MS = 3_600_000


def watchdog_sensor(tables: Collection[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="watchdog",
        minimum_interval_seconds=_LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails the freshness check of tables beyond max_lag_seconds and the retention "
        "check of those Kafka may soon drop records of (when it turns, then hourly), and ends runs "
        "whose worker is gone.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports = platform.open_ports()
        now = ports.clock()
        ended = end_dead_runs(context.instance, ports.workers)
        known = Known.read(platform, tables)
        told: dict[str, int] = json.loads(context.cursor or "{}")
        failing: dict[str, int] = {}
        events = []
        for key, result in _judged(known, now):
            last = told.get(key)
            repeat = last is None or now - last >= _REPEAT_MS
            if not result.passed:
                failing[key] = now if last is None or repeat else last
            if (repeat and not result.passed) or (last is not None and result.passed):
                events.append(as_evaluation(result))
        context.log.info(f"{len(failing)} checks fail, {len(ended)} dead runs ended")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(failing))

    return sensor


def _judged(known: Known, now: int) -> Iterator[tuple[str, dg.AssetCheckResult]]:
    """Each result with its place in the cursor. A paused table may be late; Kafka does not wait."""
    for table, record in known.records.items():
        progress = known.progress[table]
        if record.status != Status.PAUSED:
            yield table, freshness(record, progress, now)
        yield f"{table}/retention", retention(record, progress, now)


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_daily",
    job=maintenance_job,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
