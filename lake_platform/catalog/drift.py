"""Whether lake, metastore and catalog agree on a table. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lake_platform.catalog.entries import Wanted
from lake_platform.catalog.sync import check_ours, differences
from lake_platform.catalog.types import hive_type, known
from lake_platform.domain.catalog import Catalog, Entry, Stored
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.reserved import RESERVED_NOW
from lake_platform.domain.schema import Struct

_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """`what`: a column, or a part of the entry `place`. Empty texts: not there. With `waits` the
    next load makes it good."""

    place: str
    what: str
    lake: str
    metastore: str
    catalog: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        return all(d.waits for d in self.differences)


def drift_view(table: str, found: Drift | None) -> dict[str, Any]:
    """Plain values for JSON; None, where no table is loaded yet, is sound."""
    plain = asdict(found) if found else {"differences": [], "notes": []}
    return {"table": table, "sound": found is None or found.sound, **plain}


def drift(wanted: Wanted, stored: Stored, active: SchemaVersion | None, catalog: Catalog) -> Drift:
    """Raises: ForeignTableError, and as Catalog."""
    held = {entry.name: catalog.entry(entry.name) for entry in wanted.entries}
    check_ours(wanted.entries, held, catalog)
    found = _of_metastore(stored, active)
    for entry in wanted.entries:
        found += _of_entry(entry, held[entry.name], wanted, catalog)
    return Drift(tuple(found[:_MOST_SHOWN]), wanted.notes)


def _of_metastore(stored: Stored, active: SchemaVersion | None) -> list[Difference]:
    """Columns of the record; those that the platform and Hudi add are in no schema version."""
    if active is None:
        return []
    lake, meta = _own(stored.columns), _own(active.columns)
    waits = stored.schema_version < active.version
    return [
        Difference("columns", name, lake.get(name, ""), meta.get(name, ""), "", waits)
        for name in dict.fromkeys((*lake, *meta))
        if lake.get(name) != meta.get(name)
    ]


def _own(struct: Struct) -> dict[str, str]:
    fields = known(struct).fields
    return {f.name: hive_type(f.type) for f in fields if not f.name.startswith(RESERVED_NOW)}


def _of_entry(
    entry: Entry, held: Entry | None, wanted: Wanted, catalog: Catalog
) -> list[Difference]:
    if held is None:
        return [Difference(entry.name, "table", "there", "", "")]
    has, needs = ({c.name: c.type for c in e.columns} for e in (held, entry))
    found = [
        Difference(entry.name, name, needs.get(name, ""), "", has.get(name, ""))
        for name in dict.fromkeys((*needs, *has))
        if needs.get(name) != has.get(name)
    ]
    found += [
        Difference(entry.name, what, "", "", "is otherwise")
        for what in differences(held, entry)
        if not what.startswith("column ")
    ]
    return found + (_of_partitions(entry, wanted, catalog) if entry.keys == held.keys else [])


def _of_partitions(entry: Entry, wanted: Wanted, catalog: Catalog) -> list[Difference]:
    if not entry.keys:
        return []
    there, needed = catalog.partitions(entry.name), {p.values: p for p in wanted.partitions}
    stale = [v for v, p in needed.items() if v in there and there[v] != p]
    return [
        *_partitions(entry, "there", "", [v for v in needed if v not in there]),
        *_partitions(entry, "", "there", [v for v in there if v not in needed]),
        *_partitions(entry, "there", "with other columns or location", stale),
    ]


def _partitions(
    entry: Entry, lake: str, catalog: str, values: Sequence[tuple[str, ...]]
) -> list[Difference]:
    shown = [f"partition {'/'.join(v)}" for v in values[:5]]
    more = [f"{len(values) - 5} partitions more"] if len(values) > 5 else []
    return [Difference(entry.name, what, lake, "", catalog) for what in (*shown, *more)]
