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
from lake_platform.domain.failures import stops
from lake_platform.domain.progress import (
    DatasetRecord,
    Progress,
    data_loss_limit_seconds,
    lag_seconds,
    time_to_data_loss_seconds,
)
from lake_platform.domain.quality import Balance
from lake_platform.load import checks as ingest_checks
from lake_platform.load.results import LoadResult
from lake_platform.metastore.incident import Incident

_DESCRIPTIONS: Mapping[str, str] = {
    "schema": "New records fit the table, or change it in a way that loses nothing.",
    "balance": "records (+ exploded) = written + deduplicated + deleted + dropped + quarantined, "
    "each batch, and not all of them quarantined.",
    "deletes": "No delete waits in quarantine: its row would still be in the table.",
    "casts": "No cast in the steps made NULL of a value. Only a warning: it may be "
    "meant so. A rule `cast` puts such records aside or stops the table.",
    "freshness": "All records older than max_lag_seconds are in the table, and the last run of "
    "each phase went through.",
    "retention": "What is not read yet stays in Kafka for another while: at least twice "
    "max_lag_seconds and a fifth of the topic's retention.",
    "primary_key": "Every key is there once and none is null, counted on the whole table. "
    "In an append table the key is the Kafka partition and offset.",
    "renames": "No column that came of late looks like one that went, renamed by its producer. "
    "Only a warning: `lake schema alias` or the job alias_column makes them one.",
    "rules": "The dataset's own rules hold on every batch of the run, looked at before it was "
    "written; run alone, on the newest rows.",
}
LOAD_CHECKS = ("schema", "balance", "deletes", "casts", "freshness", "retention")
"""Cheap ones, part of every load; `deletes` in upsert tables only, `casts` where steps are."""


def check_names(dataset: Dataset) -> list[str]:
    without = {
        *(["deletes"] if dataset.mode != "upsert" else []),
        *(["casts"] if not dataset.transforms else []),
    }
    cheap = [n for n in LOAD_CHECKS if n not in without]
    return [*cheap, "primary_key", "renames", *(["rules"] if dataset.rules else [])]


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


def balance(table: str, batches: Mapping[str, Balance], progress: Progress) -> dg.AssetCheckResult:
    """`batches` by their id: those of the run, or the newest of the table."""
    off = sum(1 for b in batches.values() if b.difference)
    records = sum(b.records for b in batches.values())
    none_fit = bool(records) and all(b.quarantined == b.records for b in batches.values())
    return result_of(
        table,
        "balance",
        not (off or none_fit or progress.all_quarantined),
        {
            "batches": balance_table(batches),
            "difference": sum(b.difference for b in batches.values()),
        },
        _balance_text(len(batches), off, records if none_fit else 0, progress),
        dg.AssetCheckSeverity.ERROR
        if off or progress.all_quarantined
        else dg.AssetCheckSeverity.WARN,
    )


def _balance_text(batches: int, off: int, unfit: int, progress: Progress) -> str:
    if off:
        return f"{off} of {batches} batches do not add up"
    if progress.all_quarantined:
        return f"no row came of {progress.quarantined} records: all are in quarantine"
    if unfit:
        return f"all {unfit} records of the newest {batches} batches are in quarantine"
    return f"each of {batches} batches adds up" if batches else "no batch applied yet"


def deletes(table: str, progress: Progress) -> dg.AssetCheckResult:
    held = progress.quarantined_deletes
    return result_of(
        table,
        "deletes",
        not held,
        {"quarantined_deletes": held, "deleted": progress.deleted},
        f"{held} deletes are in quarantine: rows that were deleted at the source are still there; "
        f"see the reasons by `lake quarantine list {table}`, and once the cause is mended let them "
        f"in: lake quarantine redrive {table}"
        if held
        else "no delete waits in quarantine",
        dg.AssetCheckSeverity.WARN,
    )


def nothing_to_check(table: str, name: str) -> dg.AssetCheckResult:
    return result_of(table, name, True, {"rows": 0}, "nothing is loaded yet, there is no table")


def freshness(record: DatasetRecord, progress: Progress, now_ms: int) -> dg.AssetCheckResult:
    """Fails beyond max_lag_seconds; a warning up to twice that. Fails at once when a phase fails:
    what comes now is late already, or will be."""
    lag, limit = lag_seconds(record, progress, now_ms), record.dataset.max_lag_seconds
    metadata: dict[str, dg.MetadataValue] = {
        "lag_seconds": dg.MetadataValue.float(round(lag, 1)),
        "max_lag_seconds": dg.MetadataValue.int(limit),
        "pending_raw_commits": dg.MetadataValue.int(progress.waiting),
        "backlog_records": dg.MetadataValue.int(progress.backlog),
        "status": dg.MetadataValue.text(record.status.value),
    }
    if progress.complete_through:
        metadata["complete_through"] = dg.MetadataValue.timestamp(when(progress.complete_through))
    metadata |= {
        name: dg.MetadataValue.text(text)
        for name, text in (("dump_error", progress.dump_error), ("load_error", progress.load_error))
        if text
    }
    failing = _failing(progress)
    behind = f"{lag:.0f} s behind, limit {limit} s"
    mild = lag < 2 * limit and not failing
    return result_of(
        record.dataset.table,
        "freshness",
        lag <= limit and not failing,
        metadata,
        f"{failing} ({behind})" if failing else behind,
        dg.AssetCheckSeverity.WARN if mild else dg.AssetCheckSeverity.ERROR,
    )


def _failing(progress: Progress) -> str:
    """What the last run of a phase failed by; empty when both went through. A breaking schema
    change has a check of its own."""
    for phase, error, kind in (
        ("load", progress.load_error, progress.load_error_kind),
        ("dump", progress.dump_error, progress.dump_error_kind),
    ):
        if error and kind != "SchemaBlockedError":
            return f"stopped: {error}" if stops(kind) else f"the last {phase} failed: {error}"
    return ""


def retention(record: DatasetRecord, progress: Progress, now_ms: int) -> dg.AssetCheckResult:
    """Warns before Kafka may drop records that were not read; an error once it may have."""
    left = time_to_data_loss_seconds(record, progress, now_ms)
    limit = data_loss_limit_seconds(record, progress)
    safe = left is None or left >= limit
    known: dict[str, dg.MetadataValue] = {"backlog_records": dg.MetadataValue.int(progress.backlog)}
    if progress.dump_error:
        known["dump_error"] = dg.MetadataValue.text(progress.dump_error)
    if left is not None and not math.isinf(left):
        known["time_to_data_loss_seconds"] = dg.MetadataValue.float(round(left, 1))
        known["limit_seconds"] = dg.MetadataValue.float(limit)
    return result_of(
        record.dataset.table,
        "retention",
        safe,
        known,
        _retention_text(progress, left, limit),
        dg.AssetCheckSeverity.WARN if left else dg.AssetCheckSeverity.ERROR,
    )


def _retention_text(progress: Progress, left: float | None, limit: float) -> str:
    if left is not None and progress.unread_is_gone:
        return f"records that were not read are gone: {progress.dump_error}"
    if left is None:
        said = "not known: no dump has seen the topic's retention"
    elif math.isinf(left):
        said = "no danger: nothing is unread, or Kafka keeps all"
        if progress.dump_error:
            said = "nothing was unread when Kafka was last looked at"
    else:
        said = f"unread records may age out of Kafka in {left:.0f} s, limit {limit:.0f} s"
    return f"{said}; the last dump failed: {progress.dump_error}" if progress.dump_error else said


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
