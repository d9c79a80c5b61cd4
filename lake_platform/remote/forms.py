"""From the API's JSON back to what the metastore has. What a newer API says besides is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.schema_json import struct_from_json
from lake_platform.metastore.model import parse_dataset

_Flat = TypeVar("_Flat")
_DATASET = {f.name for f in dataclasses.fields(Dataset)}


def flat(kind: type[_Flat], found: Mapping[str, Any]) -> _Flat:
    """A dataclass of plain values."""
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    plain = {n: tuple(v) if isinstance(v, list) else v for n, v in found.items() if n in known}
    return kind(**plain)


def record(found: Mapping[str, Any]) -> DatasetRecord:
    """Raises: InvalidFieldError."""
    dataset = parse_dataset({n: v for n, v in found.items() if n in _DATASET})
    return DatasetRecord(dataset, found["version"], Status(found["status"]), found["registered_at"])


def mapped(found: Mapping[str, Any]) -> Mapped:
    return flat(Mapped, found)


def version(found: Mapping[str, Any]) -> SchemaVersion:
    table = found["table"]
    return SchemaVersion(
        found["version"],
        struct_from_json(found["source"]),
        None if table is None else struct_from_json(table),
        found["status"],
        tuple(found["changes"]),
        found["created_at"],
        found["actor"],
    )
