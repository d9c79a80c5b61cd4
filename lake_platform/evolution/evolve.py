"""Schema check: from what a scan saw to the schema version a batch is written with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.fitness import check_against_schema, check_places, unstorable
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import MAX_LEVELS, Struct, levels, merge, without_unknown
from lake_platform.errors import SchemaBlockedError
from lake_platform.raw import log as raw_log
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import value_bytes
from lake_platform.records.infer import observe_records

_INFER_RECORDS = 1_000


def ensure_schema(dataset: Dataset, ports: Ports, commits: Sequence[RawCommit]) -> SchemaVersion:
    """The active version; version 1 is inferred from raw when the topic was empty before.

    A dataset whose transforms were never run gets its table schema here.

    Raises:
        InvalidFieldError: the first records lack a column the definition names.
        TransformError: they lack one that its SQL names.
    """
    active = ports.metastore.active_schema(dataset.table)
    if active is None:
        seen = _infer(dataset, ports, commits)
        known = without_unknown(seen)
        source = known if isinstance(known, Struct) else Struct()
        check_against_schema(dataset, source)
        if dataset.transformed or dataset.delete_when:
            # Nobody could hold the SQL against records when it was typed.
            ports.engine(dataset.format).derive(dataset, source, seen)
        columns = _derive(dataset, ports, source)
        check_places(dataset, columns)
        active = ports.metastore.add_schema_version(
            dataset.table, 0, source, columns, ["inferred from raw"]
        )
    if active.table is None and dataset.transformed:
        columns = _derive(dataset, ports, active.source)
        check_places(dataset, columns)
        active = ports.metastore.add_schema_version(
            dataset.table, active.version, active.source, columns,
            ["table columns derived from the transforms"],
        )  # fmt: skip
    return active


def proposed(
    dataset: Dataset,
    ports: Ports,
    active: SchemaVersion,
    observed: Struct,
    additions: Sequence[Change],
) -> SchemaVersion:
    """The version a batch is written with: `active`, or the next one, with the automatic changes
    in it; not on record yet.

    Raises:
        SchemaBlockedError: the transforms turn the change into a breaking one of the table, or
            the table cannot have a column of this name.
    """
    source = merge(active.source, observed) if additions else active.source
    if not isinstance(source, Struct):
        return active
    derived = _derive(dataset, ports, source)
    table_changes = [c for c in diff(active.columns, derived) if c.kind != "absent"]
    breaking = [c for c in table_changes if c.verdict == "breaking"]
    breaking += [
        Change(path, "name", "breaking", "", str(kind))
        for path, kind in unstorable(dataset.format, derived)
    ]
    deep = [f for f in derived.fields if levels(f.type) > MAX_LEVELS]
    breaking += [
        Change(f.name, "type", "breaking", "", "more nesting than readers of Parquet take")
        for f in deep
    ]
    if breaking:
        block(dataset, ports, breaking, "transforms", [])
    if not additions and not table_changes:
        return active
    table = merge(active.columns, derived)
    changes = (*additions, *(table_changes if dataset.transformed else ()))
    return SchemaVersion(
        active.version + 1,
        source,
        table if isinstance(table, Struct) else None,
        changes=tuple(str(c) for c in changes),
    )


def record(dataset: Dataset, ports: Ports, active: SchemaVersion, new: SchemaVersion) -> None:
    """Puts the version on record that the write which follows needs. Raises: ConflictError."""
    if new.version != active.version:
        ports.metastore.add_schema_version(
            dataset.table, active.version, new.source, new.table, list(new.changes)
        )


def block(
    dataset: Dataset,
    ports: Ports,
    changes: Sequence[Change],
    batch: str,
    samples: Sequence[Mapping[str, Any]],
) -> NoReturn:
    """Raises: SchemaBlockedError, after the incident is on record."""
    ports.metastore.block(dataset.table, changes, batch, samples)
    raise SchemaBlockedError(dataset.table, [str(c) for c in changes])


def _derive(dataset: Dataset, ports: Ports, source: Struct) -> Struct:
    if not dataset.transformed:
        return source
    return ports.engine(dataset.format).derive(dataset, source)


def _infer(dataset: Dataset, ports: Ports, commits: Sequence[RawCommit]) -> Struct:
    """With the columns that were only null, as unknown. From the batch and what follows it: the
    first records may be tombstones or bad ones, and the batch's range stays fixed by its claim."""
    behind = raw_log.iter_commits_after(ports.store, dataset.table, commits[0].seq - 1)
    values = (v for v in _raw_values(ports, behind) if v is not None)
    return observe_records(islice(values, _INFER_RECORDS))[0]


def _raw_values(ports: Ports, commits: Iterable[RawCommit]) -> Iterator[bytes | None]:
    for raw in (o for c in commits for o in c.objects):
        for line in read_lines(ports.store, raw):
            yield value_bytes(line)
