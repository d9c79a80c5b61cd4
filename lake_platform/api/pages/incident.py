"""Incidents as pages show them: the difference, samples, what can be done and by which command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from lake_platform.api.pages.render import page
from lake_platform.api.pages.routing import pages
from lake_platform.api.pages.session import Session, Viewer
from lake_platform.api.parts import Parts, PartsOf
from lake_platform.domain.resolutions import broken, possible
from lake_platform.errors import LakeError
from lake_platform.load.held import Held, waits
from lake_platform.metastore.incident import Incident

router = pages()
_MEANS = {
    "rescue": "the value goes to _rescued, its column is NULL",
    "quarantine": "the record waits in quarantine",
    "reject": "the record is dropped, and counted",
    "drop_column": "the column is no longer loaded",
    "widen": "a number that holds both; the table is made anew",
    "text": "the column becomes text; the table is made anew",
    "json": "the column becomes JSON text; the table is made anew",
    "new_table": "this table ends, another one begins with what waits",
    "retry": "the cause is mended elsewhere: look again",
}
_OPEN_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """`choices`: of each change by its path; `commands` as a shell takes them."""

    incident: Incident
    choices: Mapping[str, tuple[str, ...]]
    commands: tuple[str, ...]
    means: Mapping[str, str]

    @property
    def open(self) -> bool:
        return self.incident.status == "OPEN"


def shown(parts: Parts, incident: Incident) -> Shown:
    choices: dict[str, tuple[str, ...]] = {}
    is_open, is_schema = incident.status == "OPEN", incident.kind == "schema"
    if is_open and is_schema:
        dataset = parts.metastore.get(incident.table).dataset
        choices = {c.path: possible(c, dataset, incident.batch) for c in broken(incident.changes)}
    return Shown(incident, choices, tuple(_commands(incident, choices)) if is_open else (), _MEANS)


def _commands(incident: Incident, choices: Mapping[str, tuple[str, ...]]) -> list[str]:
    found = [f"lake incidents show {incident.id}"]
    if not choices:
        return [*found, shlex.join(["lake", "datasets", "resume", incident.table])]
    first, *others = choices.values()
    common = [r for r in first if all(r in other for other in others)]
    if not common:
        columns = [f"--column={path}={fitting[0]}" for path, fitting in choices.items()]
        return [*found, shlex.join(["lake", "incidents", "resolve", str(incident.id), *columns])]
    resolve = f"lake incidents resolve {incident.id}"
    return [*found, f"{resolve} {common[0]} --dry-run", *(f"{resolve} {r}" for r in common)]


@router.get("/incidents")
def incidents(
    request: Request,
    who: Viewer,
    parts: PartsOf,
    status: Literal["OPEN", "RESOLVED", "ALL"] = "OPEN",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> HTMLResponse:
    found = parts.metastore.incidents(None, None if status == "ALL" else status, limit)
    return page(
        request, "incidents.html", who, incidents=found, status=status, whole=len(found) < limit
    )


@router.get("/incidents/{incident_id}")
def incident(request: Request, who: Viewer, incident_id: int, parts: PartsOf) -> HTMLResponse:
    return incident_page(request, who, parts, parts.metastore.incident(incident_id))


def incident_page(
    request: Request,
    who: Session,
    parts: Parts,
    found: Incident,
    would: Held | None = None,
    asked: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """`would`: what a dry run said of what was `asked`, by the names of the form's fields."""
    held: dict[str, Any] | None = None
    try:
        held = waits(found.table, parts.metastore, parts.store) if found.status == "OPEN" else None
    except LakeError:
        held = None  # the storage is away; the incident can be read all the same
    return page(
        request, "incident.html", who, one=shown(parts, found), held=held,
        would=asdict(would) if would else None, asked=asked or {},
    )  # fmt: skip
