"""The jobs: the two phases over any datasets, a replay by hand, and maintenance."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from assets.audit import AUDIT
from assets.checks import check_key
from assets.metadata import LoadTally, rows_table
from assets.translator import asset_key
from assets.windows import WINDOWS
from lake_platform.domain.dataset import Status
from lake_platform.errors import LakeError
from lake_platform.ingest import load
from resources.platform import PlatformResource

PHASE_TAG = "lake/phase"
DUMP_JOB, LOAD_JOB = "dump_job", "load_job"
# A crashed run is retried from the step it died in. Failed steps are not: an asset retries by
# itself what can be retried, and the sensors ask again for what is still pending.
_RETRY_TAGS = {
    "dagster/max_retries": "2",
    "dagster/retry_on_asset_or_op_failure": "false",
    "dagster/retry_strategy": "FROM_FAILURE",
}


def phase_jobs(tables: Sequence[str]) -> list[UnresolvedAssetJobDefinition]:
    """Asset jobs over all datasets; a run request names the ones that are due. There are none
    while there is no dataset: Dagster refuses a job over nothing."""
    if not tables:
        return []
    chosen = {DUMP_JOB: "raw", LOAD_JOB: "lake"}
    # Selecting an asset selects its checks, and the audit is none of the load's.
    apart = dg.AssetSelection.checks(*(check_key(t, AUDIT) for t in tables))
    return [
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*(asset_key(layer, t) for t in tables)) - apart,  # type: ignore[arg-type]
            executor_def=dg.in_process_executor,
            tags={PHASE_TAG: name.removesuffix("_job"), **_RETRY_TAGS},
            description=f"{layer} assets of all datasets that are due, in one run",
        )
        for name, layer in chosen.items()
    ]


class ReplayConfig(dg.Config):
    """Windows are hours, `2026-11-24-03:00`, both included."""

    table: str
    first_window: str
    last_window: str


@dg.op
def replay_windows(
    context: dg.OpExecutionContext, config: ReplayConfig, platform: PlatformResource
) -> None:
    windows = WINDOWS.get_partition_keys_in_range(
        dg.PartitionKeyRange(config.first_window, config.last_window)
    )
    dataset = platform.ports.metastore.get(config.table).dataset
    tally = LoadTally(dataset)
    for result in load.load(dataset.table, platform.ports, platform.limits, windows, replay=True):
        tally.add(result)
    for window in sorted(tally.windows):
        context.log_event(tally.event(window))


@dg.job(
    name="replay",
    executor_def=dg.in_process_executor,
    description="Applies windows of one table again from raw; the table stays the same if they "
    "were right",
)
def replay_job() -> None:
    replay_windows()


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
    from lake_platform.ingest.compact_log import compact_log

    for record in platform.catalogue.list_all():
        if record.status == Status.RETIRED:
            continue
        table = record.dataset.table
        try:
            result = compact_log(
                table,
                platform.ports,
                platform.settings.log_keep_commits,
                platform.settings.raw_retention_days,
            )
        except LakeError as error:
            failed.append(str(error))
            continue
        yield {
            "table": table,
            "snapshot_seq": result.snapshot_seq,
            "commits_removed": result.commits_removed,
            "orphans_removed": result.orphans_removed,
            "raw_removed": result.raw_removed,
        }


@dg.job(
    name="maintenance",
    executor_def=dg.in_process_executor,
    description="Keeps the last commits of every commit log, removes what is left of crashes",
)
def maintenance_job() -> None:
    compact_logs()
