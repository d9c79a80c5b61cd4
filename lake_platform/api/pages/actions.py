"""What editors and admins do from the pages. Each form does what the API's route of the same name
does, with the rights of who is logged in, and leads back to the page it came from."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from lake_platform.api import again, datasets, operations
from lake_platform.api.pages.incident import incident_page
from lake_platform.api.pages.routing import pages
from lake_platform.api.pages.session import PATH, Admin, Editor, Form
from lake_platform.api.parts import PartsOf, Table
from lake_platform.domain.resolutions import Asked
from lake_platform.errors import InvalidFieldError

router = pages()


@router.post("/datasets/{table}/pause")
def pause(who: Editor, table: Table, parts: PartsOf, _form: Form) -> Response:
    datasets.pause(who.caller, table, parts)
    return _back(table, "paused")


@router.post("/datasets/{table}/resume")
def resume(who: Editor, table: Table, parts: PartsOf, _form: Form) -> Response:
    datasets.resume(who.caller, table, parts)
    return _back(table, "resumed")


@router.post("/datasets/{table}/retire")
def retire(who: Admin, table: Table, parts: PartsOf, fields: Form) -> Response:
    """The name is typed once more: what Kafka loses meanwhile is lost."""
    if fields.get("name") != table:
        raise InvalidFieldError("name", fields.get("name"), f"not {table}", "type the table's name")
    datasets.retire(who.caller, table, parts)
    return _back(table, "retired")


@router.post("/datasets/{table}/unretire")
def unretire(who: Admin, table: Table, parts: PartsOf, _form: Form) -> Response:
    datasets.unretire(who.caller, table, parts)
    return _back(table, "unretired")


@router.post("/datasets/{table}/gaps")
def accept_gap(who: Admin, table: Table, parts: PartsOf, _form: Form) -> Response:
    found = operations.accept_gap(who.caller, {"table": table}, parts)
    return _back(table, "gaps" if found["accepted"] else "nothing")


@router.post("/datasets/{table}/redrive")
def redrive(who: Editor, table: Table, parts: PartsOf, fields: Form) -> Response:
    asked: dict[str, Any] = {"rescued": True} if fields.get("what") == "rescued" else {}
    if reason := fields.get("reason"):
        asked["reasons"] = [reason]
    found = again.redrive_records(who.caller, table, asked, parts, Response())
    return _back(table, "redriven" if found["run_id"] else "unfit", found["run_id"])


@router.post("/datasets/{table}/replay")
def replay(who: Editor, table: Table, parts: PartsOf, fields: Form) -> Response:
    asked = {"table": table, "from": fields.get("from", ""), "to": fields.get("to", "")}
    found = again.replay(who.caller, asked, parts, Response())
    return _back(table, "replaying", found["run_id"])


@router.post("/incidents/{incident_id}/resolve")
def resolve(
    request: Request, who: Editor, incident_id: int, parts: PartsOf, fields: Form
) -> Response:
    """A resolution that makes the table anew is a run of the job `resolve_incident`."""
    columns = {
        path: fields.get(f"resolution{number}", "")
        for number in range(len(fields))
        if (path := fields.get(f"path{number}")) is not None
    }
    asked = Asked("", columns, "always" in fields, fields.get("table", "").strip())
    found = parts.metastore.incident(incident_id)
    if fields.get("do") == "try":
        would = parts.look_ahead(incident_id, asked)
        return incident_page(request, who, parts, found, would, fields)
    if parts.use_cases.rebuilding(incident_id, asked) is not None:
        run = operations.remake(parts, incident_id, asked, who.caller.name)
        return _back(found.table, "remaking", run["run_id"])
    parts.use_cases.resolve_incident(incident_id, asked, who.caller.name)
    return _back(found.table, "resolved")


def _back(table: str, done: str, run: str | None = None) -> Response:
    behind = f"&run={quote(run, safe='')}" if run else ""
    address = f"{PATH}/datasets/{quote(table, safe='')}?done={done}{behind}"
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)
