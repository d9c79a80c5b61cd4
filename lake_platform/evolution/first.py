"""First sight: of a table that is not there yet, and of columns that are new to one. What comes of
it holds every record that was seen."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.fitness import check_against_schema, check_places
from lake_platform.domain.mapping import Look
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Array, Field, Map, Struct, Type
from lake_platform.errors import NoRecordYetError
from lake_platform.evolution import registered
from lake_platform.evolution.admitted import admitted
from lake_platform.raw import log as raw_log
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import value_bytes
from lake_platform.records.opened import Opener
from lake_platform.sight.infer import MOST_RECORDS, declared_sight, settled
from lake_platform.sight.profile import Profile


def infer(dataset: Dataset, ports: Ports, commits: Sequence[RawCommit]) -> SchemaVersion:
    """Version 1 from raw, of a topic that was empty at registration.

    Raises:
        NoRecordYetError: all so far are tombstones or bad ones.
        InvalidFieldError: the first records lack a column the definition names.
        TransformError: they lack one that its SQL names.
    """
    # From the batch and what follows it: the first records may be tombstones or bad ones, and the
    # batch's range stays fixed by its claim.
    behind = raw_log.of_table(ports.store, dataset, commits[0].seq - 1)
    profile = Profile()
    opener = Opener(dataset)
    values = islice(values_of(opener, ports, behind), MOST_RECORDS)
    found = settled(values, dataset, profile, opener=opener)
    if declared := registered.read(dataset, ports, commits):
        sight = declared_sight(dataset, declared, profile)
        found = Look(sight, sight.source)
    if found.sight is None and (dataset.named_columns() or dataset.has_sql):
        raise NoRecordYetError(dataset.table)
    source = found.sight.source if found.sight else Struct()
    check_against_schema(dataset, source)
    if dataset.transformed or dataset.delete_when:
        # Nobody could hold the SQL against records when it was typed.
        ports.engine(dataset.format).derive(dataset, source, found.seen)
    columns = derived(dataset, ports, source)
    check_places(dataset, columns)
    return ports.metastore.add_schema_version(
        dataset.table, 0, source, columns, ["inferred from raw"],
        mapped=found.sight.mapped if found.sight else (),
    )  # fmt: skip


def settle_again(
    dataset: Dataset, ports: Ports, active: SchemaVersion, commits: Sequence[RawCommit]
) -> SchemaVersion | None:
    """The version in which every record of the first batch fits, with what was counted at
    registration; not on record yet. None when that is the active one.

    Raises: as `infer`.
    """
    counted = ports.metastore.profile(dataset.table)
    profile = Profile.from_json(dict(counted)) if counted else Profile()
    opener = Opener(dataset)
    found = settled(values_of(opener, ports, commits), dataset, profile, opener=opener)
    if found.sight is None:
        return None
    settled_now = found.sight.source
    # Columns of an operator, or of a registration of before profiles were kept.
    kept = (f for f in active.source.fields if _is_free(f.name, settled_now, f.keys))
    source = Struct((*settled_now.fields, *kept))
    if source == active.source:
        return None
    check_against_schema(dataset, source)
    columns = derived(dataset, ports, source)
    check_places(dataset, columns)
    change = f"settled anew from all {profile.records} records that were seen before the first load"
    return SchemaVersion(
        active.version + 1, source, columns, changes=(change,), mapped=found.sight.mapped
    )


def with_new(
    dataset: Dataset,
    ports: Ports,
    grown: Struct,
    held: Struct,
    commits: Sequence[RawCommit],
    keys: Collection[str] | None,
) -> Struct:
    """`grown`, which has what is new beyond `held`, with types for that from the batch: all of it,
    or the records that have one of `keys` as it is usually written. Objects that `grown` closes get
    what they may have still."""
    marks = [json.dumps(key, ensure_ascii=False).encode() for key in keys or ()]
    opener = Opener(dataset)
    values = values_of(opener, ports, commits)
    chosen = values if keys is None else (v for v in values if any(m in v for m in marks))
    profile = Profile()
    found = settled(chosen, dataset, profile, held, opener)
    if found.sight is None:
        return grown
    now = found.sight.source
    return admitted(
        dataset, _retyped(grown, held, now, dataset.case_twins != "rescue"), held, now, profile.root
    )


def _retyped(grown: Struct, held: Struct, seen: Struct, merges: bool) -> Struct:
    """`merges`: keys that differ in case only are spellings of one column."""
    fields: dict[tuple[str, ...], Field] = {}
    for field in grown.fields:
        known, now = held.same(field), seen.same(field)
        if now is None and not merges:
            now = next((f for key in field.keys if (f := seen.of_key(key))), None)
        if now is None:
            new = field
        elif known is None:
            new = _new(field, now) if merges else now
        else:
            new = replace(field, type=_inside(field.type, known.type, now.type, merges))
        fields.setdefault(new.keys[:1], new)  # a hint may make one of two
    return Struct(tuple(fields.values()))


def _new(field: Field, now: Field) -> Field:
    if not field.keys:
        return field
    own, *_ = now.keys
    aliases = dict.fromkeys((*now.aliases, *field.keys))
    aliases.pop(own, None)
    return replace(now, aliases=tuple(aliases))


def _inside(grown: Type, held: Type, seen: Type, merges: bool) -> Type:
    if isinstance(grown, Struct) and isinstance(held, Struct) and isinstance(seen, Struct):
        return _retyped(grown, held, seen, merges)
    if isinstance(grown, Array) and isinstance(held, Array):
        single = seen.element if isinstance(seen, Array) else seen
        return Array(_inside(grown.element, held.element, single, merges))
    if isinstance(grown, Map) and isinstance(held, Map) and isinstance(seen, Map):
        return Map(_inside(grown.value, held.value, seen.value, merges))
    return grown


def derived(dataset: Dataset, ports: Ports, source: Struct) -> Struct:
    """The table's columns. Raises: TransformError."""
    return ports.engine(dataset.format).derive(dataset, source) if dataset.transformed else source


def _is_free(name: str, source: Struct, keys: Iterable[str]) -> bool:
    used = {f.name.lower() for f in source.fields}
    return name.lower() not in used and all(source.of_key(key) is None for key in keys)


def values_of(opener: Opener, ports: Ports, commits: Iterable[RawCommit]) -> Iterator[bytes]:
    """With what the definition has made of them."""
    for raw in (o for c in commits for o in c.objects):
        for line in read_lines(ports.store, raw):
            value = value_bytes(opener.line(line).data)
            if value is not None:
                yield value
