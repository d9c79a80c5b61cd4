"""The job that makes a table anew of its raw, under another definition, and swaps it in."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from assets.jobs import PHASE_TAG
from assets.metadata import rows_table
from assets.phases import Asked, translated
from lake_platform.rebuild.comparison import Comparison
from lake_platform.rebuild.rebuild import Rebuilder
from resources.platform import PlatformResource

REBUILD_JOB = "rebuild_table"
_BY_HAND = Asked(("by hand",), load=True, checks=frozenset(), share=1)


class RebuildConfig(dg.Config):
    """Without `changes` it goes on with the rebuild that is under way."""

    table: str
    changes: dict[str, Any] = Field(
        default={}, description="field: value; columns.<path> is one hint"
    )
    swap: bool = Field(default=False, description="put it in the place of the live one")
    abort: bool = Field(default=False, description="drop what was rebuilt, do nothing else")
    asked_by: str = Field(default="", description="for the audit log; else the run")


@dg.op
def rebuild(
    context: dg.OpExecutionContext, config: RebuildConfig, platform: PlatformResource
) -> None:
    rebuilder, table = platform.rebuilder, config.table
    actor = config.asked_by or f"dagster run {context.run_id}"
    with translated(_BY_HAND, context.log):
        if config.abort:
            context.add_output_metadata({"dropped": rebuilder.abort(table, actor)})
        elif rebuilder.end_left(table):
            context.log.info(f"{table}: the swap that was under way is done")
        else:
            found = built(context, rebuilder, table, config.changes, actor)
            swapped = config.swap and rebuilder.swap(table)
            metadata = shown(found) | {"swapped": bool(swapped)}
            context.add_output_metadata(metadata)
        platform.use_cases.notify(table)


def built(
    context: dg.OpExecutionContext,
    rebuilder: Rebuilder,
    table: str,
    changes: Mapping[str, Any],
    actor: str,
) -> Comparison:
    begun = rebuilder.begin(table, changes, actor)
    for warning in begun.warnings:
        context.log.warning(warning)
    context.log.info(f"{table}: {begun.commits} raw commits are to be loaded")
    for result in rebuilder.build(table):
        batch = result.applied.batch
        records = result.applied.balance.records
        context.log.info(
            f"{table}: raw commits {batch.first_seq} to {batch.last_seq} of {begun.commits}, "
            f"{records} records"
        )
    return rebuilder.compare(table)


def shown(found: Comparison) -> dict[str, Any]:
    sides = {"live": found.before, "rebuilt": found.after}
    return {
        "tables": rows_table({"table": name, **asdict(n)} for name, n in sides.items()),
        "columns": rows_table(asdict(c) for c in found.columns),
        "problems": "; ".join(found.problems) or "none",
    }


@dg.job(
    name=REBUILD_JOB,
    executor_def=dg.in_process_executor,
    tags={PHASE_TAG: "load"},  # it owns a Spark as a load does
    description="Makes a table anew of its raw under another definition, beside the live one, and "
    "swaps it in",
)
def rebuild_job() -> None:
    rebuild()
