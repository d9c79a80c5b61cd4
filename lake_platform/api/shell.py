"""What `lake` asks when LAKE_API_URL is set, in exact forms: types as they are and not as text, the
progress of all tables at once, and the look at a definition that a plan takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lake_platform.api.parts import Body, PartsOf, Table
from lake_platform.api.security import Viewer
from lake_platform.domain.schema_json import to_json
from lake_platform.errors import LakeError, RetryableError
from lake_platform.metastore.model import parse_dataset

router = APIRouter(prefix="/shell", tags=["shell"])
CHECK_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Dataset"}}},
    }
}


@router.get("/progress")
def progress(_who: Viewer, parts: PartsOf) -> dict[str, Any]:
    """Where every dataset stands."""
    found = parts.metastore.all_progress()
    return {"progress": {table: asdict(one) for table, one in found.items()}}


@router.get("/schemas/{table}")
def schemas(
    _who: Viewer, table: Table, parts: PartsOf, upto: Annotated[int | None, Query(ge=1)] = None
) -> dict[str, Any]:
    """All versions with the types in Spark's JSON; how paths come to columns, as in version
    `upto`."""
    versions = [
        {
            "version": v.version,
            "source": to_json(v.source),
            "table": None if v.table is None else to_json(v.table),
            "status": v.status,
            "changes": list(v.changes),
            "created_at": v.created_at,
            "actor": v.actor,
        }
        for v in parts.metastore.schema_versions(table)
    ]
    lines = parts.metastore.mapping(table, upto)
    return {
        "table": table,
        "versions": versions,
        "mapping": [asdict(mapped) | {"version": version} for version, mapped in lines],
    }


@router.post("/check", openapi_extra=CHECK_BODY)
def check(_who: Viewer, body: Body, parts: PartsOf, look: bool = False) -> dict[str, Any]:
    """What can be said of a definition before it is applied: how the columns of its table change;
    with `look` what its registration would warn of, from the topic as it is now."""
    dataset = parse_dataset(body)
    changes = list(parts.use_cases.check(dataset))
    warnings: list[str] = []
    if look:
        try:
            warnings = list(parts.use_cases.look(dataset).warnings)
        except RetryableError as error:
            warnings = [f"the topic was not looked at: {error}"]
        except LakeError as error:
            warnings = [f"as the topic is now this is refused: {error}"]
    return {"schema_changes": changes, "warnings": warnings}
