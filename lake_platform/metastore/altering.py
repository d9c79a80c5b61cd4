"""Columns that get a wider type, another name, or another key of the records: in place where the
rows that are there allow it, else by a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake_platform.domain.at_paths import retyped
from lake_platform.domain.commands import rebuild_command
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import column_of
from lake_platform.domain.mapping import Path, paths_of, shown
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import (
    Array,
    Decimal,
    Field,
    Map,
    Struct,
    Type,
    fields,
    grown,
    leaf,
    widens,
)
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.ddl import Hints, column_type, mentions
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.resolving import type_hint

_HINT = "columns."


@dataclass(frozen=True, slots=True)
class Altering:
    """`changes` of the definition, as a rebuild takes them; none where it is so already.
    `in_place`: no row that is there would be another one, so a change of the definition does."""

    table: str
    changes: Mapping[str, Any]
    in_place: bool = False

    def columns(self, dataset: Dataset) -> dict[str, Any]:
        """All hints of the definition, with these changes."""
        changed = {name.removeprefix(_HINT): hint for name, hint in self.changes.items()}
        both: dict[str, Any] = {**dataset.columns, **changed}
        return {path: hint for path, hint in both.items() if hint is not None}


def widened(
    dataset: Dataset, active: SchemaVersion, column: str, kind: str
) -> tuple[SchemaVersion, Hints]:
    """The version in which a column at any depth has a wider type, which readers find in older
    files too; with the hints that go with it.

    Raises: InvalidFieldError, with the rebuild that makes of it what is no such type.
    """
    wanted, source = column_type(kind), active.source
    before = _type_at(source, column)
    if before is None or column_of(column) not in dict(paths_of(source)):
        raise _no_column(source, column)
    path, said = type_hint(source, column, str(wanted), dataset.columns)
    hint = dict(dataset.columns.get(path, {}))
    if before == wanted:
        raise InvalidFieldError("type", kind, f"column {column} has it", "give a wider one")
    if column in dataset.record_columns or not widens(before, wanted):
        why = (
            "a key, partition or ordering column"
            if column in dataset.record_columns
            else "and only int becomes long, float double, and a decimal a larger one"
        )
        new = {n: v for n, v in hint.items() if n in ("name", "aliases")} | said
        raise InvalidFieldError(
            "type", kind, f"column {column} is {before}, {why}, under the rows that are there",
            f"have the table built anew: {rebuild_command(dataset.table, {_HINT + path: new})}",
        )  # fmt: skip
    if isinstance(before, Decimal) and isinstance(wanted, Decimal):
        _check_grown(column, before, wanted)
    types = {column: wanted}
    table = active.table if dataset.transformed else retyped(active.columns, types)
    change = f"column {column}: {before} became {wanted} (WIDEN)"
    new_version = SchemaVersion(
        active.version + 1, retyped(source, types), table, changes=(change,)
    )
    hints = {**dataset.columns, path: hint | said} if "type" in hint else dataset.columns
    return new_version, hints


def _check_grown(column: str, before: Decimal, wanted: Decimal) -> None:
    least = grown(before, wanted)
    if least != wanted:
        raise InvalidFieldError(
            "type", str(wanted),
            f"column {column} is {before}, and Hudi would read older rows with the point moved",
            f"give {least}" if least.storable else "give one with as many digits behind the point",
        )  # fmt: skip


def renamed(dataset: Dataset, active: SchemaVersion, column: str, name: str) -> Altering:
    """Raises: InvalidFieldError."""
    field, path = _found(dataset, active.source, column)
    if field.name == name:
        raise InvalidFieldError("name", name, "the column has it", "give another name")
    if dataset.transformed:
        command = rebuild_command(dataset.table, {"transforms": "[…]"})
        raise InvalidFieldError(
            "column", column, "the table's columns are what its steps make",
            f"name it there, as in SELECT {column} AS {name}: {command}",
        )  # fmt: skip
    above = column.removesuffix(field.name)
    other = _twin(active.source, above, name, field)
    if other is not None:
        raise InvalidFieldError(
            "name", name, f"there is another column {above}{other.name} {other.type} (case does "
            f"not count)", "choose another",
        )  # fmt: skip
    hint = {**dataset.columns.get(path, {}), "name": name}
    changes = {_HINT + path: hint, **_named(dataset, column, above + name)}
    for option, sql in _predicates(dataset):
        if mentions(sql, field.name):
            raise InvalidFieldError(
                option, sql, f"names {field.name}", "say besides what it is to be then: "
                f"{rebuild_command(dataset.table, changes)} --change {option}=…",
            )  # fmt: skip
    return Altering(dataset.table, changes)


def aliased(dataset: Dataset, active: SchemaVersion, column: str, key: str) -> Altering:
    """Another key of the records for a column; where both are there, the column's own counts.

    Raises: InvalidFieldError.
    """
    field, path = _found(dataset, active.source, column)
    if not key or (key == field.name and field.key is None):
        raise InvalidFieldError("key", key, "empty or the column's own", "give another key")
    above = column.removesuffix(field.name)
    holder = shown((*_path(active.source, column)[:-1], key))
    dropped = bool(dataset.columns.get(holder, {}).get("drop"))
    other = next((f for f in _beside(active.source, above).fields if key in f.keys), None)
    hint = dict(dataset.columns.get(path, {}))
    listed = hint.get("aliases", [])
    if other == field or key in listed:
        return Altering(dataset.table, {}, in_place=True)
    if other is not None and above + other.name in dataset.record_columns:
        raise InvalidFieldError(
            "key", key, f"it is that of {other.name}, a key, partition or ordering column",
            "give the key of another column",
        )  # fmt: skip
    if other is not None and other.keys[0] != key:
        raise InvalidFieldError(
            "key", key, f"it is another spelling of {above}{other.name}", f"give {other.keys[0]}"
        )
    changes: dict[str, Any] = {_HINT + path: hint | {"aliases": [*listed, key]}}
    if holder in dataset.columns:
        changes[_HINT + holder] = None
    return Altering(dataset.table, changes, in_place=other is None and not dropped)


def _named(dataset: Dataset, before: str, after: str) -> dict[str, Any]:
    """Fields of the definition that name the column, as they are to be."""
    plain = dataset_to_dict(dataset)
    rules = [rule | {"column": _moved(rule["column"], before, after)} for rule in plain["rules"]]
    named: dict[str, Any] = {"rules": rules}
    for option in ("primary_key", "partition_by"):
        named[option] = [after if c == before else c for c in plain[option]]
    if plain["ordering_field"] == before:
        named["ordering_field"] = after
    return {option: value for option, value in named.items() if value != plain[option]}


def _moved(path: str, before: str, after: str) -> str:
    rest = path.removeprefix(before)
    inside = path.startswith(before) and (not rest or rest[0] in ".[{")
    return after + rest if inside else path


def _predicates(dataset: Dataset) -> list[tuple[str, str]]:
    found = [("delete_when", dataset.delete_when), *(("rules", r.sql) for r in dataset.rules)]
    return [(option, sql) for option, sql in found if sql]


def _found(dataset: Dataset, source: Struct, column: str) -> tuple[Field, str]:
    """The field at a path, and where hints speak of it."""
    field = dict(fields(source)).get(column)
    if field is None or not field.keys:
        raise _no_column(source, column)
    above = _path(source, column)[:-1]
    texts = [shown((*above, key)) for key in field.keys]
    return field, next((t for t in texts if t in dataset.columns), texts[0])


def _path(source: Struct, column: str) -> Path:
    return dict(paths_of(source))[column]


def _no_column(source: Struct, column: str) -> InvalidFieldError:
    known = ", ".join(path for path, f in fields(source) if f.keys)
    return InvalidFieldError("column", column, "no such column", f"columns are: {known}")


def _type_at(source: Struct, column: str) -> Type | None:
    base = column_of(column)
    kind: Type | None = next((f.type for path, f in fields(source) if path == base), None)
    rest = column.removeprefix(base)
    while rest and kind is not None:
        if rest.startswith("[]") and isinstance(kind, Array):
            kind = kind.element
        elif rest.startswith("{}") and isinstance(kind, Map):
            kind = kind.value
        else:
            kind = None
        rest = rest[2:]
    return kind


def _beside(source: Struct, above: str) -> Struct:
    """The struct whose fields have paths that begin so."""
    if not above:
        return source
    kind = leaf(_type_at(source, column_of(above.removesuffix("."))) or source)
    return kind if isinstance(kind, Struct) else Struct()


def _twin(source: Struct, above: str, name: str, field: Field) -> Field | None:
    folded = name.casefold()
    others = (f for f in _beside(source, above).fields if f is not field)
    return next((f for f in others if f.name.casefold() == folded), None)
