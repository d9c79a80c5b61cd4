"""Plain JSON views of what the metastore holds, the same in API and CLI."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lake_platform.domain.mapping import Mapped, shown, summary
from lake_platform.domain.progress import (
    DatasetRecord,
    Progress,
    SchemaVersion,
    concerns,
    lag_seconds,
    time_to_data_loss_seconds,
)
from lake_platform.domain.resolutions import broken, possible
from lake_platform.domain.schema import Struct, columns
from lake_platform.metastore.columns import Described
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.registration import Registration


def dataset_view(record: DatasetRecord) -> dict[str, Any]:
    """The definition's fields, and `version`, `status`, `registered_at`."""
    return dataset_to_dict(record.dataset) | {
        "version": record.version,
        "status": record.status.value,
        "registered_at": record.registered_at,
    }


def registration_view(registration: Registration) -> dict[str, Any]:
    return dataset_view(registration.record) | {
        "schema": schema_view(registration.schema),
        "mapping": [mapped_view(m) for m in registration.mapped],
        "summary": summary(registration.mapped),
        "warnings": list(registration.warnings),
    }


def schema_view(version: SchemaVersion | None) -> dict[str, Any] | None:
    """`columns` are those of the table, or of the raw values while transforms never ran."""
    if version is None:
        return None
    return {
        "version": version.version,
        "status": version.status,
        "columns": _columns(version.columns),
        "source_columns": _columns(version.source),
        "changes": list(version.changes),
        "created_at": version.created_at,
        "actor": version.actor,
    }


def described_view(found: Described | None) -> dict[str, Any]:
    """A schema with the way from the records to it; `version` of a line is the one it came with."""
    lines = found.lines if found else ()
    return {
        "schema": schema_view(found.version if found else None),
        "mapping": [mapped_view(mapped, version) for version, mapped in lines],
        "summary": summary(mapped for _, mapped in lines),
    }


def mapped_view(mapped: Mapped, version: int = 1) -> dict[str, Any]:
    """`path`: keys from the record down, null for each element of an array or value of a map."""
    plain = asdict(mapped) | {"path": list(mapped.path), "rules": list(mapped.rules)}
    return {"source": shown(mapped.path)} | plain | {"version": version}


def stats_view(record: DatasetRecord, progress: Progress, now: int) -> dict[str, Any]:
    """`time_to_data_loss_seconds` is null without danger, and as long as it is not known;
    `concerns` are sentences for an operator."""
    left = time_to_data_loss_seconds(record, progress, now)
    return {
        "table": record.dataset.table,
        "status": record.status.value,
        "lag_seconds": lag_seconds(record, progress, now),
        "time_to_data_loss_seconds": None if left is None or math.isinf(left) else left,
        "pending_commits": progress.waiting,
        "concerns": concerns(progress),
    } | asdict(progress)


def incident_view(
    incident: Incident, record: DatasetRecord, progress: Progress, held: Mapping[str, Any], now: int
) -> dict[str, Any]:
    """With what fits each change, whose table it is, how much raw waits (`held`), and how long
    until what was not read ages out of Kafka."""
    dataset, left = record.dataset, time_to_data_loss_seconds(record, progress, now)
    return asdict(incident) | {
        "possible": {c.path: possible(c, dataset, incident.batch) for c in broken(incident.changes)}
        if incident.kind == "schema" and incident.status == "OPEN"
        else {},
        "owner": dataset.owner,
        "domain": dataset.domain,
        "held": dict(held),
        "time_to_data_loss_seconds": None if left is None or math.isinf(left) else left,
    }


def _columns(struct: Struct) -> list[dict[str, str]]:
    return [{"path": path, "type": str(kind)} for path, kind in columns(struct)]
