"""What the schema versions of a table say: columns and where they come from, differences, hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lake_platform.domain.described import Line, described, renamed
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.exported import Hints, hints
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Field, Struct, columns
from lake_platform.errors import InvalidFieldError, SchemaVersionNotFoundError
from lake_platform.metastore.repository import Repository


@dataclass(frozen=True, slots=True)
class Described:
    """A version with a line for each path of the records. `transformed`: the table's columns are
    what the steps make of these."""

    version: SchemaVersion
    lines: tuple[Line, ...]
    transformed: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One change between two versions. `of`: columns made of the records, or what steps make of
    them."""

    of: Literal["record", "table"]
    what: str
    column: str
    before: str
    after: str


_WHAT = {
    "add": "added",
    "case_twin": "added",
    "name": "added",
    "required": "added",
    "widen": "widened",
    "absent": "gone",
    "alias": "alias",
    "closed": "closed",
    "narrow": "narrowed",
    "type": "type changed",
}


def describe(store: Repository, table: str, number: int | None = None) -> Described | None:
    """The active version without a `number`; None while there is none.

    Raises: DatasetNotFoundError, SchemaVersionNotFoundError.
    """
    dataset = store.get(table).dataset
    versions = store.schema_versions(table)
    if not versions and number is None:
        return None
    version = _one(table, versions, number)
    came: dict[str, int] = {}
    for earlier in versions[: version.version]:
        for column, _ in columns(earlier.source):
            came.setdefault(column, earlier.version)
    lines = described(version.source, store.mapping(table, version.version), came, table)
    return Described(version, tuple(lines), dataset.transformed)


def compare(
    store: Repository, table: str, before: int, after: int | None = None
) -> tuple[SchemaVersion, SchemaVersion, list[Difference]]:
    """The two versions and what is different; `after` is the active one if not given.

    Raises: DatasetNotFoundError, SchemaVersionNotFoundError.
    """
    dataset = store.get(table).dataset
    versions = store.schema_versions(table)
    old, new = _one(table, versions, before), _one(table, versions, after)
    found = _differences("record", old.source, new.source)
    if dataset.transformed:
        found += _differences("table", old.table or Struct(), new.table or Struct())
    return old, new, found


def export(store: Repository, table: str) -> tuple[SchemaVersion, Hints]:
    """The active version and the hints that give it again.

    Raises: DatasetNotFoundError, InvalidFieldError while there is no version.
    """
    found = describe(store, table)
    if found is None:
        raise InvalidFieldError(
            "table", table, "has no schema yet: its topic is empty", "wait for its first load"
        )
    once: dict[str, Field] = {}
    for version in store.schema_versions(table):
        once |= {f.name: f for f in version.source.fields if f.keys}
    active = found.version
    kept = () if found.transformed else active.columns.fields
    dropped = [once[f.name] for f in kept if f.name in once and active.source.same(f) is None]
    mapped = store.mapping(table)
    return active, hints(store.get(table).dataset, active.source, [m for _, m in mapped], dropped)


def _one(table: str, versions: Sequence[SchemaVersion], number: int | None) -> SchemaVersion:
    """Versions count from 1 without holes."""
    newest = versions[-1].version if versions else 0
    if number is None and versions:
        return versions[-1]
    found = next((v for v in versions if v.version == number), None)
    if found is None:
        raise SchemaVersionNotFoundError(table, number or 0, newest)
    return found


def _differences(of: Literal["record", "table"], old: Struct, new: Struct) -> list[Difference]:
    found = [_difference(of, change) for change in diff(old, new)]
    found += [
        Difference(of, "alias gone", c.after, c.before, "")
        for c in diff(new, old, partial=True)
        if c.kind == "alias"
    ]
    names = renamed(old, new)
    return found + [Difference(of, "renamed", after, before, after) for before, after in names]


def _difference(of: Literal["record", "table"], change: Change) -> Difference:
    column = change.after if change.kind == "alias" else change.path
    before = change.before if change.kind != "case_twin" else ""
    after = change.before if change.kind == "alias" else change.after
    if change.kind == "alias":
        before = ""
    return Difference(of, _WHAT[change.kind], column, before, after)
