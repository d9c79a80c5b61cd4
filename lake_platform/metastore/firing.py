"""What the conditions of alerts look at, in a few reads of the metastore, and what fires."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lake_platform.domain.alerts import BROKEN, Alert, Break, Known, firing
from lake_platform.domain.diff import Change
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.domain.telling import HeldAlert, as_of
from lake_platform.errors import LakeError
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.overview import Standing
from lake_platform.metastore.repository import Repository

_MOST_INCIDENTS = 10_000
_SHOWN_CHANGES = 3


def known_of(store: Repository) -> Known[DatasetRecord]:
    """Raises: MetastoreUnavailableError."""
    broken: dict[str, str] = {}

    def note(table: str, error: LakeError) -> None:
        broken[table] = str(error)[:300]

    records = store.list_all(on_broken=note)
    return Known(records, store.all_progress(), _all_breaks(store), broken)


def fires(store: Repository, standings: Sequence[Standing], now_ms: int) -> list[HeldAlert]:
    """What fires now, and since when, in two reads. To parse each definition costs more than all
    the rest of a page, so of one that cannot be read the record alone says so."""
    progress = {s.table: s.progress for s in standings}
    found = firing(Known(standings, progress, _all_breaks(store)), now_ms)
    return _open(store.open_alerts(), found, now_ms)


def fires_of(
    store: Repository,
    record: DatasetRecord,
    progress: Progress,
    incidents: Iterable[Incident],
    now_ms: int,
) -> list[HeldAlert]:
    """What fires of one table; not what is about the whole platform. `incidents`: newest first."""
    table = record.dataset.table
    breaks = _breaks(i for i in incidents if i.status == "OPEN")
    found = firing(Known([record], {table: progress}, breaks), now_ms)
    return _open(store.open_alerts(table), (a for a in found if a.table == table), now_ms)


def _open(held: Iterable[HeldAlert], found: Iterable[Alert], now_ms: int) -> list[HeldAlert]:
    """Critical ones first, then the newest."""
    told = as_of(held, found, now_ms, frozenset([BROKEN]))
    still = [h for h in told if not h.closed_at]
    return sorted(still, key=lambda h: (h.alert.severity != "critical", -h.opened_at))


def _all_breaks(store: Repository) -> dict[str, Break]:
    return _breaks(store.incidents(status="OPEN", limit=_MOST_INCIDENTS))


def _breaks(incidents: Iterable[Incident]) -> dict[str, Break]:
    """Of the oldest one of a table, which comes last."""
    return {i.table: Break(i.id, _why(i)) for i in incidents}


def _why(incident: Incident) -> str:
    if incident.reason:
        return incident.reason
    said = [_change(c) for c in incident.changes]
    more = f", and {len(said) - _SHOWN_CHANGES} more" if len(said) > _SHOWN_CHANGES else ""
    return f"breaking schema change: {', '.join(said[:_SHOWN_CHANGES])}{more}"


def _change(plain: dict[str, Any]) -> str:
    named = ("path", "kind", "verdict", "before", "after")
    return str(Change(**{name: plain[name] for name in named if name in plain}))
