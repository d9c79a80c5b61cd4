"""Looks after what no run looks after: tables that fall behind, and runs that died."""

import json
from collections.abc import Collection

import dagster as dg

from assets.checks import as_evaluation, freshness
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
        description="Fails the freshness check of tables beyond max_lag_seconds (when it turns, "
        "then hourly), and ends runs whose worker is gone.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports = platform.open_ports()
        now = ports.clock()
        ended = end_dead_runs(context.instance, ports.workers, now)
        known = Known.read(platform, tables)
        late: dict[str, int] = json.loads(context.cursor or "{}")
        still: dict[str, int] = {}
        events = []
        for table, record in known.records.items():
            if record.status == Status.PAUSED:
                continue
            result = freshness(record, known.progress[table], now)
            told = late.get(table)
            if not result.passed:
                repeat = told is None or now - told >= _REPEAT_MS
                still[table] = told if told is not None and not repeat else now
                if repeat:
                    events.append(as_evaluation(result))
            elif told is not None:
                events.append(as_evaluation(result))
        context.log.info(f"{len(still)} tables late, {len(ended)} dead runs ended")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(still))

    return sensor


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_daily",
    job=maintenance_job,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
