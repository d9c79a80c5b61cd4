"""Records of which a step made a row that the table must not have: quarantined as the scan does it,
byte for byte, before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lake_platform.domain.batches import BatchJob, BatchRange, Exclusion
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.quality import DECISIONS, doubted_setting, too_many
from lake_platform.domain.rules import added
from lake_platform.errors import QuarantineRatioError, ReplayRefusedError
from lake_platform.load.plan import Loading
from lake_platform.load.quarantine import newly_rejected, reasons_among, write_quarantine
from lake_platform.load.report import ScanReport
from lake_platform.load.rules import rejected
from lake_platform.load.stage import without
from lake_platform.records.conform import head_of


def judged(loading: Loading, report: ScanReport, job: BatchJob, *, asked: bool = False) -> BatchJob:
    """`job` as it is after the engine's look at what the steps make of it; `report` gets the
    records it found. `asked`: a person asked for this replay.

    Raises:
        QuarantineRatioError, ReplayRefusedError, TransformError, EngineError.
    """
    found = loading.engine.judge(job)
    job = replace(job, dropped=job.dropped + found.dropped, exploded=job.exploded + found.exploded)
    report.rules = added(report.rules, found.broken)
    report.lost = dict(found.lost)
    if not found.unfit:
        return job
    reasons = {(u.partition, u.offset): str(u.reason) for u in found.unfit}
    report.rejected += rejected(loading.ports.store, job.objects, reasons)
    check_rejected(loading, job.commits, report, asked=asked)
    store, table = loading.ports.store, job.dataset.table
    deletes = without(job.deletes, reasons)
    return replace(
        job,
        deletes=tuple(deletes),
        exploded=job.exploded - (len(job.deletes) - len(deletes)),
        refused=tuple(Exclusion(u.partition, u.offset) for u in found.unfit),
        quarantined=len(report.rejected),
        quarantine_keys=write_quarantine(
            store,
            table,
            job.commits,
            job.schema_version,
            report.rejected,
            job.claim.epoch if job.replay else None,
        ),
    )


def check_rejected(
    loading: Loading, commits: Sequence[RawCommit], report: ScanReport, *, asked: bool
) -> None:
    """Of a replay that was `asked` for only records count that are not in quarantine yet: rows.
    An upsert table cannot let go of a row: what it replaced is gone.

    Raises: QuarantineRatioError, ReplayRefusedError.
    """
    dataset, rejected = loading.dataset, report.rejected
    if asked:
        rejected = newly_rejected(loading.ports.store, loading.table, commits, rejected)
        if dataset.mode == "upsert" and any(not head_of(r.line).tombstone for r in rejected):
            raise ReplayRefusedError(
                loading.table, BatchRange(commits[0].seq, commits[-1].seq).id,
                f"{len(rejected)} records that are in the table would go to quarantine "
                f"({reasons_among(rejected)})",
                "undo the change of the definition that refuses them, or build the table again "
                "from raw",
            )  # fmt: skip
    limit = dataset.max_quarantine_ratio
    bad = [r for r in rejected if r.reason not in DECISIONS]
    if too_many(len(bad), report.records, limit):
        reasons = reasons_among(bad)
        doubted = doubted_setting(Counter(r.reason for r in bad))
        raise QuarantineRatioError(dataset.table, len(bad), report.records, limit, reasons, doubted)
