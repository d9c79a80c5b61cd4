"""Datasets: register, change, pause, retire, and their schema."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from lake_platform.api.openapi import documented
from lake_platform.api.parts import Body, PartsOf, Table, flag, take, take_one
from lake_platform.api.rebuilds import started
from lake_platform.api.security import Admin, Editor, Viewer
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.columns import compare, describe, export
from lake_platform.metastore.model import parse_dataset
from lake_platform.metastore.views import (
    dataset_view,
    described_view,
    registration_view,
    schema_view,
    stats_view,
)
from lake_platform.rebuild import status
from lake_platform.rebuild.altering import in_place
from lake_platform.rebuild.proposals import proposals

router = APIRouter(prefix="/datasets", tags=["datasets"])


def _documented(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


_DATASET_BODY = _documented({"$ref": "#/components/schemas/Dataset"})
_CHANGE_BODY = _documented(
    {
        "type": "object",
        "description": "Fields of Dataset to replace, and `version` unless If-Match has it.",
        "properties": {"version": {"type": "integer"}},
        "additionalProperties": True,
    }
)
_TEXT = {"type": "string"}
_COLUMN_BODY = documented({"name": _TEXT, "type": _TEXT}, "name", "type")
_ALTER_BODY = _documented(
    {
        "type": "object",
        "description": "One of type, name and alias.",
        "additionalProperties": False,
        "properties": {name: {"type": "string"} for name in ("type", "name", "alias")}
        | {"swap": {"type": "boolean", "description": "Of what makes the table anew."}},
        "minProperties": 1,
        "maxProperties": 2,
    }
)


@router.post("", status_code=201, openapi_extra=_DATASET_BODY)
def register(who: Editor, body: Body, parts: PartsOf, response: Response) -> dict[str, Any]:
    """Registers a topic as a lake table."""
    registration = parts.use_cases.register_dataset(parse_dataset(body), who.name)
    response.headers["ETag"] = _etag(registration.record.version)
    response.headers["Location"] = f"/datasets/{registration.record.dataset.table}"
    return registration_view(registration)


@router.get("")
def list_datasets(_who: Viewer, parts: PartsOf, include_retired: bool = False) -> dict[str, Any]:
    """All datasets; definitions this release cannot read are listed apart."""
    broken: dict[str, str] = {}
    records = parts.metastore.list_all(
        include_retired=include_retired,
        on_broken=lambda table, error: broken.update({table: str(error)}),
    )
    return {"datasets": [dataset_view(r) for r in records], "broken": broken}


@router.get("/{table}")
def show(_who: Viewer, table: Table, parts: PartsOf, response: Response) -> dict[str, Any]:
    record = parts.metastore.get(table)
    response.headers["ETag"] = _etag(record.version)
    return dataset_view(record)


@router.patch("/{table}", openapi_extra=_CHANGE_BODY)
def change(
    who: Editor,
    table: Table,
    body: Body,
    parts: PartsOf,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Replaces fields. The version (body or If-Match) must be the current one. `schema_changes`:
    how other steps change the columns; a change of a column's type is refused."""
    changes = {name: value for name, value in body.items() if name != "version"}
    version = _expected_version(body.get("version"), if_match)
    told: list[str] = []
    record = parts.use_cases.change_dataset(table, changes, version, who.name, told.append)
    response.headers["ETag"] = _etag(record.version)
    return dataset_view(record) | {"schema_changes": told}


