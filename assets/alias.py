"""The job that takes up what the check `renames` proposes."""

from typing import Any

import dagster as dg
from pydantic import Field

from assets.jobs import PHASE_TAG
from assets.phases import Asked, translated
from assets.proposals import ALIAS_JOB
from assets.rebuild import built, shown
from lake_platform.rebuild.altering import in_place
from resources.platform import PlatformResource

_BY_HAND = Asked(("by hand",), load=True, checks=frozenset(), share=1)


class AliasConfig(dg.Config):
    """Records have `key` for `column` as well. Where rows have the key in a column of its own, the
    table is made anew beside the live one."""

    table: str
    column: str = Field(description="the column that stays")
    key: str = Field(description="the key that records have for it as well")
    swap: bool = Field(default=False, description="put a table made anew in the live one's place")
    dry_run: bool = Field(default=False, description="say what it takes, change nothing")


@dg.op
def alias(context: dg.OpExecutionContext, config: AliasConfig, platform: PlatformResource) -> None:
    use_cases, rebuilder, table = platform.use_cases, platform.rebuilder, config.table
    actor = f"dagster run {context.run_id}"
    with translated(_BY_HAND, context.log):
        if rebuilder.end_left(table):
            context.log.info(f"{table}: the swap that was under way is done")
        asked = use_cases.aliasing(table, config.column, config.key)
        how = "from the next batch on" if asked.in_place else "the table is made anew"
        told: dict[str, Any] = {"how": how, "changes": dg.MetadataValue.json(dict(asked.changes))}
        if not config.dry_run and not in_place(use_cases, asked, actor):
            told |= shown(built(context, rebuilder, table, asked.changes, actor))
            told["swapped"] = bool(config.swap and rebuilder.swap(table))
        context.add_output_metadata(told)
        platform.use_cases.notify(table)


@dg.job(
    name=ALIAS_JOB,
    executor_def=dg.in_process_executor,
    tags={PHASE_TAG: "load"},  # it owns a Spark as a load does
    description="Another key of the records for a column, as the check `renames` proposes",
)
def alias_job() -> None:
    alias()
