"""The sensors that ask for phase 1 and phase 2: one run for all datasets that are due."""

from collections.abc import Collection, Iterator

import dagster as dg

from assets.checks import LOAD_CHECKS, check_key, check_names
from assets.jobs import DUMP_JOB, LOAD_JOB
from assets.phases import TRIGGER_TAG
from assets.standing import naming
from assets.translator import asset_key
from assets.windows import WINDOWS_TAG
from lake_platform.domain.bundle import Ports
from lake_platform.domain.progress import DatasetRecord
from lake_platform.raw import log as raw_log
from resources.platform import PlatformResource
from sensors.due import Memory, dump_due, load_due
from sensors.known import Known, apart
from sensors.live import busy_tables, end_dead_runs
from sensors.report import settle, unmarked_lake, unreported_raw

INTERVAL_SECONDS = 5
_LOOKED_AT = 50  # tables, for the partition of a run: each costs two requests to the storage
_TABLE_CHECKS_EVERY_MS = 15 * 60_000  # they read the whole table


def ingest_sensor(tables: Collection[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="ingest_sensor",
        job_name=DUMP_JOB,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a dump of all datasets that are due: by their schedule, or at once "
        "while they have not caught up.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports, memory = platform.open_ports(), Memory.parse(context.cursor)
        now = ports.clock()
        end_dead_runs(context.instance, ports.workers, now)
        known = Known.read(platform, tables)
        marks = {t: p.dumped_at for t, p in known.progress.items()}
        memory.keep_only(marks)
        busy = busy_tables(context.instance, "raw", now)
        due = []
        for table, record in known.records.items():
            if table in busy or not memory.may_try(table, marks[table], now):
                continue
            with apart(table):
                if dump_due(record, known.progress[table], now):
                    memory.tried(table, marks[table], now)
                    due.append(table)
        requests = [_dump_request(group, known) for group in memory.runs(due)]
        return dg.SensorResult(run_requests=requests, cursor=memory.dump())

    return sensor


def _dump_request(due: list[str], known: Known) -> dg.RunRequest:
    return dg.RunRequest(
        asset_selection=[asset_key("raw", t) for t in due],
        tags=_tags(due, known),
    )


def load_sensor(tables: Collection[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="load_sensor",
        job_name=LOAD_JOB,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a load of all tables with raw commits waiting, and reports raw "
        "windows that were written outside Dagster or by a run that died.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports, memory = platform.open_ports(), Memory.parse(context.cursor)
        now = ports.clock()
        end_dead_runs(context.instance, ports.workers, now)
        known = Known.read(platform, tables)
        marks = {t: p.applied_seq for t, p in known.progress.items()}
        memory.keep_only(marks)
        settle(ports, memory, known)
        dumping = busy_tables(context.instance, "raw", now)
        busy = busy_tables(context.instance, "lake", now)
        events = [
            *unreported_raw(ports, memory, known, dumping, now),
            *unmarked_lake(ports, memory, known, busy, context.instance, now),
        ]
        due = []
        for table, record in known.records.items():
            waiting = load_due(record, known.progress[table])
            if waiting and table not in busy and memory.may_try(table, marks[table], now):
                memory.tried(table, marks[table], now)
                due.append(table)
        requests = [
            _load_request([known.records[t] for t in group], ports, known, context.instance, now)
            for group in memory.runs(due)
        ]
        return dg.SensorResult(run_requests=requests, asset_events=events, cursor=memory.dump())

    return sensor


def _tags(due: list[str], known: Known) -> dict[str, str]:
    return {TRIGGER_TAG: "sensor", WINDOWS_TAG: known.windows.first, **naming(due)}


def _load_request(
    due: list[DatasetRecord],
    ports: Ports,
    known: Known,
    instance: dg.DagsterInstance,
    now_ms: int,
) -> dg.RunRequest:
    """The run serves whatever waits, in any window. Its partition is the newest of these: Dagster
    needs one to run an asset with a partitioned upstream, and a range costs by its length."""
    windows: list[str] = []
    for record in due[:_LOOKED_AT]:
        table = record.dataset.table
        with apart(table):
            log = record.dataset.raw_table
            head = raw_log.head(ports.store, log, known.progress[table].head_seq)
            windows += head.windows if head else []
    return dg.RunRequest(
        asset_selection=[asset_key("lake", r.dataset.table) for r in due],
        asset_check_keys=list(_due_checks(due, instance, now_ms)),
        partition_key=known.windows.newest(windows, now_ms),
        tags=_tags([r.dataset.table for r in due], known),
    )


def _due_checks(
    due: list[DatasetRecord], instance: dg.DagsterInstance, now_ms: int
) -> Iterator[dg.AssetCheckKey]:
    keys = [check_key(r.dataset.table, name) for r in due for name in check_names(r.dataset)]
    costly = [k for k in keys if k.name not in LOAD_CHECKS]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(costly)
    for key in keys:
        held = latest.get(key) if key.name not in LOAD_CHECKS else None
        if held is None or now_ms - held.create_timestamp * 1000 >= _TABLE_CHECKS_EVERY_MS:
            yield key
