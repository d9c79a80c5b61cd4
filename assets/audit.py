"""The daily audit of each table: its own counts against the digests of the raw log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from assets.checks import check_key, result_of
from assets.metadata import rows_table
from assets.translator import asset_key, identifier
from lake_platform.audit.auditor import audit
from lake_platform.audit.report import AuditReport
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import LakeError, NothingToAuditError, StopDatasetError
from resources.platform import PlatformResource

AUDIT = "audit"
AUDIT_JOB = "audit_job"
_SHOWN = 50


def audit_check(dataset: Dataset) -> dg.AssetChecksDefinition:
    """A check of its own, not a part of the load: it reads the whole table's coordinates, by
    engines that need no Spark."""
    table = dataset.table

    @dg.multi_asset_check(
        name=f"audit__{identifier(table)}",
        specs=[
            dg.AssetCheckSpec(
                AUDIT,
                asset=asset_key("lake", table),
                description="Nothing is lost, duplicated or alien: rows of table and quarantine "
                "against the digests of the raw log, counted by another engine than the writer's. "
                f"Record by record: `lake audit {table} --deep`.",
            )
        ],
    )
    def check(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        try:
            report = audit(table, platform.audit_sources(), deep=False)
        except LakeError as error:
            context.log.warning(str(error))
            return impossible(table, error)
        return judged(report)

    return check


def judged(report: AuditReport) -> dg.AssetCheckResult:
    """Fails when something is wrong. What digests cannot decide does not fail, and is said."""
    total, undecided = report.total, report.undecided
    text = (
        f"{total.lost} lost, {total.duplicated} duplicated, {total.alien} alien and "
        f"{len(report.problems)} damaged of {total.records} records; {total.pending} pending"
    )
    if undecided:
        text += (
            f"; {len(undecided)} of {len(report.lines)} windows cannot be decided from digests: "
            f"run `lake audit {report.table} --deep`"
        )
    metadata: dict[str, dg.MetadataValue] = {
        "verdict": dg.MetadataValue.text(report.verdict),
        "applied_raw_commits": dg.MetadataValue.text(f"{report.applied} of {report.head}"),
        "not_sound": rows_table(_wrong(report)),
        "undecided": rows_table({"window": x.window, "why": x.undecided} for x in undecided),
        **{name: dg.MetadataValue.int(n) for name, n in asdict(total).items()},
    }
    return result_of(report.table, AUDIT, report.sound, metadata, text)


def _wrong(report: AuditReport) -> Sequence[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = [
        {"window": x.window, "lost": c.lost, "duplicated": c.duplicated, "alien": c.alien,
         "what": "records"}
        for x in report.lines if not (c := x.counts).sound
    ]  # fmt: skip
    rows += [
        {"window": p.window, "lost": 0, "duplicated": 0, "alien": 0, "what": p.text}
        for p in report.problems
    ]
    return rows[:_SHOWN]


def impossible(table: str, error: LakeError) -> dg.AssetCheckResult:
    """No audit: fine while there is nothing to look at, an error when something is damaged."""
    if isinstance(error, NothingToAuditError) and not error.recorded:
        return result_of(table, AUDIT, True, {}, "nothing was dumped yet")
    severe = isinstance(error, StopDatasetError | NothingToAuditError)
    severity = dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN
    return result_of(table, AUDIT, False, {}, f"no audit was possible: {error}", severity)


def audit_jobs(tables: Sequence[str]) -> list[UnresolvedAssetJobDefinition]:
    """One run over all tables; there is none while there is no dataset."""
    if not tables:
        return []
    return [
        dg.define_asset_job(
            AUDIT_JOB,
            selection=dg.AssetSelection.checks(*(check_key(t, AUDIT) for t in tables)),
            executor_def=dg.in_process_executor,
            description="Audits all tables from digests, one after the other",
        )
    ]


def audit_schedules(jobs: Sequence[UnresolvedAssetJobDefinition]) -> list[dg.ScheduleDefinition]:
    return [
        dg.ScheduleDefinition(
            name="audit_daily",
            job=job,
            cron_schedule="47 3 * * *",  # after the cleaner of 03:17
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for job in jobs
    ]
