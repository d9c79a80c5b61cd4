"""Looks after what no run looks after: tables that fall behind, runs that died, and definitions
that could not be built."""

import json
from collections.abc import Collection, Iterator

import dagster as dg

from assets.checks import as_evaluation, check_key, freshness, retention
from assets.factory import Built
from assets.health import HEALTH_CHECK, judged
from assets.jobs import maintenance_job
from lake_platform.domain.dataset import Status
from resources.platform import PlatformResource
from sensors.known import Known
from sensors.live import busy_tables, end_dead_runs

_LOOK_EVERY_SECONDS = 30  # a table that fails is red within a minute, and green again as fast
_REPEAT_MS = 3_600_000
_EVENTS_PER_TICK = 200  # about 40 ms each


def watchdog_sensor(built: Built) -> dg.SensorDefinition:
    tables = frozenset(built.tables)

    @dg.sensor(
        name="watchdog",
        minimum_interval_seconds=_LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails the freshness check of tables beyond max_lag_seconds or with a phase "
        "that fails, and the retention check of those Kafka may soon drop records of (when it "
        "turns, then hourly), passes them again, ends runs whose worker is gone, and shows "
        "definitions that were skipped.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports, instance = platform.open_ports(), context.instance
        now = ports.clock()
        ended = end_dead_runs(instance, ports.workers, now)
        known = Known.read(platform, tables)
        shown = _shown(instance, tables)
        busy = busy_tables(instance, "lake", now)
        told = _told(context.cursor)
        events = list(_all_built(instance, built))
        for place, result in _judged(known, now):
            if len(events) >= _EVENTS_PER_TICK:
                break
            passed = shown.get(place)
            if result.passed:
                # A run at work has planned the check, and will judge it; whoever else left it so
                # does not.
                unsettled = passed is False and place.partition("/")[0] not in busy
                if told.pop(place, None) is not None or unsettled:
                    events.append(as_evaluation(result))
            elif passed is True or now - told.get(place, 0) >= _REPEAT_MS:
                told[place] = now
                events.append(as_evaluation(result))
        kept = {p: at for p, at in told.items() if p.partition("/")[0] in known.records}
        context.log.info(f"{len(kept)} checks fail, {len(ended)} dead runs ended")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(kept))

    return sensor


def _judged(known: Known, now: int) -> Iterator[tuple[str, dg.AssetCheckResult]]:
    """Each result with its place in the cursor. A paused table may be late; Kafka does not wait."""
    for table, record in known.records.items():
        progress = known.progress[table]
        if record.status != Status.PAUSED:
            yield table, freshness(record, progress, now)
        yield f"{table}/retention", retention(record, progress, now)


def _told(cursor: str | None) -> dict[str, int]:
    """When each check was last said to fail; anew for a cursor that cannot be read."""
    try:
        return {str(place): int(at) for place, at in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _shown(instance: dg.DagsterInstance, tables: Collection[str]) -> dict[str, bool]:
    """What Dagster shows at each place: whether the newest check passed. One that is planned, or
    was in a run that failed, did not."""
    keys = {check_key(table, "freshness"): table for table in tables}
    keys |= {check_key(table, "retention"): f"{table}/retention" for table in tables}
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return {keys[key]: held.status.value == "SUCCEEDED" for key, held in latest.items()}


def _all_built(instance: dg.DagsterInstance, built: Built) -> list[dg.AssetCheckEvaluation]:
    """The verdict on the definitions, when it is not the one Dagster has."""
    result = judged(built)
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([HEALTH_CHECK])
    held = latest.get(HEALTH_CHECK)
    shown = held.evaluation.description if held and held.evaluation else None
    news = shown != result.description if shown or built.skipped else False
    return [as_evaluation(result)] if news else []


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_daily",
    job=maintenance_job,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
