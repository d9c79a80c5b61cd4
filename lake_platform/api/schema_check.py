"""The check of a sample against a table's schema."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from lake_platform.api.parts import PartsOf, SampleOrSchema, Table
from lake_platform.api.security import Viewer
from lake_platform.trial.check import check
from lake_platform.trial.check_view import checked_view
from lake_platform.trial.declared import parse_schema, records_of
from lake_platform.trial.records import records_in

router = APIRouter(prefix="/datasets", tags=["datasets"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.post("/{table}/schema:check", openapi_extra=_BODY)
def check_sample(
    _who: Viewer, table: Table, body: SampleOrSchema, parts: PartsOf
) -> dict[str, Any]:
    """The verdict a load would give on a sample (records, one a line, as application/x-ndjson) or
    on records of a schema (application/json; its forms: docs/json.md). Nothing is written. What the
    steps of a dataset make of it is not looked at here: `lake schema check` does."""
    records = records_in(body) if isinstance(body, bytes) else records_of(parse_schema(body))
    return checked_view(check(table, parts.metastore, parts.bench(), records))
