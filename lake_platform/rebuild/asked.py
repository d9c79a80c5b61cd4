"""What a rebuild is asked for: another definition of the same table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import parse_path, shown
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import changed, dataset_to_dict

FIRST_SIGHT = (
    "names", "case_twins", "maps", "mixed_scalars", "single_or_array", "max_columns", "max_depth",
    "max_object_keys", "max_new_keys",
)  # fmt: skip
_HINT = "columns."


def wanted(before: Dataset, changes: Mapping[str, Any]) -> Dataset:
    """`before` with fields replaced by JSON values; `columns.<path>` is one hint, None takes it
    away.

    Raises: InvalidFieldError for what cannot be, or does not differ.
    """
    plain = {name: value for name, value in changes.items() if not name.startswith(_HINT)}
    columns: dict[str, Any] = dict(plain.get("columns", before.columns) or {})
    for name, hint in changes.items():
        if name.startswith(_HINT):
            _set(columns, name.removeprefix(_HINT), hint)
    after = changed(before, plain | {"columns": columns})
    _check(before, after)
    return after


def differing(before: Dataset, after: Dataset) -> dict[str, tuple[Any, Any]]:
    """JSON values of the fields that differ."""
    old, new = dataset_to_dict(before), dataset_to_dict(after)
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


def keeps_columns(before: Dataset, after: Dataset) -> bool:
    """Whether names and types of columns stay, but for what hints say; else they come of the
    records anew."""
    return all(getattr(before, name) == getattr(after, name) for name in FIRST_SIGHT)


def _set(columns: dict[str, Any], text: str, hint: Any) -> None:
    try:
        path = shown(parse_path(text))
    except ValueError as error:
        raise InvalidFieldError(
            "columns", text, f"not a path: {error}", 'write it as in a."x-y".items[].id'
        ) from None
    columns.pop(path, None)
    if hint is not None:
        columns[path] = hint


def _check(before: Dataset, after: Dataset) -> None:
    table = before.table
    for name in ("table", "topic", "raw_from", "value_format", "envelope"):
        if getattr(before, name) != getattr(after, name):
            raise InvalidFieldError(
                name, getattr(after, name), f"a rebuild is made of the raw of {table}, of topic "
                f"{before.topic}", "leave it as it is, or register another dataset",
            )  # fmt: skip
    if dataset_to_dict(before) == dataset_to_dict(after):
        raise InvalidFieldError(
            "change", {}, f"nothing of the definition of {table} would differ",
            f"say what is to change: lake rebuild {table} --change field=JSON",
        )  # fmt: skip
