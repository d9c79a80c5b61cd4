"""The asset check of new columns that may be old ones under another key."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from assets.checks import result_of
from assets.metadata import rows_table
from lake_platform.errors import LakeError
from lake_platform.evolution.proposals import Proposal
from resources.platform import PlatformResource

ALIAS_JOB = "alias_column"
NEWS_MS = 7 * 86_400_000  # a column that is older is what its readers know


def renames_of(table: str, platform: PlatformResource) -> dg.AssetCheckResult:
    """A warning while a column that came of late looks like another one that went."""
    since = platform.ports.clock() - NEWS_MS
    try:
        found = platform.proposals(table, since)
    except LakeError as error:
        return result_of(table, "renames", True, {}, f"not looked at: {error}")
    return result_of(
        table,
        "renames",
        not found,
        {"proposals": rows_table(_line(table, p) for p in found)},
        _said(found),
        dg.AssetCheckSeverity.WARN,
    )


def _said(found: Sequence[Proposal]) -> str:
    if not found:
        return "no column that came within a week looks like one that went"
    pairs = ", ".join(f"{p.key} may be {p.column}" for p in found)
    return (
        f"{pairs}: the job {ALIAS_JOB} or `lake schema alias` makes them one column; "
        f"nothing is done by itself"
    )


def _line(table: str, found: Proposal) -> dict[str, object]:
    config = f"{{table: {table}, column: {found.column}, key: {found.key}}}"
    return asdict(found) | {
        "command": f"lake schema alias {shlex.join([table, found.column, found.key])}",
        "run_config": f"{{ops: {{alias: {{config: {config}}}}}}}",
    }
