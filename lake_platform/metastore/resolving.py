"""From what an operator says of an incident to what goes on record for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from lake_platform.domain.at_paths import retyped
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import STEPS, Decision, column_of
from lake_platform.domain.mapping import Path, paths_of, shown
from lake_platform.domain.part import definition_of
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.resolutions import Asked, Plan, broken, plan
from lake_platform.domain.schema import Struct
from lake_platform.errors import InvalidFieldError, NameTakenError
from lake_platform.metastore.ddl import without_columns
from lake_platform.metastore.incident import Incident, Outcome
from lake_platform.metastore.repository import Repository


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A resolution for which the table is made anew: `changes` of the definition, as a rebuild
    takes them."""

    table: str
    said: str
    changes: dict[str, Any]
    decisions: Sequence[Decision]


def rebuilding(store: Repository, incident: Incident, asked: Asked) -> Rebuilding | None:
    """None when no column changes its type under its rows. Raises: InvalidFieldError."""
    planned = _planned(store, incident, asked)
    if not planned.retyped or incident.status != "OPEN":
        return None
    record, active = changeable(store, incident.table)
    hints = record.dataset.columns
    changes = {}
    for column, kind in planned.retyped.items():
        path, said = type_hint(active.source, column, str(kind), hints)
        kept = {n: v for n, v in hints.get(path, {}).items() if n in ("name", "aliases")}
        changes[f"columns.{path}"] = kept | said
    decisions = [replace(d, incident=incident.id) for d in planned.decisions]
    return Rebuilding(incident.table, str(asked), changes, decisions)


def outcome(store: Repository, incident: Incident, asked: Asked) -> Outcome:
    """Raises: InvalidFieldError."""
    planned = _planned(store, incident, asked)
    if asked.new_table:
        return _ended(store, incident, asked)
    if planned.retyped and incident.status == "OPEN":
        raise InvalidFieldError(
            "resolution", str(asked), "makes the table anew of its raw, which takes its time",
            f"let it be done by lake incidents resolve {incident.id} {asked} --yes, by the API "
            f"with swap: true, or by the Dagster job resolve_incident",
        )  # fmt: skip
    if not planned.dropped:
        return Outcome(str(asked), planned.decisions)
    record, active = changeable(store, incident.table)
    new, columns = without_columns(record.dataset, active, planned.dropped)
    return Outcome(str(asked), planned.decisions, new, columns)


def _ended(store: Repository, incident: Incident, asked: Asked) -> Outcome:
    """Asked for again without a name, the table it was given is meant."""
    said = incident.resolution
    if incident.status != "OPEN":
        return Outcome(said if said.startswith(f"{asked} ") else str(asked))
    before = store.get(incident.table).dataset
    name = asked.table or next(
        name for n in count(2) if not store.name_taken(name := f"{incident.table}_{n}")
    )
    if store.name_taken(name):
        raise NameTakenError(name)
    values = definition_of(before) | {"table": name, "raw_from": before.raw_table}
    return Outcome(str(replace(asked, table=name)), continued_in=Dataset(**values))


def tried(
    store: Repository, incident: Incident, asked: Asked
) -> tuple[Dataset, SchemaVersion, Sequence[Decision]]:
    """Definition, schema and further decisions as they were after that.

    Raises: InvalidFieldError.
    """
    planned = _planned(store, incident, asked)
    record, active = changeable(store, incident.table)
    if planned.retyped:
        # Behind steps the columns are what those make of it.
        table = None if record.dataset.transformed else retyped(active.columns, planned.retyped)
        source = retyped(active.source, planned.retyped)
        return record.dataset, replace(active, source=source, table=table), planned.decisions
    if not planned.dropped:
        return record.dataset, active, planned.decisions
    active, columns = without_columns(record.dataset, active, planned.dropped)
    return record.dataset.with_changes({"columns": columns}), active, planned.decisions


def changeable(store: Repository, table: str) -> tuple[DatasetRecord, SchemaVersion]:
    """Raises: DatasetNotFoundError, InvalidFieldError while there is no schema."""
    record, active = store.get(table), store.active_schema(table)
    if active is None:
        raise InvalidFieldError(
            "table", table, "has no schema yet: its topic is empty", "wait for its first load"
        )
    return record, active


def _planned(store: Repository, incident: Incident, asked: Asked) -> Plan:
    dataset, progress = store.get(incident.table).dataset, store.progress(incident.table)
    held = (progress.applied_seq + 1, max(progress.head_seq, progress.applied_seq + 1))
    return plan(broken(incident.changes), asked, dataset, incident.batch, held)


def type_hint(
    source: Struct, column: str, kind: str, hints: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The path in the records, as hints write it, and what to say of it."""
    base = column_of(column)
    path = next(path for name, path in paths_of(source) if name == base)
    whole: Path = (*path, *[None] * ((len(column) - len(base)) // 2))
    holder = shown(whole[:-1]) if whole[-1] is None else ""
    if column.endswith("{}"):
        return holder, {"type": "map", "values": kind}
    if "values" in hints.get(holder, {}):
        return holder, {"type": "array", "values": kind}
    return shown(whole), {"type": kind}


def settle_steps(store: Repository, table: str, actor: str) -> None:
    """A break that the steps brought may be undone with them."""
    for incident in store.incidents(table, "OPEN"):
        if incident.batch == STEPS:
            store.settle(incident.id, Outcome("the steps changed"), actor)
