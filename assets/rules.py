"""The asset check of a dataset's own rules, from what a load found before it wrote."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets.checks import result_of
from assets.metadata import rows_table
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.rules import Broken
from lake_platform.load.results import LoadResult
from lake_platform.metastore.incident import Incident


def rules_of(
    dataset: Dataset, results: Sequence[LoadResult], incident: Incident | None
) -> dg.AssetCheckResult:
    """Of the batches of a run, and of one that a rule keeps from being written."""
    rows = [
        {"batch": r.applied.batch.id, **_broken_row(b), "records": r.applied.balance.records}
        for r in results
        for b in r.broken.values()
    ]
    metadata: dict[str, dg.MetadataValue | int] = {
        "broken": rows_table(rows), "rules": len(dataset.conditions),
    }  # fmt: skip
    said = f"rules are broken in {len({r['batch'] for r in rows})} of {len(results)} batches"
    if incident is not None:
        metadata["incident"] = incident.id
        metadata["batch"] = dg.MetadataValue.text(incident.batch)
        metadata["samples"] = dg.MetadataValue.json(list(incident.samples)[:5])
        said = (
            f"batch {incident.batch} was not written: {incident.reason}; see lake incidents show "
            f"{incident.id}"
        )
    return result_of(
        dataset.table,
        "rules",
        not rows and incident is None,
        metadata,
        said if rows or incident else f"all rules hold in {len(results)} batches",
        dg.AssetCheckSeverity.WARN if incident is None else dg.AssetCheckSeverity.ERROR,
    )


def _broken_row(broken: Broken) -> dict[str, object]:
    told = broken.to_dict()
    shown = (f"p{s['partition']}/{s['offset']}: {s['value']}" for s in told.pop("samples"))
    return told | {"samples": ", ".join(shown)}
