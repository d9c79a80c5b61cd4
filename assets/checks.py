"""The asset checks of a lake table: what they are called, and how their numbers are judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import dagster as dg

from assets.metadata import balance_table, changes_table, rows_table
from assets.translator import asset_key
from assets.windows import when
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import (
    DatasetRecord,
    Progress,
    lag_seconds,
    time_to_data_loss_seconds,
)
from lake_platform.domain.quality import Balance
from lake_platform.load import checks as ingest_checks
from lake_platform.load.results import LoadResult
from lake_platform.metastore.schemas import Incident

_DESCRIPTIONS: Mapping[str, str] = {
    "schema": "New records fit the table, or change it in a way that loses nothing.",
    "balance": "records (+ exploded) = written + deduplicated + deleted + dropped + quarantined.",
    "freshness": "All records older than max_lag_seconds are in the table.",
    "retention": "What is not read yet stays in Kafka for another while: at least twice "
    "max_lag_seconds and a fifth of the topic's retention.",
    "primary_key": "Every key is there once and none is null, counted on the whole table. "
    "In an append table the key is the Kafka partition and offset.",
    "rules": "The dataset's own rules hold on the newest rows.",
}
LOAD_CHECKS = ("schema", "balance", "freshness", "retention")  # cheap: part of every load


def check_names(dataset: Dataset) -> list[str]:
    return [*LOAD_CHECKS, "primary_key", *(["rules"] if dataset.rules else [])]


def check_key(table: str, name: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(asset_key("lake", table), name)


def check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            name,
            asset=asset_key("lake", dataset.table),
            description=_DESCRIPTIONS[name],
            blocking=name == "schema",
        )
        for name in check_names(dataset)
    ]


def schema_passed(table: str, results: Sequence[LoadResult], version: int) -> dg.AssetCheckResult:
    changes = [asdict(c) for r in results for c in r.changes]
    how = f"{len(changes)} changes, all taken" if changes else "no change"
    return result_of(
        table,
        "schema",
        True,
        {"schema_version": version, "changes": changes_table(changes)},
        how if version else "no record has come yet, so there is no schema",
    )


def schema_blocked(incident: Incident) -> dg.AssetCheckResult:
    """The diff is what an operator decides on."""
    return result_of(
        incident.table,
        "schema",
        False,
        {
            "incident": incident.id,
            "batch": dg.MetadataValue.text(incident.batch),
            "opened": dg.MetadataValue.timestamp(when(incident.opened_at)),
            "changes": changes_table(incident.changes),
            "samples": dg.MetadataValue.json(list(incident.samples)[:5]),
        },
        "breaking schema change: nothing was written, the dataset is BLOCKED, raw goes on; see "
        f"lake incidents show {incident.id}",
    )


def balance(table: str, batches: Mapping[str, Balance]) -> dg.AssetCheckResult:
    """`batches` by their id."""
    off = sum(1 for b in batches.values() if b.difference)
    good = f"each of {len(batches)} batches adds up" if batches else "no batch applied yet"
    return result_of(
        table,
        "balance",
        not off,
        {
            "batches": balance_table(batches),
            "difference": sum(b.difference for b in batches.values()),
        },
        f"{off} of {len(batches)} batches do not add up" if off else good,
    )


def nothing_to_check(table: str, name: str) -> dg.AssetCheckResult:
    return result_of(table, name, True, {"rows": 0}, "nothing is loaded yet, there is no table")


def freshness(record: DatasetRecord, progress: Progress, now_ms: int) -> dg.AssetCheckResult:
    """Fails beyond max_lag_seconds; a warning up to twice that."""
    lag, limit = lag_seconds(record, progress, now_ms), record.dataset.max_lag_seconds
    metadata: dict[str, dg.MetadataValue] = {
        "lag_seconds": dg.MetadataValue.float(round(lag, 1)),
        "max_lag_seconds": dg.MetadataValue.int(limit),
        "pending_raw_commits": dg.MetadataValue.int(progress.head_seq - progress.applied_seq),
        "backlog_records": dg.MetadataValue.int(progress.backlog),
        "status": dg.MetadataValue.text(record.status.value),
    }
    if progress.complete_through:
        metadata["complete_through"] = dg.MetadataValue.timestamp(when(progress.complete_through))
    if progress.last_error:
        metadata["last_error"] = dg.MetadataValue.text(progress.last_error)
    return result_of(
        record.dataset.table,
        "freshness",
        lag <= limit,
        metadata,
        f"{lag:.0f} s behind, limit {limit} s",
        dg.AssetCheckSeverity.WARN if lag < 2 * limit else dg.AssetCheckSeverity.ERROR,
    )


def retention(record: DatasetRecord, progress: Progress, now_ms: int) -> dg.AssetCheckResult:
    """Warns before Kafka may drop records that were not read; an error once it may have."""
    left = time_to_data_loss_seconds(record, progress, now_ms)
    limit = max(2 * record.dataset.max_lag_seconds, progress.kept_ms / 5_000)
    safe = left is None or left >= limit
    known: dict[str, dg.MetadataValue] = {"backlog_records": dg.MetadataValue.int(progress.backlog)}
    if left is None:
        said = "not known: no dump has seen the topic's retention"
    elif math.isinf(left):
        said = "no danger: nothing is unread, or Kafka keeps all"
    else:
        known["time_to_data_loss_seconds"] = dg.MetadataValue.float(round(left, 1))
        known["limit_seconds"] = dg.MetadataValue.float(limit)
        said = f"unread records may age out of Kafka in {left:.0f} s, limit {limit:.0f} s"
    return result_of(
        record.dataset.table,
        "retention",
        safe,
        known,
        said,
        dg.AssetCheckSeverity.WARN if left else dg.AssetCheckSeverity.ERROR,
    )


def table_checks(
    dataset: Dataset, ports: Ports, wanted: frozenset[str]
) -> Iterator[dg.AssetCheckResult]:
    """The checks that read the table; each only when it was asked for."""
    if "primary_key" in wanted:
        rows, distinct, nulls = ingest_checks.primary_key(dataset.table, ports)
        yield result_of(
            dataset.table,
            "primary_key",
            rows == distinct and not nulls,
            {"rows": rows, "distinct_keys": distinct, "null_keys": nulls},
            f"{rows - distinct} doubled and {nulls} null keys in {rows} rows",
        )
    if "rules" in wanted:
        failures = ingest_checks.rules(dataset.table, ports)
        yield result_of(
            dataset.table,
            "rules",
            not failures,
            {"failures": rows_table(failures), "rules": len(dataset.rules)},
            f"{len(failures)} rules broken" if failures else "all rules hold",
            dg.AssetCheckSeverity.WARN,
        )


def as_evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The same result as an event of its own, for what is not a step of a run."""
    if result.asset_key is None or result.check_name is None:
        raise TypeError("a check result without its key")
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=bool(result.passed),
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def result_of(
    table: str,
    name: str,
    passed: bool,
    metadata: Mapping[str, dg.MetadataValue | int],
    description: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset_key("lake", table),
        check_name=name,
        passed=passed,
        metadata=dict(metadata),
        description=description,
        severity=severity,
    )
