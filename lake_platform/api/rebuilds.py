"""Rebuilds of a table: each runs as the Dagster job `rebuild_table`, a request only starts it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from lake_platform.api.openapi import documented
from lake_platform.api.parts import Body, Parts, PartsOf, Table
from lake_platform.api.security import Editor, Viewer
from lake_platform.errors import InvalidFieldError
from lake_platform.rebuild import status

router = APIRouter(prefix="/datasets/{table}/rebuilds", tags=["rebuilds"])


_BODY = documented({"changes": {"type": "object"}, "swap": {"type": "boolean"}})


@router.post("", status_code=202, openapi_extra=_BODY)
def begin(who: Editor, table: Table, body: Body, parts: PartsOf) -> dict[str, Any]:
    """Body `{"changes": {field: value}, "swap": false}`; a change `columns.<path>` is one hint.

    Makes the table anew beside the live one, and with `swap` puts it in its place once it is
    sound. Without changes it goes on with the rebuild that is under way.
    """
    changes, swap = _asked(body)
    status.agreed(parts.metastore, table, changes)
    return started(parts, table, who.name, changes=changes, swap=swap)


@router.get("")
def under_way(_who: Viewer, table: Table, parts: PartsOf) -> dict[str, Any]:
    """How far it is, and both tables side by side as their batches were counted; `rebuild` is null
    when none is under way. Rows and keys of both, counted in the files, are in the Dagster run."""
    found = status.status(parts.metastore, table)
    return {"table": table, "rebuild": found.to_dict() if found else None}


@router.post("/swap", status_code=202)
def swap(who: Editor, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Lets the rebuilt table catch up with raw, and puts it in the place of the live one."""
    status.under_way(parts.metastore, table)
    return started(parts, table, who.name, swap=True)


@router.post("/abort", status_code=202)
def abort(who: Editor, table: Table, parts: PartsOf) -> dict[str, Any]:
    """Drops the rebuilt table; the live one is as it was."""
    status.under_way(parts.metastore, table)
    return started(parts, table, who.name, abort=True)


def started(parts: Parts, table: str, who: str, **config: Any) -> dict[str, Any]:
    """Raises: DagsterUnavailableError."""
    given = {name: value for name, value in config.items() if value}
    ops = {"rebuild": {"config": {"table": table, "asked_by": who, **given}}}
    return {"table": table} | parts.started("rebuild_table", ops)


def _asked(body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    known: dict[str, type] = {"changes": dict, "swap": bool}
    for name, value in body.items():
        if name not in known:
            raise InvalidFieldError(
                name, value, "unknown field", f"known fields are: {', '.join(known)}"
            )
        if not isinstance(value, known[name]):
            kind = "an object of fields" if name == "changes" else "true or false"
            raise InvalidFieldError(name, value, f"not {kind}", f"give {kind}")
    return body.get("changes", {}), body.get("swap", False)
