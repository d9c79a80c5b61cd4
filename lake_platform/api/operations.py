"""What operators look at and decide: incidents, gaps, the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from lake_platform.api.parts import Body, PartsOf, take
from lake_platform.api.security import Admin, Viewer
from lake_platform.domain.layout import check_name

router = APIRouter(tags=["operations"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/incidents")
def incidents(
    _who: Viewer,
    parts: PartsOf,
    table: str | None = None,
    status: Literal["OPEN", "RESOLVED"] | None = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Newest first."""
    found = parts.metastore.incidents(table, status, limit)
    return {"incidents": [asdict(incident) for incident in found]}


@router.get("/incidents/{incident_id}")
def incident(_who: Viewer, incident_id: int, parts: PartsOf) -> dict[str, Any]:
    return asdict(parts.metastore.incident(incident_id))


@router.get("/gaps")
def gaps(_who: Viewer, parts: PartsOf, table: str) -> dict[str, Any]:
    """Gaps of a table that were accepted."""
    parts.metastore.get(table)
    return {"table": table, "accepted": [asdict(g) for g in parts.metastore.accepted_gaps(table)]}


@router.post("/gaps", status_code=201)
def accept_gap(who: Admin, body: Body, parts: PartsOf) -> dict[str, Any]:
    """Body `{"table": …}`: gives up the offsets Kafka no longer has; the next dump goes on."""
    [table] = take(body, "table")
    accepted = parts.use_cases.accept_gap(check_name("table", table), parts.missing, who.name)
    return {"table": table, "accepted": [asdict(g) for g in accepted]}


@router.get("/audit")
def audit(
    _who: Viewer,
    parts: PartsOf,
    table: str | None = None,
    limit: Limit = 100,
    before_id: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
) -> dict[str, Any]:
    """Newest first; `before_id` pages on."""
    found = parts.metastore.audit_log(table, limit, before_id)
    return {"entries": [asdict(entry) for entry in found]}
