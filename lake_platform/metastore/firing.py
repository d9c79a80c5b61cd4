"""What the conditions of alerts look at, in four reads of the metastore."""

from __future__ import annotations

from typing import Any

from lake_platform.domain.alerts import Break, Known
from lake_platform.domain.diff import Change
from lake_platform.errors import LakeError
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.repository import Repository

_MOST_INCIDENTS = 10_000
_SHOWN_CHANGES = 3


def known_of(store: Repository) -> Known:
    """Raises: MetastoreUnavailableError."""
    broken: dict[str, str] = {}

    def note(table: str, error: LakeError) -> None:
        broken[table] = str(error)[:300]

    records = store.list_all(on_broken=note)
    # Newest first, so the oldest open one of a table is what stays.
    held = store.incidents(status="OPEN", limit=_MOST_INCIDENTS)
    breaks = {i.table: Break(i.id, _why(i)) for i in held}
    return Known(records, store.all_progress(), breaks, broken)


def _why(incident: Incident) -> str:
    if incident.reason:
        return incident.reason
    said = [_change(c) for c in incident.changes]
    more = f", and {len(said) - _SHOWN_CHANGES} more" if len(said) > _SHOWN_CHANGES else ""
    return f"breaking schema change: {', '.join(said[:_SHOWN_CHANGES])}{more}"


def _change(plain: dict[str, Any]) -> str:
    named = ("path", "kind", "verdict", "before", "after")
    return str(Change(**{name: plain[name] for name in named if name in plain}))
