"""Files of a Parquet table whose columns were narrower, written anew.

Spark with `mergeSchema` reads no folder in which a column is int in one file and bigint in
another, and there is no narrower type that a later batch could be written with. So the files with
the older type are rewritten, by a record of their own in the batch log, before the batch that needs
the wider one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lake_platform.adapters.parquet.log import BatchLog, BatchRecord
from lake_platform.domain.batches import BatchJob
from lake_platform.domain.layout import seq_name, staging_prefix
from lake_platform.domain.schema import (
    Struct,
)
from lake_platform.domain.schema_json import struct_from_json, to_json
from lake_platform.domain.storage import ObjectStore
from lake_platform.records.columns import arrow_type, parquet_bytes

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class _Rewritten:
    staged: str
    final: str
    bytes: int


def widened(
    store: ObjectStore, log: BatchLog, job: BatchJob, last: BatchRecord | None
) -> BatchRecord | None:
    """The record that puts wider files in the place of narrower ones; None when nothing has to be.
    Not committed yet."""
    if last is None or not _retyped(last, job):
        return None
    number = last.number + 1
    moved = {
        key: done
        for at, key in enumerate(log.live_files(job.dataset.table))
        if (done := _rewritten(store, job, number, at, key))
    }
    if not moved:
        return None
    return BatchRecord(
        number=number,
        nonce=f"{job.claim.nonce}-widened",
        batch=replace(last.batch, instant=seq_name(number)),
        files={done.staged: done.final for done in moved.values()},
        replaces=tuple(moved),
        size_bytes=sum(done.bytes for done in moved.values()),
        columns=to_json(job.table_schema),
        moved={old: done.final for old, done in moved.items()},
    )


def _retyped(last: BatchRecord, job: BatchJob) -> bool:
    """Whether a column that is there changes its type. Records of earlier releases do not say which
    columns there are: then the files are looked at once the schema changes."""
    if last.columns is None:
        return last.batch.schema_version != job.schema_version
    held, wanted = struct_from_json(last.columns), job.table_schema
    pairs = ((f.type, found.type) for f in held.fields if (found := wanted.get(f.name)))
    return any(arrow_type(a) != arrow_type(b) for a, b in pairs)


def _rewritten(
    store: ObjectStore, job: BatchJob, number: int, at: int, key: str
) -> _Rewritten | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(store.get(key))) as file:
        schema = _target(file.schema_arrow, job.table_schema)
        if schema.equals(file.schema_arrow):
            return None
        table = _cast(file.read(), schema)
    data = parquet_bytes(table)
    prefix = staging_prefix(job.dataset.table, job.batch.id, job.claim.nonce)
    staged = f"{prefix}widened/{at:06d}.parquet"
    store.put(staged, data)
    path = PurePosixPath(key)
    name = f"{path.name.removesuffix('.zstd.parquet')}-w{number:08d}.zstd.parquet"
    return _Rewritten(staged, str(path.with_name(name)), len(data))


def _target(held: pa.Schema, wanted: Struct) -> pa.Schema:
    """The columns a file has, with the types they get; a nested field that it lacks is NULL."""
    import pyarrow as pa

    fields = []
    for field in held:
        known = wanted.get(field.name)
        fields.append(pa.field(field.name, arrow_type(known.type)) if known else field)
    return pa.schema(fields)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Widens columns at any depth; fields that are new in a struct are NULL."""
    import pyarrow as pa

    parts = []
    for field, column in zip(schema, table.columns, strict=True):
        whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        parts.append(_wider(whole, field.type))
    return pa.Table.from_arrays(parts, schema=schema)


def _wider(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        inner = [
            _wider(array.field(array.type.get_field_index(f.name)), f.type)
            if array.type.get_field_index(f.name) >= 0
            else pa.nulls(len(array), f.type)
            for f in kind
        ]
        return pa.StructArray.from_arrays(inner, fields=list(kind), mask=array.is_null())
    if pa.types.is_list(kind):
        values = _wider(array.values, kind.value_type)
        return pa.ListArray.from_arrays(_offsets(array), values, type=kind)
    if pa.types.is_map(kind):
        items = _wider(array.items, kind.item_type)
        return pa.MapArray.from_arrays(_offsets(array), array.keys, items)
    return array.cast(kind)


def _offsets(array: Any) -> Any:
    """With a null where the list or map is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pa.concat_arrays([array.is_null(), pa.array([False])])
    return pc.if_else(missing, None, array.offsets)
