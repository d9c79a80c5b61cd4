"""Operations between batches, as an operator would ask the API for them, and what they take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_platform.errors import InvalidFieldError

# Fields of each operation: the needed ones, and those that may be left out.
OPERATIONS: Mapping[str, tuple[Mapping[str, type], Mapping[str, type]]] = {
    "add_column": ({"name": str, "type": str}, {}),
    "drop_column": ({"name": str}, {}),
    "widen_column": ({"name": str, "type": str}, {}),
    "rename_column": ({"name": str, "to": str}, {}),
    "alias": ({"column": str, "key": str}, {}),
    "change": ({"fields": dict}, {}),
    "resolve": ({}, {"resolution": str, "columns": dict, "always": bool}),
    "replay": ({}, {"windows": list}),
    "load": ({}, {}),
    "compact": ({}, {}),
    "pause": ({}, {}),
    "resume": ({}, {}),
}
_NAMES: Mapping[type, str] = {
    str: "a text", dict: "an object", list: "a list of texts", bool: "true or false",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """One operation. `values` are its fields without `op`; `source` is file and place in it."""

    op: str
    values: Mapping[str, Any]
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"op": self.op, **self.values}


def read_acts(path: Path) -> list[Act]:
    """The operations of a file: a JSON list, one object, or one object a line.

    Raises:
        InvalidFieldError: names the file, the place in it, and what there is.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFieldError(
            "act", str(path), f"cannot be read: {error}", "check the file"
        ) from None
    return [parse_act(data, f"{path}:{n}") for n, data in enumerate(_documents(path, text), 1)]


def parse_act(data: Any, source: str = "act") -> Act:
    """Raises: InvalidFieldError."""
    if not isinstance(data, dict) or data.get("op") not in OPERATIONS:
        found = data.get("op") if isinstance(data, dict) else data
        raise InvalidFieldError(
            source, found, "no such operation", f'give {{"op": …}} with {", ".join(OPERATIONS)}'
        )
    values = {name: value for name, value in data.items() if name != "op"}
    needed, optional = OPERATIONS[data["op"]]
    for name, value in values.items():
        kind = needed.get(name) or optional.get(name)
        if kind is None:
            known = ", ".join([*needed, *optional]) or "none"
            raise InvalidFieldError(
                source, name, f"{data['op']} has no such field", f"its fields are: {known}"
            )
        if not isinstance(value, kind) or not _all_texts(value):
            raise InvalidFieldError(source, value, f"{name} is not {_NAMES[kind]}", "mend it")
    for name in needed:
        if name not in values:
            raise InvalidFieldError(source, data["op"], f"needs {name}", f'give "{name}"')
    return Act(data["op"], values, source)


def _all_texts(value: Any) -> bool:
    return not isinstance(value, list) or all(isinstance(v, str) for v in value)


def _documents(path: Path, text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        return _one_a_line(path, text)
    return whole if isinstance(whole, list) else [whole]


def _one_a_line(path: Path, text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise InvalidFieldError(
                    "act", f"{path}:{number}", f"not JSON: {error}",
                    "give a JSON list of operations, or one a line",
                ) from None  # fmt: skip
    return found
