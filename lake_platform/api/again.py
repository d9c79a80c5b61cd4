"""What is in quarantine, and what is applied once more: replays and re-drives run as Dagster jobs,
so a request only starts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lake_platform.api.parts import Body, Parts, PartsOf, Table
from lake_platform.api.security import Editor, Viewer
from lake_platform.domain.layout import check_name
from lake_platform.load import quarantined, redrive, replaying
from lake_platform.load.plan import runnable
from lake_platform.metastore.model import invalid_field

router = APIRouter(tags=["quarantine and replays"])
_MAX_BYTES = 64 << 20  # of decompressed text in one answer, whatever an object claims to hold
_MAX_VALUE_CHARS = 100_000
NOTHING_TO_DO: dict[int | str, dict[str, Any]] = {
    200: {"description": "A dry run, or there is nothing to do: no run was started."}
}
Limit = Annotated[int, Query(ge=1, le=1000)]
Texts = Annotated[list[str] | None, Query()]


class Replay(BaseModel):
    """Windows are hours (UTC), `2026-11-24-03:00`: some by name, all from the first to the last, or
    all there are. `dry_run` only says what would be done."""

    model_config = ConfigDict(extra="forbid", strict=True)

    table: str
    windows: list[str] = []
    first: str | None = Field(default=None, alias="from")
    last: str | None = Field(default=None, alias="to")
    every: bool = Field(default=False, alias="all")
    dry_run: bool = False


class Redrive(BaseModel):
    """Which records get another try; without reasons, windows and version all do. `rescued`: the
    values in `_rescued` instead. `dry_run` only says what would be done."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reasons: list[str] = []
    windows: list[str] = []
    version: int | None = None
    rescued: bool = False
    dry_run: bool = False


Model = TypeVar("Model", Replay, Redrive)


def _documented(model: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema(by_alias=True)}}
    return {"requestBody": {"required": True, "content": content}}


@router.get("/quarantine")
def quarantined_records(_who: Viewer, parts: PartsOf) -> dict[str, Any]:
    """Records in quarantine per table."""
    progress = parts.metastore.all_progress()
    return {"quarantined": {table: found.quarantined for table, found in progress.items()}}


@router.get("/quarantine/{table}")
def quarantined_of(
    _who: Viewer, table: Table, parts: PartsOf, limit: Limit = 100
) -> dict[str, Any]:
    """Counts by window, reason and schema version, newest first, of the newest objects; `complete`:
    there are no others."""
    parts.metastore.get(table)
    found = quarantined.look(parts.store, table, most_objects=limit, most_bytes=_MAX_BYTES)
    return {
        "table": table,
        "quarantined": parts.metastore.progress(table).quarantined,
        "by_reason": found.by_reason,
        "groups": [asdict(group) for group in found.groups],
        "objects": [
            {"key": o.key, "size_bytes": o.info.size, "modified_at": o.info.modified_at}
            for o in found.objects
        ],
        "complete": found.complete,
    }


@router.get("/quarantine/{table}/records")
def records(
    _who: Viewer,
    table: Table,
    parts: PartsOf,
    reason: Texts = None,
    window: Texts = None,
    version: int | None = None,
    limit: Limit = 20,
) -> dict[str, Any]:
    """The records as they came, newest window first; of a value of more than 100,000 characters
    its beginning."""
    parts.metastore.get(table)
    wanted = quarantined.wanted(reason or (), window or (), version)
    found = islice(quarantined.records(parts.store, table, wanted), limit)
    return {"table": table, "records": [_cut(asdict(record)) for record in found]}


@router.post(
    "/quarantine/{table}/redrive", status_code=202, openapi_extra=_documented(Redrive),
    responses=NOTHING_TO_DO,
)  # fmt: skip
def redrive_records(
    _who: Editor, table: Table, body: Body, parts: PartsOf, response: Response
) -> dict[str, Any]:
    """Starts the Dagster job `redrive`; with `dry_run` says what it would do."""
    asked = _parsed(Redrive, body)
    wanted = quarantined.wanted(asked.reasons, asked.windows, asked.version)
    quarantined.check_rescued(wanted, rescued=asked.rescued)
    if not asked.dry_run:
        runnable(table, parts.metastore)
    found = redrive.plan(
        table, parts.store, parts.metastore, parts.limits, wanted, rescued=asked.rescued
    )
    config = asked.model_dump(exclude={"dry_run"}, exclude_none=True) | {"table": table}
    nothing = asked.dry_run or not found.seqs
    return found.to_dict() | _started(
        parts, response, "redrive", {} if nothing else {"redrive_quarantine": {"config": config}}
    )


@router.post(
    "/replays", status_code=202, openapi_extra=_documented(Replay), responses=NOTHING_TO_DO
)
def replay(_who: Editor, body: Body, parts: PartsOf, response: Response) -> dict[str, Any]:
    """Starts the Dagster job `replay`; with `dry_run` says what it would do."""
    asked = _parsed(Replay, body)
    table = check_name("table", asked.table)
    span = replaying.span(asked.windows, asked.first, asked.last, every=asked.every)
    if not asked.dry_run:
        runnable(table, parts.metastore)
    found = replaying.plan(table, parts.store, parts.metastore, parts.limits, span)
    config: dict[str, Any] = {"table": table, "windows": asked.windows, "all_windows": asked.every}
    config |= {"first_window": asked.first} if asked.first else {}
    config |= {"last_window": asked.last} if asked.last else {}
    return asdict(found) | _started(
        parts, response, "replay", {} if asked.dry_run else {"replay_windows": {"config": config}}
    )


def _started(
    parts: Parts, response: Response, job: str, ops: Mapping[str, Any]
) -> dict[str, str | None]:
    """Without `ops` nothing is to be done."""
    if not ops:
        response.status_code = 200
    return parts.started(job, ops)


def _parsed(model: type[Model], body: dict[str, Any]) -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        known = tuple(f.alias or name for name, f in model.model_fields.items())
        raise invalid_field(error.errors()[0], known) from None


def _cut(record: dict[str, Any]) -> dict[str, Any]:
    value = record["value"]
    whole = value is None or len(value) <= _MAX_VALUE_CHARS
    return record | {"value": value if whole else value[:_MAX_VALUE_CHARS], "whole": whole}
