"""From what an operator says of an incident to what goes on record for it."""

from __future__ import annotations

from collections.abc import Sequence

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.resolutions import Asked, broken, plan
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.ddl import without_columns
from lake_platform.metastore.incidents import Incident, Outcome
from lake_platform.metastore.repository import Repository


def outcome(store: Repository, incident: Incident, asked: Asked) -> Outcome:
    """Raises: InvalidFieldError."""
    dataset, progress = store.get(incident.table).dataset, store.progress(incident.table)
    held = (progress.applied_seq + 1, max(progress.head_seq, progress.applied_seq + 1))
    planned = plan(broken(incident.changes), asked, dataset, incident.batch, held)
    if not planned.dropped:
        return Outcome(str(asked), planned.decisions)
    _, active = changeable(store, incident.table)
    new, columns = without_columns(dataset, active, planned.dropped)
    return Outcome(str(asked), planned.decisions, new, columns)


def tried(
    store: Repository, incident: Incident, asked: Asked
) -> tuple[Dataset, SchemaVersion, Sequence[Decision]]:
    """Definition, schema and further decisions as they were after that.

    Raises: InvalidFieldError.
    """
    found = outcome(store, incident, asked)
    record, active = changeable(store, incident.table)
    if (new := found.version) is not None:
        active = SchemaVersion(new.after + 1, new.source, new.derived, changes=tuple(new.changes))
    columns = record.dataset.columns if found.columns is None else found.columns
    return record.dataset.with_changes({"columns": columns}), active, found.decisions


def changeable(store: Repository, table: str) -> tuple[DatasetRecord, SchemaVersion]:
    """Raises: DatasetNotFoundError, InvalidFieldError while there is no schema."""
    record, active = store.get(table), store.active_schema(table)
    if active is None:
        raise InvalidFieldError(
            "table", table, "has no schema yet: its topic is empty", "wait for its first load"
        )
    return record, active
