"""The page of one dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import HTMLResponse

from lake_platform.api.pages.charts import sparklines
from lake_platform.api.pages.incident import shown as incident_shown
from lake_platform.api.pages.overview import shown
from lake_platform.api.pages.render import page
from lake_platform.api.pages.routing import pages
from lake_platform.api.pages.session import Viewer
from lake_platform.api.pages.windows import BAR_HEIGHT, MOST_BATCHES, Timeline, timeline
from lake_platform.api.parts import Parts, PartsOf, Table
from lake_platform.domain.progress import DatasetRecord, Progress, concerns
from lake_platform.domain.schema import columns
from lake_platform.errors import LakeError
from lake_platform.load import quarantined
from lake_platform.metastore.batch_rows import BatchStatistics
from lake_platform.metastore.firing import fires_of
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.overview import Standing

router = pages()
Found = TypeVar("Found")
_BATCHES, _VERSIONS, _INCIDENTS, _ENTRIES, _SAMPLES = 12, 20, 20, 15, 5
_OBJECTS, _BYTES = 50, 16 << 20


@dataclass(frozen=True, slots=True)
class Outside:
    """What is in the storage; `error`: why it could not be read."""

    timeline: Timeline | None
    quarantine: quarantined.Look | None
    records: tuple[quarantined.QuarantinedRecord, ...]
    error: str


@router.get("/datasets/{table}")
def dataset(request: Request, who: Viewer, table: Table, parts: PartsOf) -> HTMLResponse:
    store, now = parts.metastore, parts.clock()
    record, progress = store.get(table), store.progress(table)
    incidents = store.incidents(table, limit=_INCIDENTS)
    is_open = [incident_shown(parts, i) for i in incidents if i.status == "OPEN"]
    standing = _standing(record, progress, len(is_open))
    batches = store.batches(table, MOST_BATCHES)
    versions = store.schema_versions(table)
    outside = _outside(parts, record, progress, batches)
    return page(
        request, "dataset.html", who,
        record=record, dataset=record.dataset, progress=progress, line=shown(standing, now),
        concerns=concerns(progress),
        alerts=fires_of(store, record, progress, incidents, now), looked_at=now,
        chart=sparklines(standing, store.samples([table])[table], now),
        open=is_open, resolved=[i for i in incidents if i.status != "OPEN"],
        outside=outside, bar=BAR_HEIGHT, batches=batches[:_BATCHES],
        slowest=max((sum((b.seconds or {}).values()) for b in batches[:_BATCHES]), default=0) or 1,
        versions=list(reversed(versions))[:_VERSIONS], all_versions=len(versions),
        columns=list(columns(versions[-1].columns)) if versions else [],
        entries=store.audit_log(table, _ENTRIES), gaps=store.accepted_gaps(table),
        rebuild=store.rebuild(table),
        definition=[
            (name, value) for name, value in dataset_to_dict(record.dataset).items()
            if value not in (None, "", [], {})
        ],
    )  # fmt: skip


def _standing(record: DatasetRecord, progress: Progress, incidents: int) -> Standing:
    d = record.dataset
    return Standing(
        d.table, d.topic, d.domain, d.owner, record.status, record.registered_at,
        d.max_lag_seconds, progress, incidents,
    )  # fmt: skip


def _outside(
    parts: Parts, record: DatasetRecord, progress: Progress, batches: list[BatchStatistics]
) -> Outside:
    errors: list[str] = []

    def read(what: Callable[[], Found]) -> Found | None:
        if errors:
            return None  # one wait for a storage that is away
        try:
            return what()
        except LakeError as error:
            errors.append(str(error))
            return None

    table = record.dataset.table
    times = read(lambda: timeline(record, progress.applied_seq, batches, parts.store))
    look, records = None, ()
    if progress.quarantined:
        look = read(
            lambda: quarantined.look(parts.store, table, most_objects=_OBJECTS, most_bytes=_BYTES)
        )
        records = read(lambda: _some(parts, table)) or ()
    return Outside(times, look, records, errors[0] if errors else "")


def _some(parts: Parts, table: str) -> tuple[Any, ...]:
    found = quarantined.records(parts.store, table, quarantined.wanted())
    return tuple(islice(found, _SAMPLES))
