"""The composition root: settings and metastore to one Dagster code location.

Loaded by `dagster code-server start -m lake_platform.definitions` and by every run worker, so
nothing here may import Spark, the Kafka client or an AWS client.
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from assets.again import redrive_job, replay_job
from assets.alias import alias_job
from assets.audit import audit_jobs, audit_schedules
from assets.catalog import catalog_jobs
from assets.compaction import compaction_job, compaction_schedule
from assets.factory import Built, build_assets
from assets.health import health
from assets.jobs import maintenance_job, phase_jobs
from assets.rebuild import rebuild_job
from assets.resolve import resolve_job
from assets.windows import windows_of
from lake_platform.compose import build_metastore, clock
from lake_platform.settings import Settings, load_settings
from resources.platform import PlatformResource
from sensors.alerts import alerts_sensor
from sensors.catalog import catalog_sensor
from sensors.phases import ingest_sensor, load_sensor
from sensors.watchdog import maintenance_schedule, watchdog_sensor


def build_definitions(
    settings: Settings, platform: PlatformResource | None = None
) -> dg.Definitions:
    """All datasets of the metastore, as it is now; a new dataset comes with a reload.

    Raises:
        MetastoreUnavailableError, SetupError: without its metastore the location has nothing
            true to show.
    """
    built = _build_assets(settings)
    spec, check = health(built)
    tables = frozenset(built.tables)
    # Dagster knows no job over nothing, and with no dataset the phases have nothing to ask for.
    phases = [load_sensor(tables)] if tables else []
    phases += [ingest_sensor(frozenset(built.dumped))] if built.dumped else []
    phases += [catalog_sensor(frozenset(built.catalogued))] if built.catalogued else []
    audits = audit_jobs(built.tables)
    return dg.Definitions(
        assets=[*built.assets, spec],
        asset_checks=[check, *built.audits],
        jobs=[
            *phase_jobs(built.tables, built.dumped),
            *catalog_jobs(built.catalogued),
            *audits,
            replay_job,
            redrive_job,
            resolve_job,
            alias_job,
            rebuild_job,
            compaction_job,
            maintenance_job,
        ],
        sensors=[*phases, watchdog_sensor(built), alerts_sensor(tables)],
        schedules=[maintenance_schedule, compaction_schedule, *audit_schedules(audits)],
        resources={
            "platform": platform
            or PlatformResource(settings=settings, first_window=built.windows.first)
        },
        # Also what a person materialises: else every step is a process of its own with its own
        # Spark, and the process that signed the run as its worker ends before the run does.
        executor=dg.in_process_executor,
    )


def _build_assets(settings: Settings) -> Built:
    repository = build_metastore(settings)
    broken: list[tuple[str, Exception]] = []
    try:
        records = repository.list_all(on_broken=lambda table, error: broken.append((table, error)))
        built = build_assets(
            records,
            repository.active_schemas(),
            settings.storage_root,
            repository.mappings(),
            settings.catalog,
            windows_of(repository.all_progress().values(), clock()),
        )
    finally:
        repository.close()
    for table, error in broken:
        built.skip(table, error)
    return built


@cache
def _of_this_process() -> dg.Definitions:
    return build_definitions(load_settings())


@dg.definitions
def defs() -> dg.Definitions:
    """Dagster asks more than once in a process; a reload is a new process."""
    return _of_this_process()
