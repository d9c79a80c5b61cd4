"""Columns that an operator adds and drops."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import parse_path, shown
from lake_platform.domain.names import assign, column_name, is_ours
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Decimal, Field, Struct, Type, leaf
from lake_platform.domain.schema_json import from_json
from lake_platform.errors import InvalidFieldError

Hints = Mapping[str, Mapping[str, Any]]


def with_added(
    dataset: Dataset, active: SchemaVersion, name: str, kind: str
) -> tuple[SchemaVersion, Hints]:
    """The version with one more nullable root column, and the hints that go with it.

    Raises: InvalidFieldError.
    """
    column = new_column(name, kind, active)
    columns, own = active.columns, not dataset.transformed
    folded = name.casefold()
    dropped = next((f for f in columns.fields if f.name.casefold() == folded), None)
    if dropped is not None and (dropped.name, dropped.type) == (name, column.type):
        column = dropped  # with the keys that it had
    if own and dropped is not None and dropped != column:
        raise InvalidFieldError(
            "type" if dropped.name == name else "name", str(column.type),
            f"the table has a column {dropped.name} {dropped.type} of before it was dropped, "
            f"and its values stay", f"add it as {dropped.name} {dropped.type}, or choose "
            f"another name",
        )  # fmt: skip
    source = Struct((*active.source.fields, column))
    widened = columns if dropped else Struct((*columns.fields, column))
    derived = widened if own else active.table
    change = f"ADD COLUMN {column.name} {column.type}"
    new = SchemaVersion(active.version + 1, source, derived, changes=(change,))
    return new, with_column(dataset.columns, column)


def new_column(key: str, kind: str, active: SchemaVersion) -> Field:
    """For a key of the records; one that is no name of a column gets one as at first sight.

    Raises: InvalidFieldError for what is there, in any case, or cannot be.
    """
    folded = key.casefold()
    root = active.source.get(re.split(r"[.\[{]", key)[0])
    if root is not None and root.name != key and isinstance(leaf(root.type), Struct):
        raise InvalidFieldError(
            "name", key, f"is inside of column {root.name}, and a column is added to the record",
            f"give the definition the hint columns: {{'{key}': {{\"type\": \"{kind}\"}}}}",
        )  # fmt: skip
    for field in active.source.fields:
        if folded in {name.casefold() for name in (field.name, *field.keys)}:
            raise InvalidFieldError(
                "name", key, f"there is a column {field.name}", "choose another"
            )
    if is_ours(key) or not key:
        raise InvalidFieldError("name", key, "reserved or empty", "choose another name")
    if column_name(key) == key:
        return Field(key, column_type(kind))
    taken = [f.name for f in (*active.source.fields, *active.columns.fields)]
    return Field(assign([key], taken)[key], column_type(kind), key=key)


def without_column(
    dataset: Dataset, active: SchemaVersion, name: str
) -> tuple[SchemaVersion, Hints]:
    """The version without a root column, and hints by which records that have it still do not
    bring it back.

    The table keeps the column, NULL in new rows: older files have it, and Hudi refuses batches
    without it.

    Raises: InvalidFieldError for what is no such column, or one that rows are found by.
    """
    gone = active.source.get(name)
    if gone is None or not gone.keys:
        known = ", ".join(f.name for f in active.source.fields)
        raise InvalidFieldError("name", name, "no such column", f"columns are: {known}")
    if name in (c for _, c in dataset.named_columns()):
        raise InvalidFieldError(
            "name", name, "a key, partition or ordering column", "it cannot be dropped"
        )
    source = Struct(tuple(f for f in active.source.fields if f is not gone))
    derived = active.table if dataset.transformed else active.columns
    changes = (f"DROP COLUMN {name}",)
    new = SchemaVersion(active.version + 1, source, derived, changes=changes)
    return new, _dropping(dataset.columns, gone)


def without_columns(
    dataset: Dataset, active: SchemaVersion, names: Sequence[str]
) -> tuple[SchemaVersion, Hints]:
    """As `without_column`, of several in one version."""
    hints: Hints = dataset.columns
    version, changes = active, list[str]()
    for name in names:
        changed = dataset.with_changes({"columns": hints})
        new, hints = without_column(changed, version, name)
        version = replace(version, source=new.source, table=new.table)
        changes += new.changes
    return replace(new, changes=tuple(changes)), hints


def mentions(sql: str, name: str) -> bool:
    """Whether SQL, or a path, has a name in it; case does not count."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE) is not None


def with_column(columns: Hints, column: Field) -> Hints:
    """Hints less those that drop the keys of a column that is back."""
    keys = {key.casefold() for key in column.keys}
    return {
        text: hint for text, hint in columns.items()
        if not (hint.get("drop") and _root(text).casefold() in keys)
    }  # fmt: skip


def _dropping(columns: Hints, gone: Field) -> Hints:
    kept = {text: hint for text, hint in columns.items() if _root(text) not in gone.keys}
    by_fold: dict[str, str] = {}
    for key in gone.keys:  # a hint drops keys that differ in case only too
        by_fold.setdefault(key.casefold(), key)
    return kept | {shown((key,)): {"drop": True} for key in by_fold.values()}


def _root(text: str) -> str:
    return str(parse_path(text)[0])


_NO_COLUMN = ("unknown", "rescued", "dropped")


def column_type(kind: str) -> Type:
    try:
        found = from_json(kind)
    except (ValueError, IndexError):
        found = None
    sound = not isinstance(found, Decimal) or (found.storable and found.precision > 0)
    if found is None or str(found) in _NO_COLUMN or not sound:
        raise InvalidFieldError(
            "type",
            kind,
            "not a column type",
            "use boolean, int, long, float, double, string, binary, date, timestamp, json, or "
            "decimal(p,s) with p from 1 to 38 and s from 0 to p",
        )
    return found
