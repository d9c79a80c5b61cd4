"""Brings the catalog to what a table has now. May be done again at any time, by anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lake_platform.catalog.entries import Wanted
from lake_platform.domain.catalog import Catalog, Entry, Partition
from lake_platform.errors import ForeignTableError

Action = Literal["created", "updated", "made anew", "same"]


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done to one entry; `changes` name what was different, partitions are counted."""

    name: str
    action: Action
    changes: tuple[str, ...] = ()
    added: int = 0
    updated: int = 0
    dropped: int = 0


def sync(wanted: Wanted, catalog: Catalog) -> list[Synced]:
    """Nothing of the table itself is touched.

    Raises:
        ForeignTableError: an entry of the name is not ours; then none is touched.
        CatalogUnavailableError, CatalogRefusedError, SetupError: see Catalog.
    """
    held = {entry.name: catalog.entry(entry.name) for entry in wanted.entries}
    check_ours(wanted.entries, held, catalog)
    return [
        _synced(entry, held[entry.name], wanted.partitions, catalog) for entry in wanted.entries
    ]


def check_ours(
    entries: Sequence[Entry], held: Mapping[str, Entry | None], catalog: Catalog
) -> None:
    """Raises: ForeignTableError."""
    for entry in entries:
        found = held[entry.name]
        if found is not None and found.owner != entry.owner:
            raise ForeignTableError(catalog.address, entry.name, found.owner, found.location)


def differences(held: Entry, wanted: Entry) -> list[str]:
    """What of `held` is not as `wanted`. Parameters that others set beside ours do not count."""
    found = [
        f"column {name}: {a or 'none'} -> {b or 'none'}" for name, a, b in _types(held, wanted)
    ]
    if not found and [c.name for c in held.columns] != [c.name for c in wanted.columns]:
        found.append("order of columns")
    if not found and held.columns != wanted.columns:
        found.append("comments of columns")
    if held.keys != wanted.keys:
        found.append(f"partition keys: {_shown(held)} -> {_shown(wanted)}")
    found += [
        f"{name}: {a} -> {b}"
        for name in ("location", "input_format", "output_format", "serde", "description")
        if (a := getattr(held, name)) != (b := getattr(wanted, name))
    ]
    for what in ("serde_parameters", "parameters"):
        has, needs = getattr(held, what), getattr(wanted, what)
        changed = sorted(n for n in needs if has.get(n) != needs[n])
        if what == "parameters":
            changed += [n for n in _leftover(has, needs) if n not in changed]
        if changed:
            found.append(f"{what.replace('_', ' ')}: {', '.join(changed)}")
    return found


def _types(held: Entry, wanted: Entry) -> list[tuple[str, str, str]]:
    has, needs = ({c.name: c.type for c in e.columns} for e in (held, wanted))
    names = [*needs, *(n for n in has if n not in needs)]
    return [(n, has.get(n, ""), needs.get(n, "")) for n in names if has.get(n) != needs.get(n)]


def _shown(entry: Entry) -> str:
    return ", ".join(f"{k.name} {k.type}" for k in entry.keys) or "none"


def _leftover(has: Mapping[str, str], needs: Mapping[str, str]) -> list[str]:
    """Parts of an older, longer schema, and the keys of one."""
    return sorted(n for n in has if n.startswith("spark.sql.sources.schema.") and n not in needs)


def _synced(
    wanted: Entry, held: Entry | None, partitions: Sequence[Partition], catalog: Catalog
) -> Synced:
    action, changes = _entry(wanted, held, catalog)
    if not wanted.keys:
        return Synced(wanted.name, action, tuple(changes))
    fresh = action in ("created", "made anew")
    there = {} if fresh else catalog.partitions(wanted.name)
    needed = {p.values: p for p in partitions}
    new = [p for values, p in needed.items() if values not in there]
    changed = [p for values, p in needed.items() if values in there and there[values] != p]
    gone = [values for values in there if values not in needed]
    catalog.put_partitions(wanted, new, changed)
    catalog.drop_partitions(wanted.name, gone)
    if action == "same" and (new or changed or gone):
        action = "updated"
    return Synced(wanted.name, action, tuple(changes), len(new), len(changed), len(gone))


def _entry(wanted: Entry, held: Entry | None, catalog: Catalog) -> tuple[Action, list[str]]:
    if held is None:
        catalog.create(wanted)
        return "created", []
    changes = differences(held, wanted)
    if held.keys != wanted.keys:
        # Partitions are known by their keys, so there is no way from one to the other.
        catalog.drop(wanted.name)
        catalog.create(wanted)
        return "made anew", changes
    if not changes:
        return "same", []
    stale = _leftover(held.parameters, wanted.parameters)
    others = {n: v for n, v in held.parameters.items() if n not in stale}
    catalog.update(replace(wanted, parameters={**others, **wanted.parameters}))
    return "updated", changes
