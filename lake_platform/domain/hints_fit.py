"""Hints and the columns that a table has already."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import NoReturn

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.hints import Hint, Node, along, parsed_key
from lake_platform.domain.mapping import Path, paths_of, shown
from lake_platform.domain.schema import Array, Field, Map, Struct, Type
from lake_platform.errors import InvalidFieldError


class _UnfitError(Exception):
    def __init__(self, path: Path, option: str, why: str) -> None:
        self.path, self.option, self.why = path, option, why


def with_aliases(source: Struct, hints: Node) -> Struct:
    """`source` with the aliases that hints have for its columns."""
    found = along(source, hints, _with_aliases)
    return found if isinstance(found, Struct) else source


def check_hints(before: Dataset, after: Dataset, source: Struct) -> None:
    """A new hint for a column that is there may only add aliases; what is left out of a table, or
    made beside it, is so for all of its rows or for none.

    Raises: InvalidFieldError, which says what the column is now.
    """
    _check_dropped(before, after)
    _check_parsed(before, after, source)
    same = {path for path, given in after.columns.items() if before.columns.get(path) == given}
    for path, hint in after.hints.paths():
        # What `values` says has no path of its own.
        whole = shown(path)
        if {whole, whole.removesuffix("[]")} & same:
            continue
        try:
            _check(path, hint, source)
        except _UnfitError as error:
            raise _refused(error, after) from None


def _check_dropped(before: Dataset, after: Dataset) -> None:
    for path in sorted(_dropped(before) - _dropped(after), key=shown):
        raise _refused(_UnfitError(path, "drop", "there may be rows without what it drops"), after)


def _dropped(dataset: Dataset) -> set[Path]:
    return {path for path, hint in dataset.hints.paths() if hint.drop}


def _check_parsed(before: Dataset, after: Dataset, source: Struct) -> None:
    here = {path: text for text, path in paths_of(source)}
    old, new = ({p for p, hint in one.hints.paths() if hint.parse} for one in (before, after))
    for path in sorted(old ^ new, key=shown):
        made = (*path[:-1], parsed_key(str(path[-1])))
        if path in old and made in here:
            why = f"there are rows with {here[made]}, which is made of these texts"
        elif path in new and (path in here or path in _dropped(before)):
            why = "there are rows whose texts were not parsed"
        else:
            continue
        raise _refused(_UnfitError(path, "parse", why), after)


def _check(path: Path, hint: Hint, source: Struct) -> None:
    kind: Type = source
    field: Field | None = None
    column = ""
    for place, part in enumerate(path):
        if part is None:
            if not isinstance(kind, Array | Map):
                _refuse(path, "", f"column {column} is {kind} and has no elements")
            column += "[]" if isinstance(kind, Array) else "{}"
            kind, field = kind.element if isinstance(kind, Array) else kind.value, None
            continue
        if not isinstance(kind, Struct):
            _refuse(path, "", f"column {column} is {kind}, so {shown(path)} can be no column")
        if place == len(path) - 1:
            _check_free(path, hint, kind)
        field = kind.of_key(part)
        if field is None:
            return
        column += f".{field.name}" if column else field.name
        kind = field.type
    _check_same(path, hint, column, field, kind)


def _check_same(path: Path, hint: Hint, column: str, field: Field | None, kind: Type) -> None:
    if hint.drop:
        _refuse(path, "drop", f"there is a column {column} {kind}")
    if field is not None and hint.name not in ("", field.name):
        _refuse(path, "name", f"the column is {column} {kind}")
    shape = {"map": Map, "array": Array}.get(hint.container)
    if hint.type not in (None, kind) or (shape is not None and not isinstance(kind, shape)):
        unit = getattr(kind, "format", "")
        _refuse(path, "type", f"column {column} is {kind}" + (f" from {unit}" if unit else ""))


def _check_free(path: Path, hint: Hint, struct: Struct) -> None:
    """Names and keys that other columns have."""
    own = struct.of_key(str(path[-1]))
    for other in struct.fields:
        if other is own:
            continue
        if other.name.lower() == hint.name.lower():
            _refuse(path, "name", f"there is another column {other.name} {other.type}")
        taken = [alias for alias in hint.aliases if alias in other.keys]
        if taken:
            _refuse(path, "aliases", f"{taken[0]} is read into column {other.name} {other.type}")


def _refuse(path: Path, option: str, why: str) -> NoReturn:
    raise _UnfitError(path, option, why)


def _refused(error: _UnfitError, dataset: Dataset) -> InvalidFieldError:
    text, table = shown(error.path), dataset.table
    hint = dataset.columns.get(text) or dataset.columns.get(text.removesuffix("[]"))
    change = shlex.quote(f"columns.{text}={json.dumps(hint)}")
    return InvalidFieldError(
        f"columns.{text}.{error.option}".rstrip("."), text, error.why,
        f"have the table built anew {'without' if hint is None else 'with'} the hint: "
        f"lake rebuild {table} --change {change}",
    )  # fmt: skip


def _with_aliases(struct: Struct, hints: Node) -> Struct:
    fields = []
    for field in struct.fields:
        listed = hints.of(field.keys).hint.aliases
        new = tuple(a for a in listed if struct.of_key(a) is None)
        fields.append(replace(field, aliases=(*field.aliases, *new)))
    return Struct(tuple(fields))
