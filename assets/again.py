"""The jobs that apply raw once more: windows of a table, or what waits in quarantine."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from assets import checks
from assets.jobs import PHASE_TAG
from assets.metadata import LoadTally, rows_table
from assets.phases import Asked, reported, tally_of, translated
from lake_platform.load import load, quarantined, replaying
from lake_platform.load.redrive import Redrive, plan
from lake_platform.load.redriven import Outcome, Plan
from lake_platform.load.results import LoadResult
from resources.platform import PlatformResource

REPLAY, REDRIVE = "replay", "redrive"
# A person asked: tried again in this run, and not put off for another writer.
_BY_HAND = Asked(("by hand",), load=True, checks=frozenset(), share=1)


class ReplayConfig(dg.Config):
    """Windows are hours, `2026-11-24-03:00`: some by name, all from the first to the last, both
    included, or all there are."""

    table: str
    windows: list[str] = Field(default=[], description="Hours (UTC), as in 2026-11-24-03:00.")
    first_window: str | None = Field(default=None, description="The first hour of a range.")
    last_window: str | None = Field(default=None, description="The last hour, included.")
    all_windows: bool = False


class RedriveConfig(dg.Config):
    """Which records of quarantine get another try; without reasons, windows and version all do.
    `rescued`: the values in `_rescued` instead. `dry_run` only says what would be done."""

    table: str
    reasons: list[str] = Field(default=[], description="As quarantine has them, or null_key, …")
    windows: list[str] = Field(default=[], description="Hours (UTC), as in 2026-11-24-03:00.")
    version: int | None = Field(default=None, description="Schema version they were judged by.")
    rescued: bool = False
    dry_run: bool = False


@dg.op
def replay_windows(
    context: dg.OpExecutionContext, config: ReplayConfig, platform: PlatformResource
) -> None:
    ports, table = platform.ports, config.table
    with translated(_BY_HAND, context.log):
        asked = replaying.span(
            config.windows, config.first_window, config.last_window, every=config.all_windows
        )
        found = replaying.plan(table, ports.store, ports.metastore, platform.limits, asked)
    results = load.load(table, ports, platform.limits, found.windows, replay=True)
    tally = _applied(context, platform, table, results)
    context.add_output_metadata(
        {
            "batches": len(tally.results),
            "windows": len(tally.windows),
            "first_window": found.windows[0],
            "last_window": found.windows[-1],
            "to_end": found.to_end,
        }
    )


@dg.op
def redrive_quarantine(
    context: dg.OpExecutionContext, config: RedriveConfig, platform: PlatformResource
) -> None:
    ports, table, rescued = platform.ports, config.table, config.rescued
    with translated(_BY_HAND, context.log):
        wanted = quarantined.wanted(config.reasons, config.windows, config.version)
        quarantined.check_rescued(wanted, rescued=rescued)
        if config.dry_run:
            found = plan(
                table, ports.store, ports.metastore, platform.limits, wanted, rescued=rescued
            )
            context.add_output_metadata(_planned(found))
            return
        drive = Redrive(table, ports, platform.limits, wanted, rescued=rescued)
    tally = _applied(context, platform, table, drive.run())
    outcome = drive.outcome
    context.log.info(f"{len(tally.results)} batches, {outcome.records} records read")
    context.add_output_metadata(_planned(outcome.plan) | _became(outcome))


def _applied(
    context: dg.OpExecutionContext,
    platform: PlatformResource,
    table: str,
    results: Iterable[LoadResult],
) -> LoadTally:
    """Reports windows as a load does, and how the table stands afterwards."""
    with translated(_BY_HAND, context.log):
        record = platform.ports.metastore.get(table)
        tally = tally_of(record.dataset, platform)
        for event in reported(tally, platform, _BY_HAND, context.log, results):
            context.log_event(event)
        progress = platform.ports.metastore.progress(table)
    if tally.results and record.dataset.mode == "upsert":
        found = checks.as_evaluation(checks.deletes(table, progress))
        context.instance.report_runless_asset_event(found)
    return tally


def _planned(found: Plan) -> dict[str, Any]:
    def rows(groups: Sequence[quarantined.Group]) -> dg.MetadataValue:
        return rows_table(
            {
                "window": g.window, "reason": g.reason, "schema_version": g.schema_version,
                "records": g.records,
            }
            for g in groups
        )  # fmt: skip

    return {
        "tried": rows(found.groups),
        "unreadable": rows(found.unreadable),
        "raw_expired": rows(found.expired),
        "rescued": rows_table({"path": p, "values": n} for p, n in found.rescued.items()),
        "records_to_read": found.records,
        "to_end": found.to_end,
    }


def _became(outcome: Outcome) -> dict[str, Any]:
    return {
        "came_back": rows_table(
            {"reason": f.reason, "came_back": f.came_back, "stayed": sum(f.stayed.values())}
            for f in outcome.fates
        ),
        "stayed": rows_table(
            {"reason": f.reason, "reason_now": why, "records": records}
            for f in outcome.fates
            for why, records in f.stayed.items()
        ),
        "rescued_now": rows_table({"path": p, "values": n} for p, n in outcome.rescued.items()),
        "records_read": outcome.records,
        "batches": outcome.batches,
    }


@dg.job(
    name=REPLAY,
    executor_def=dg.in_process_executor,
    tags={PHASE_TAG: "load"},  # it owns a Spark as a load does
    description="Applies windows of one table again from raw; the table stays the same if they "
    "were right",
)
def replay_job() -> None:
    replay_windows()


@dg.job(
    name=REDRIVE,
    executor_def=dg.in_process_executor,
    tags={PHASE_TAG: "load"},
    description="Gives records in quarantine, or rescued values, another try by today's "
    "definition and schema; what fails again stays",
)
def redrive_job() -> None:
    redrive_quarantine()
