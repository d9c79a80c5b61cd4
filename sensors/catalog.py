"""The sensor that asks for the catalog of tables that changed since they were last synced."""

from collections.abc import Collection, Sequence
from zlib import crc32

import dagster as dg

from assets.catalog import CATALOG_JOB, MARK, mark
from assets.phases import TRIGGER_TAG
from assets.translator import asset_key, table_of
from resources.platform import PlatformResource
from sensors.due import Memory
from sensors.known import Known
from sensors.live import busy_tables, end_dead_runs

INTERVAL_SECONDS = 30  # what loads meanwhile is served by one run


def catalog_sensor(tables: Collection[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="catalog_sensor",
        job_name=CATALOG_JOB,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a sync with Glue of all tables that were loaded or changed since "
        "their last one, and of each once a day.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        ports, memory = platform.open_ports(), Memory.parse(context.cursor)
        now = ports.clock()
        end_dead_runs(context.instance, ports.workers, now)
        known = Known.read(platform, tables)
        marks = {
            t: _number(mark(known.records[t], p, now))
            for t, p in known.progress.items()
            if p.applied_seq
        }
        memory.keep_only(marks)
        waiting = [t for t, m in marks.items() if memory.marked.get(t) != m]
        memory.marked |= _synced(context.instance, waiting, marks)
        busy = busy_tables(context.instance, "catalog", now)
        due = []
        for table in waiting:
            done = memory.marked.get(table) == marks[table]
            if not done and table not in busy and memory.may_try(table, marks[table], now):
                memory.tried(table, marks[table], now)
                due.append(table)
        requests = [_request(group) for group in memory.runs(due)]
        return dg.SensorResult(run_requests=requests, cursor=memory.dump())

    return sensor


def _number(text: str) -> int:
    """As a cursor keeps it."""
    return crc32(text.encode())


def _synced(
    instance: dg.DagsterInstance, tables: Sequence[str], marks: dict[str, int]
) -> dict[str, int]:
    """Those whose newest materialisation was asked for with the mark they have now."""
    found = {}
    for record in instance.get_asset_records([asset_key("catalog", t) for t in tables]):
        table = table_of(record.asset_entry.asset_key, "catalog")
        last = record.asset_entry.last_materialization
        event = last.asset_materialization if last is not None else None
        told = event.metadata.get(MARK) if event is not None else None
        if table is not None and told is not None and _number(str(told.value)) == marks[table]:
            found[table] = marks[table]
    return found


def _request(due: Sequence[str]) -> dg.RunRequest:
    return dg.RunRequest(
        asset_selection=[asset_key("catalog", t) for t in due], tags={TRIGGER_TAG: "sensor"}
    )
