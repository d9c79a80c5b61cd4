"""Records of which a step made a row that the table must not have: quarantined as the scan does it,
byte for byte, before anything is written."""

from __future__ import annotations

from dataclasses import replace

from lake_platform.domain.batches import BatchJob, Exclusion
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import Reason, too_many
from lake_platform.domain.rules import added
from lake_platform.errors import QuarantineRatioError
from lake_platform.load.plan import Loading
from lake_platform.load.quarantine import reasons_among, write_quarantine
from lake_platform.load.report import ScanReport
from lake_platform.load.rules import rejected


def judged(loading: Loading, report: ScanReport, job: BatchJob) -> BatchJob:
    """`job` as it is after the engine's look at what the steps make of it; `report` gets the
    records it found.

    Raises:
        QuarantineRatioError, TransformError, EngineError.
    """
    found = loading.engine.judge(job)
    job = replace(job, dropped=job.dropped + found.dropped, exploded=found.exploded)
    report.rules = added(report.rules, found.broken)
    if not found.unfit:
        return job
    reasons = {(u.partition, u.offset): str(u.reason) for u in found.unfit}
    report.rejected += rejected(loading.ports.store, job.objects, reasons)
    check_ratio(job.dataset, report)
    store, table = loading.ports.store, job.dataset.table
    return replace(
        job,
        refused=tuple(Exclusion(u.partition, u.offset) for u in found.unfit),
        quarantined=len(report.rejected),
        quarantine_keys=write_quarantine(
            store, table, job.commits, job.schema_version, report.rejected
        ),
    )


def check_ratio(dataset: Dataset, report: ScanReport) -> None:
    """Raises: QuarantineRatioError."""
    limit = dataset.max_quarantine_ratio
    bad = [r for r in report.rejected if r.reason != Reason.DECIDED]
    if too_many(len(bad), report.records, limit):
        raise QuarantineRatioError(
            dataset.table, len(bad), report.records, limit, reasons_among(bad)
        )
