"""What operators look at and decide: incidents, gaps, the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from lake_platform.api.openapi import documented
from lake_platform.api.parts import Body, Parts, PartsOf, flag, take
from lake_platform.api.security import Admin, Editor, Viewer
from lake_platform.domain.layout import check_name
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import InvalidFieldError
from lake_platform.load.held import waits
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.views import incident_view

router = APIRouter(tags=["operations"])
_GAP_BODY = documented({"table": {"type": "string"}}, "table")
_RESOLVE_BODY = documented(
    {
        "resolution": {"type": "string", "description": "For every change (docs/schema.md)."},
        "columns": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Resolutions by path; they beat `resolution`.",
        },
        "always": {"type": "boolean"},
        "dry_run": {"type": "boolean"},
        "table": {"type": "string", "description": "The name that `new_table` gives."},
        "swap": {"type": "boolean", "description": "Of what makes the table anew: let it."},
    }
)
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
    """What broke, in how many records, what can be done, and what waits meanwhile."""
    return _incident(parts, parts.metastore.incident(incident_id))


@router.post(
    "/incidents/{incident_id}/resolve", openapi_extra=_RESOLVE_BODY,
    responses={202: {"description": "A Dagster run makes the table anew."}},
)  # fmt: skip
def resolve(
    who: Editor, incident_id: int, body: Body, parts: PartsOf, response: Response
) -> dict[str, Any]:
    """Body `{"resolution": …, "columns": {path: resolution}, "always": false, "dry_run": false}`;
    `table` besides: the name that `new_table` gives. What makes the table anew is refused without
    `"swap": true`; with it, a Dagster run does it and swaps it in, with status 202.

    A dry run says what would come of the records that are held, and changes nothing.
    """
    swap = flag(body, "swap")
    asked, dry_run = _asked(body)
    if dry_run:
        found = parts.look_ahead(incident_id, asked)
        return {"incident": incident_id, "dry_run": True, "would": asdict(found)}
    if swap and (anew := parts.use_cases.rebuilding(incident_id, asked)) is not None:
        response.status_code = 202
        return {"table": anew.table} | remake(parts, incident_id, asked, who.name)
    return _incident(parts, parts.use_cases.resolve_incident(incident_id, asked, who.name))


@router.get("/decisions/{table}")
def decisions(_who: Viewer, table: str, parts: PartsOf) -> dict[str, Any]:
    """What was decided of values that broke a table, and for which raw commits."""
    parts.metastore.get(check_name("table", table))
    found = parts.metastore.decisions(table)
    return {"table": table, "decisions": [asdict(decision) for decision in found]}


@router.delete("/decisions/{table}/{decision_id}")
def end_decision(who: Editor, table: str, decision_id: int, parts: PartsOf) -> dict[str, Any]:
    """A decision for always ends with the raw commits there are now."""
    check_name("table", table)
    return asdict(parts.use_cases.end_decision(table, decision_id, who.name))


def remake(parts: Parts, incident: int, asked: Asked, who: str) -> dict[str, str | None]:
    """A resolution that makes the table anew, as a run. Raises: DagsterUnavailableError."""
    config: dict[str, Any] = {"incident": incident, "resolution": asked.resolution}
    config |= {"columns": dict(asked.columns), "asked_by": who}
    config |= {"always": True} if asked.always else {}
    return parts.started("resolve_incident", {"resolve_changes": {"config": config}})


def _incident(parts: Parts, found: Incident) -> dict[str, Any]:
    store = parts.metastore
    held = waits(found.table, store, parts.store)
    progress = store.progress(found.table)
    return incident_view(found, store.get(found.table), progress, held, parts.clock())


def _asked(body: dict[str, Any]) -> tuple[Asked, bool]:
    known: dict[str, type] = {
        "resolution": str, "columns": dict, "always": bool, "dry_run": bool, "table": str,
    }  # fmt: skip
    for name, value in body.items():
        if name not in known:
            raise InvalidFieldError(
                name, value, "unknown field", f"known fields are: {', '.join(known)}"
            )
        if not isinstance(value, known[name]):
            raise InvalidFieldError(name, value, f"not a {known[name].__name__}", "mend it")
    columns = body.get("columns", {})
    for path, resolution in columns.items():
        if not isinstance(resolution, str):
            raise InvalidFieldError(f"columns.{path}", resolution, "not text", "give a resolution")
    always, table = body.get("always", False), body.get("table", "")
    asked = Asked(body.get("resolution", ""), columns, always, table)
    return asked, body.get("dry_run", False)


@router.get("/gaps")
def gaps(_who: Viewer, parts: PartsOf, table: str) -> dict[str, Any]:
    """Gaps of a table that were accepted."""
    parts.metastore.get(table)
    return {"table": table, "accepted": [asdict(g) for g in parts.metastore.accepted_gaps(table)]}


@router.post("/gaps", status_code=201, openapi_extra=_GAP_BODY)
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