@router.delete("/{table}")
def retire(who: Admin, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Retires: both phases stop, files and history stay, the name stays taken; open incidents are
    closed. What Kafka loses before it is taken back is lost to the table."""
    return dataset_view(parts.use_cases.retire(table, who.name))


@router.post("/{table}/unretire")
def unretire(who: Admin, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Takes a retired dataset back; it goes on where it stood."""
    return dataset_view(parts.use_cases.unretire(table, who.name))


@router.post("/{table}/pause")
def pause(who: Editor, table: Table, parts: PartsOf) -> dict[str, Any]:
    return dataset_view(parts.use_cases.pause(table, who.name))


@router.post("/{table}/resume")
def resume(who: Editor, table: Table, parts: PartsOf) -> dict[str, Any]:
    return dataset_view(parts.use_cases.resume(table, who.name))


@router.get("/{table}/stats")
def stats(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    record = parts.metastore.get(table)
    return stats_view(record, parts.metastore.progress(table), parts.clock())


@router.get("/{table}/schema")
def schema(
    _who: Viewer, table: Table, parts: PartsOf, version: int | None = None
) -> dict[str, Any]:
    """A schema version, the active one without `version`, and how the paths of the records come to
    its columns; null while the topic is empty."""
    return {"table": table} | described_view(describe(parts.metastore, table, version))


@router.get("/{table}/schema/versions")
def schema_versions(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    versions = [schema_view(v) for v in parts.metastore.schema_versions(table)]
    return {"table": table, "versions": versions}


@router.get("/{table}/schema/diff")
def schema_diff(
    _who: Viewer,
    table: Table,
    parts: PartsOf,
    before: Annotated[int, Query(alias="from")],
    after: Annotated[int | None, Query(alias="to")] = None,
) -> dict[str, Any]:
    """What is different in version `to`, the active one if not given."""
    old, new, found = compare(parts.metastore, table, before, after)
    changes = [asdict(difference) for difference in found]
    return {"table": table, "from": old.version, "to": new.version, "changes": changes}


@router.get("/{table}/schema/export")
def schema_export(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Hints by which a rebuild gives the same names and types, where the rules alone may not."""
    version, found = export(parts.metastore, table)
    return {"table": table, "version": version.version, "columns": found}


@router.get("/{table}/schema/proposals")
def schema_proposals(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    """New columns that may be old ones whose key was renamed, best first; looked up in raw."""
    found = proposals(table, parts.metastore, parts.store)
    return {"table": table, "proposals": [asdict(proposal) for proposal in found]}


@router.post("/{table}/schema/columns", status_code=201, openapi_extra=_COLUMN_BODY)
def add_column(who: Editor, table: Table, body: Body, parts: PartsOf) -> dict[str, Any]:
    """ADD COLUMN: nullable, loaded from the next batch on."""
    name, kind = take(body, "name", "type")
    version = parts.use_cases.add_column(table, name, kind, who.name)
    return {"table": table, "schema": schema_view(version)}


@router.delete("/{table}/schema/columns/{name:path}")
def drop_column(who: Admin, table: Table, name: str, parts: PartsOf) -> dict[str, Any]:
    """DROP COLUMN: no longer loaded from the next batch on."""
    version = parts.use_cases.drop_column(table, name, who.name)
    return {"table": table, "schema": schema_view(version)}


@router.patch(
    "/{table}/schema/columns/{name:path}", openapi_extra=_ALTER_BODY,
    responses={202: {"description": "A Dagster run makes the table anew."}},
)  # fmt: skip
def alter_column(
    who: Editor, table: Table, name: str, body: Body, parts: PartsOf, response: Response
) -> dict[str, Any]:
    """One of: `type`, a wider one, from the next batch on; `name`, for all rows; `alias`, another
    key of the records. What makes the table anew is begun by a Dagster run, with status 202; with
    `swap` it is put in the place of the live one once it is sound, else by `/rebuilds/swap`."""
    swap = flag(body, "swap")
    [(what, value)] = take_one(body, "type", "name", "alias").items()
    use_cases = parts.use_cases
    if what == "type":
        version = use_cases.widen_column(table, name, value, who.name)
        return {"table": table, "schema": schema_view(version)}
    make = use_cases.renaming if what == "name" else use_cases.aliasing
    asked = make(table, name, value)
    if in_place(use_cases, asked, who.name):
        view = schema_view(parts.metastore.active_schema(table))
        return {"table": table, "schema": view, "changes": dict(asked.changes)}
    status.agreed(parts.metastore, table, asked.changes)
    run = started(parts, table, who.name, changes=dict(asked.changes), swap=swap)
    response.status_code = 202
    return run | {"changes": dict(asked.changes), "swap": swap}


def _etag(version: int) -> str:
    return f'"{version}"'


def _expected_version(in_body: object, if_match: str | None) -> int:
    tag = None if if_match is None else if_match.removeprefix("W/").strip('"')
    if tag is not None and not (tag.isascii() and tag.isdigit()):
        raise InvalidFieldError("If-Match", if_match, "no version", "send the ETag you were given")
    if in_body is None and tag is None:
        raise InvalidFieldError(
            "version", None, "missing", "send the version you read, in the body or as If-Match"
        )
    if in_body is not None and (not isinstance(in_body, int) or isinstance(in_body, bool)):
        raise InvalidFieldError("version", in_body, "not a whole number", "send what you read")
    if in_body is not None and tag is not None and in_body != int(tag):
        raise InvalidFieldError("version", in_body, f"If-Match says {tag}", "send only one")
    return in_body if in_body is not None else int(tag or 0)
