"""The columns of a Hudi table as its newest commit says them, and those that Hudi adds."""

from __future__ import annotations

import json
from typing import Any

from lake_platform.adapters.hudi.timeline import completed, extra_metadata
from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct, Type
from lake_platform.domain.storage import ObjectStore

META = (
    "_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path",
    "_hoodie_file_name",
)  # fmt: skip
_LOGICAL = {
    "date": "date", "timestamp-micros": "timestamp", "timestamp-millis": "timestamp",
}  # fmt: skip
_PLAIN = {"bytes": "binary", "fixed": "binary", "enum": "string"}


def columns(store: ObjectStore, table: str) -> Struct | None:
    """None while nothing is committed. Raises: StorageUnavailableError."""
    for instant in reversed(completed(store, table)):
        try:
            schema = extra_metadata(store, instant).get("schema")
        except KeyError:
            continue  # archived between the LIST and now
        if schema:
            meta = tuple(Field(name, Scalar("string")) for name in META)
            own = _of_avro(json.loads(schema))
            fields = own.fields if isinstance(own, Struct) else ()
            return Struct((*meta, *(f for f in fields if f.name not in META)))
    return None


def _of_avro(kind: Any) -> Type:
    if isinstance(kind, list):  # nullable
        return _of_avro(next(k for k in kind if k != "null"))
    if isinstance(kind, str):
        return Scalar(_PLAIN.get(kind, kind))
    name = kind["type"]
    if name == "record":
        return Struct(tuple(Field(f["name"], _of_avro(f["type"])) for f in kind["fields"]))
    if name == "array":
        return Array(_of_avro(kind["items"]))
    if name == "map":
        return Map(_of_avro(kind["values"]))
    logical = kind.get("logicalType", "")
    if logical == "decimal":
        return Decimal(kind["precision"], kind.get("scale", 0))
    if logical in _LOGICAL:
        return Scalar(_LOGICAL[logical])
    return _of_avro(name)
