"""Schema check: from what a scan saw to the schema version a batch is written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from lake_platform.domain import naming
from lake_platform.domain.at_paths import retyped
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import STEPS, column_of
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.fitness import check_places, unstorable
from lake_platform.domain.hints_fit import with_aliases
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import MAX_LEVELS, Scalar, Struct, columns, levels, merge, storable
from lake_platform.errors import SchemaBlockedError
from lake_platform.evolution import first
from lake_platform.evolution.admitted import leaves


def ensure_schema(dataset: Dataset, ports: Ports, commits: Sequence[RawCommit]) -> SchemaVersion:
    """The active version; version 1 is inferred from raw when the topic was empty before.

    A dataset whose transforms were never run gets its table schema here.

    Raises:
        InvalidFieldError: the first records lack a column the definition names.
        TransformError: they lack one that its SQL names.
    """
    active = ports.metastore.active_schema(dataset.table)
    if active is None:
        active = first.infer(dataset, ports, commits)
    if active.table is None and dataset.transformed:
        made = first.derived(dataset, ports, active.source)
        check_places(dataset, made)
        active = ports.metastore.add_schema_version(
            dataset.table, active.version, active.source, made,
            ["table columns derived from the transforms"],
        )  # fmt: skip
    return active


def proposed(
    dataset: Dataset,
    ports: Ports,
    active: SchemaVersion,
    observed: Struct,
    batch: Sequence[RawCommit] = (),
    *,
    mixed: bool = False,
) -> SchemaVersion:
    """The version a batch is written with: `active`, or the next one, with the automatic changes
    in it; not on record yet. `mixed`: the types of what is new do not hold all of the batch yet.

    Raises:
        SchemaBlockedError: the transforms turn the change into a breaking one of the table, or
            the table cannot have a column of this name.
    """
    source = _grown(dataset, ports, active, observed, batch, mixed=mixed)
    derived = first.derived(dataset, ports, source)
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
        block(dataset, ports, breaking, STEPS, [])
    additions = diff(active.source, source, partial=True)
    if not additions and not table_changes:
        return active
    table = merge(active.columns, derived)
    changes = (*additions, *(table_changes if dataset.transformed else ()))
    return SchemaVersion(
        active.version + 1,
        source,
        table if isinstance(table, Struct) else None,
        changes=tuple(str(c) for c in changes),
        mapped=tuple(
            naming.lines(
                active.source, source, f"new in version {active.version + 1}", dataset.hints
            )
        ),
    )


def as_doubles(active: SchemaVersion, paths: Sequence[str]) -> SchemaVersion:
    """The next version, with doubles at these paths."""
    types = dict.fromkeys(paths, Scalar("double"))
    return replace(
        active,
        version=active.version + 1,
        source=retyped(active.source, types),
        table=None if active.table is None else retyped(active.table, types),
        changes=tuple(f"column {path}: long became double (widen)" for path in paths),
        mapped=(),
    )


def any_new(active: SchemaVersion, changes: Sequence[Change]) -> bool:
    """Whether one of them is about a column that the table has not."""
    known = {path for path, _ in columns(active.source)} if changes else set()
    return any(column_of(c.path) not in known for c in changes)


def _grown(
    dataset: Dataset,
    ports: Ports,
    active: SchemaVersion,
    observed: Struct,
    batch: Sequence[RawCommit],
    *,
    mixed: bool,
) -> Struct:
    """The active source with what is new, under names that no column has or had."""
    held = with_aliases(active.source, dataset.hints)
    grown = merge(held, observed)
    if not isinstance(grown, Struct):
        return held
    new = set(naming.new_keys(held, grown))
    crowded = any(c.kind == "closed" for c in diff(held, grown, partial=True))
    crowded = crowded or (bool(new) and leaves(grown) > dataset.max_columns)
    if (new or crowded) and batch:
        some = None if mixed or crowded else new
        grown = first.with_new(dataset, ports, grown, held, batch, some)
    if isinstance(whole := storable(grown), Struct):
        grown = whole
    gone = [f.name for f in active.columns.fields if grown.same(f) is None]
    lower = dataset.names == "lower"
    return naming.named(held, grown, gone, dataset.hints, lower=lower)


def as_next(active: SchemaVersion, base: SchemaVersion, new: SchemaVersion) -> SchemaVersion:
    """The version behind `active` that `new` is, although `base` in between is not on record."""
    if base is active or new is active:
        return new
    if new is not base:
        changes, mapped = (*base.changes, *new.changes), (*base.mapped, *new.mapped)
        new = replace(new, changes=changes, mapped=mapped)
    return replace(new, version=active.version + 1)


def record(dataset: Dataset, ports: Ports, active: SchemaVersion, new: SchemaVersion) -> None:
    """Puts the version on record that the write which follows needs. Raises: ConflictError."""
    if new.version != active.version:
        ports.metastore.add_schema_version(
            dataset.table, active.version, new.source, new.table, list(new.changes),
            mapped=new.mapped,
        )  # fmt: skip


def block(
    dataset: Dataset,
    ports: Ports,
    changes: Sequence[Change],
    batch: str,
    samples: Sequence[Mapping[str, Any]],
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> NoReturn:
    """`details` of changes are by path. Raises: SchemaBlockedError; the incident is on record."""
    incident = ports.metastore.block(dataset.table, changes, batch, samples, details=details)
    raise SchemaBlockedError(dataset.table, incident, [str(c) for c in changes])
