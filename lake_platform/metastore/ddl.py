"""Columns that an operator adds."""

from __future__ import annotations

from lake_platform.domain.names import assign, column_name, is_ours
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import Decimal, Field, Type
from lake_platform.domain.schema_json import from_json
from lake_platform.errors import InvalidFieldError


def new_column(key: str, kind: str, active: SchemaVersion) -> Field:
    """For a key of the records; one that is no name of a column gets one as at first sight.

    Raises: InvalidFieldError for what is there, in any case, or cannot be.
    """
    folded = key.casefold()
    for field in active.source.fields:
        if folded in {name.casefold() for name in (field.name, *field.keys)}:
            raise InvalidFieldError(
                "name", key, f"there is a column {field.name}", "choose another"
            )
    if is_ours(key) or not key:
        raise InvalidFieldError("name", key, "reserved or empty", "choose another name")
    if column_name(key) == key:
        return Field(key, _column_type(kind))
    taken = [f.name for f in (*active.source.fields, *active.columns.fields)]
    return Field(assign([key], taken)[key], _column_type(kind), key=key)


_NO_COLUMN = ("unknown", "rescued", "dropped")


def _column_type(kind: str) -> Type:
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
