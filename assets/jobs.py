"""The jobs: the two phases over any datasets, and maintenance."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from assets.audit import AUDIT
from assets.checks import check_key
from assets.history import prune_runs
from assets.metadata import rows_table
from assets.translator import asset_key
from assets.windows import when
from resources.platform import PlatformResource

PHASE_TAG = "lake/phase"
DUMP_JOB, LOAD_JOB = "dump_job", "load_job"
# Both phases have a budget of minutes, but each table of a run gets its one batch at least.
_MAX_RUNTIME_SECONDS = 6 * 3600
# A crashed run is retried from the step it died in. Failed steps are not: an asset retries by
# itself what can be retried, and the sensors ask again for what is still pending.
RETRY_TAGS = {
    "dagster/max_retries": "2",
    "dagster/retry_on_asset_or_op_failure": "false",
    "dagster/retry_strategy": "FROM_FAILURE",
}


def phase_jobs(tables: Sequence[str], dumped: Sequence[str]) -> list[UnresolvedAssetJobDefinition]:
    """Asset jobs over all datasets; a run request names the ones that are due. `dumped` have raw of
    their own. There is none over nothing: Dagster refuses that."""
    chosen = {DUMP_JOB: ("raw", dumped), LOAD_JOB: ("lake", tables)}
    # Selecting an asset selects its checks, and the audit is none of the load's.
    if not tables:
        return []
    apart = dg.AssetSelection.checks(*(check_key(t, AUDIT) for t in tables))
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*(asset_key(layer, t) for t in some)) - apart,  # type: ignore[arg-type]
            executor_def=dg.in_process_executor,
            tags={
                PHASE_TAG: name.removesuffix("_job"),
                "dagster/max_runtime": str(_MAX_RUNTIME_SECONDS),
                **RETRY_TAGS,
            },
            description=f"{layer} assets of all datasets that are due, in one run",
        )
        for name, (layer, some) in chosen.items()
        if some
    ]


@dg.op
def compact_logs(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    failed: list[str] = []
    rows = list(_compact(platform, failed))
    context.add_output_metadata({"logs": rows_table(rows), "failed": len(failed)})
    if failed:
        raise dg.Failure("; ".join(failed), allow_retries=False)


def _compact(
    platform: PlatformResource, failed: list[str]
) -> Iterator[dict[str, str | int | float | bool | None]]:
    """One row a dataset; a dataset that fails keeps no other from being cleaned."""
    from lake_platform.maintain.cleaner import compact_log

    held = platform.catalogue.list_all(
        on_broken=lambda table, error: failed.append(f"{table}: {error}")
    )
    for record in held:
        table = record.dataset.table
        try:
            result = compact_log(
                table,
                platform.ports,
                platform.settings.log_keep_commits,
                platform.settings.raw_retention_days,
            )
        except Exception as error:  # whatever is wrong with one log, the others are cleaned
            failed.append(f"{table}: {error}")
            continue
        yield {
            "table": table,
            "snapshot_seq": result.snapshot_seq,
            "commits_removed": result.commits_removed,
            "orphans_removed": result.orphans_removed,
            "raw_removed": result.raw_removed,
        }


@dg.op
def prune_history(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    days = platform.settings.dagster_keep_days
    removed = 0
    if days:
        before = when(platform.ports.clock()) - timedelta(days=days)
        removed = prune_runs(context.instance, before)
    context.add_output_metadata({"keep_days": days, "runs_removed": removed})


@dg.job(
    name="maintenance",
    executor_def=dg.in_process_executor,
    description="Keeps the last commits of every commit log, removes what is left of crashes, and "
    "old runs of Dagster that no window or check needs",
)
def maintenance_job() -> None:
    compact_logs()
    prune_history()
