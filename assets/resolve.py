"""The job that says what becomes of the changes that broke a table."""

from collections.abc import Mapping
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from lake_platform.domain.resolutions import RESOLUTIONS, Asked
from lake_platform.errors import LakeError
from lake_platform.rebuild.resolving import resolved
from resources.platform import PlatformResource


class ResolveConfig(dg.Config):
    """`resolution` is for all changes of the incident that `columns` does not speak of."""

    incident: int
    resolution: str = Field(default="", description=f"one of {', '.join(RESOLUTIONS)}")
    columns: Mapping[str, str] = Field(default={}, description="path of a change: resolution")
    table: str = Field(default="", description="of new_table: its name, instead of <table>_2")
    always: bool = Field(default=False, description="also for all that comes")
    asked_by: str = Field(default="", description="for the audit log; else the run")
    dry_run: bool = Field(default=False, description="say what would come of it, change nothing")


@dg.op
def resolve_changes(
    context: dg.OpExecutionContext, config: ResolveConfig, platform: PlatformResource
) -> None:
    asked = Asked(config.resolution, config.columns, config.always, config.table)
    actor = config.asked_by or f"dagster run {context.run_id}"
    try:
        if config.dry_run:
            would = asdict(platform.look_ahead(config.incident, asked))
            context.add_output_metadata({"would": dg.MetadataValue.json(would)})
            return
        found = resolved(platform.use_cases, platform.rebuilder, config.incident, asked, actor)
    except LakeError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.add_output_metadata({"table": found.table, "resolution": found.resolution})


@dg.job(
    name="resolve_incident",
    executor_def=dg.in_process_executor,
    description="Says what becomes of the changes that broke a table; the next load goes on",
)
def resolve_job() -> None:
    resolve_changes()
