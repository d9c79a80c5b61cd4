"""The dataset of a trial: from flags, from a JSON definition, or from datasets as code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.code_files import datasets_in_file
from lake_platform.metastore.model import dataset_to_dict, parse_dataset

# What the API and `lake datasets show` tell of a dataset beside its definition.
_TOLD = ("version", "status", "registered_at", "schema", "warnings")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
_SUFFIXES = (".gz", ".ndjson", ".jsonl", ".json", ".txt")


def dataset_of(
    given: Mapping[str, Any],
    definition: Path | None,
    records: Path,
    directory: Path | None = None,
) -> Dataset:
    """`given` (fields as JSON values) wins over the definition, which may import other modules of
    `directory`. Without a name the table is called as the file of records, and the topic as the
    table.

    Raises:
        InvalidFieldError, SetupError: the definition cannot be read, or the dataset cannot be.
    """
    held = _defined(definition, given.get("table"), directory) if definition else {}
    fields = {**held, **given}
    fields.setdefault("table", _named_after(records))
    fields.setdefault("topic", fields["table"])
    return parse_dataset(fields)


def _defined(path: Path, table: str | None, directory: Path | None) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidFieldError(
            "definition", str(path), "there is no such file", "name a .json or .py file"
        )
    return _from_code(path, table, directory) if path.suffix == ".py" else _from_json(path)


def _from_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidFieldError(
            "definition", str(path), f"not JSON: {error}", "give one JSON object, or a .py file"
        ) from None
    if not isinstance(found, dict):
        raise InvalidFieldError(
            "definition", str(path), "not a JSON object", "give the definition of one dataset"
        )
    return {name: value for name, value in found.items() if name not in _TOLD}


def _from_code(path: Path, table: str | None, directory: Path | None) -> dict[str, Any]:
    found = {dataset.table: dataset for dataset in datasets_in_file(path, table, directory)}
    listed = ", ".join(found) or "none"
    if not found:
        raise InvalidFieldError(
            "definition", str(path), "defines no dataset", "give it a Dataset(...)"
        )
    if table is None and len(found) > 1:
        raise InvalidFieldError(
            "table", None, f"{path} defines {len(found)} datasets", f"choose --table of {listed}"
        )
    name = table or next(iter(found))
    if name not in found:
        raise InvalidFieldError(
            "table", name, f"{path} does not define it", f"choose --table of {listed}"
        )
    return dataset_to_dict(found[name])


def _named_after(path: Path) -> str:
    name = path.name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return _UNSAFE.sub("_", name).strip("_")[:100] or "records"
