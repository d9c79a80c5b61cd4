"""The job that compacts merge-on-read tables, so that no load has to."""

from collections.abc import Iterator

import dagster as dg

from assets.jobs import PHASE_TAG
from assets.metadata import rows_table
from resources.platform import PlatformResource

Row = dict[str, str | int | float | bool | None]


@dg.op
def compact_tables(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    failed: list[str] = []
    rows = list(_compacted(platform, failed))
    context.add_output_metadata({"tables": rows_table(rows), "failed": len(failed)})
    if failed:
        raise dg.Failure("; ".join(failed), allow_retries=False)


def _compacted(platform: PlatformResource, failed: list[str]) -> Iterator[Row]:
    """One row a table that had something to compact; one that fails keeps no other waiting."""
    from lake_platform.maintain.compaction import compact_table

    held = platform.catalogue.list_all(
        on_broken=lambda table, error: failed.append(f"{table}: {error}")
    )
    for record in held:
        table = record.dataset.table
        try:
            found = compact_table(table, platform.ports, platform.limits)
        except Exception as error:  # whatever is wrong with one table, the others are compacted
            failed.append(f"{table}: {error}")
            continue
        if found is not None:
            yield {"table": table, "commits": found.commits, "put_off": found.put_off}


@dg.job(
    name="compaction",
    executor_def=dg.in_process_executor,
    tags={PHASE_TAG: "load"},  # it owns a Spark as a load does
    description="Merges the log files of Hudi tables that have 20 commits since the last time",
)
def compaction_job() -> None:
    compact_tables()


compaction_schedule = dg.ScheduleDefinition(
    name="compaction_hourly",
    job=compaction_job,
    cron_schedule="37 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
