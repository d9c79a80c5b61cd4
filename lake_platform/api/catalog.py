"""Tables in AWS Glue: whether they agree with the lake, and bringing them to it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from lake_platform.api.parts import PartsOf, Table
from lake_platform.api.security import Editor, Viewer
from lake_platform.catalog.drift import drift_view

router = APIRouter(prefix="/datasets/{table}/catalog", tags=["catalog"])


@router.get("")
def drift(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Lake, metastore and Glue held against each other, column by column; `loaded`: whether there
    is a table yet. `sound`: they agree, or what differs comes with the next load. Changes
    nothing."""
    service = parts.catalog()
    found = service.check(table)
    where = {"address": service.catalog.address, "loaded": found is not None}
    return drift_view(table, found) | where


@router.post("/sync")
def sync(_who: Editor, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Brings Glue to what the table has now. Writes nothing to the table; may be repeated."""
    return asdict(parts.catalog().sync(table))
