"""What a table's own files say of it: columns, partition folders, kind. No Spark, any storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote

from lake_platform.adapters.hudi import timeline
from lake_platform.adapters.hudi.stored import columns as hudi_columns
from lake_platform.adapters.parquet.log import BatchLog
from lake_platform.domain.catalog import Stored
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct, Type
from lake_platform.domain.storage import ObjectStore


def stored(store: ObjectStore, dataset: Dataset) -> Stored | None:
    """None while there is no table. Raises: StorageUnavailableError, TableDamagedError."""
    return _hudi(store, dataset) if dataset.format == "hudi" else _parquet(store, dataset)


def _hudi(store: ObjectStore, dataset: Dataset) -> Stored | None:
    found = hudi_columns(store, dataset.table)
    if found is None:
        return None
    last = timeline.state(store, dataset).last
    kept = timeline.properties(store, dataset.table)
    kind: Literal["cow", "mor"] = (
        "mor" if kept.get("hoodie.table.type") == "MERGE_ON_READ" else "cow"
    )
    keys = tuple(n for n in kept.get("hoodie.table.partition.fields", "").split(",") if n)
    version = last.schema_version if last else 0
    return Stored(found, version, kind, keys, _folders(store, dataset, keys))


def _parquet(store: ObjectStore, dataset: Dataset) -> Stored | None:
    log = BatchLog(store)
    last = log.last(dataset.table)
    if last is None:
        return None
    found = _newest_file(store, dataset, log)
    if found is None:
        return None
    key, columns = found
    of_folder = key.removeprefix(table_prefix(dataset.table)).split("/")[:-1]
    keys = tuple(unquote(part.partition("=")[0]) for part in of_folder)
    version = last.batch.schema_version
    return Stored(columns, version, "", keys, _folders(store, dataset, keys))


def _newest_file(store: ObjectStore, dataset: Dataset, log: BatchLog) -> tuple[str, Struct] | None:
    """With its columns. Of the newest batch the smallest: it is read whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    last = log.last(dataset.table)
    sizes = (
        {key: info.size for key in last.files.values() if (info := store.head(key))} if last else {}
    )
    key = (
        min(sizes, key=lambda k: (sizes[k], k))
        if sizes
        else next(iter(log.live_files(dataset.table)), "")
    )
    if not key:
        return None
    schema = pq.read_schema(pa.BufferReader(store.get(key)))
    return key, Struct(tuple(Field(f.name, _of_arrow(f.type)) for f in schema))


def _folders(
    store: ObjectStore, dataset: Dataset, keys: tuple[str, ...]
) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Folders of the table that hold a file; readers skip what is hidden."""
    if not keys:
        return ()
    root = table_prefix(dataset.table)
    paths = {info.key.removeprefix(root).rpartition("/")[0] for info in store.list(root)}
    found = {path: tuple(_values(path)) for path in paths if not path.startswith(".hoodie")}
    whole = {path: values for path, values in found.items() if len(values) == len(keys)}
    return tuple(sorted((values, path) for path, values in whole.items()))


def _values(path: str) -> Iterator[str]:
    return (unquote(part.partition("=")[2]) for part in path.split("/") if "=" in part)


def _of_arrow(kind: Any) -> Type:
    import pyarrow.types as t

    if t.is_struct(kind):
        fields = (kind.field(n) for n in range(kind.num_fields))
        return Struct(tuple(Field(f.name, _of_arrow(f.type)) for f in fields))
    if t.is_list(kind) or t.is_large_list(kind):
        return Array(_of_arrow(kind.value_type))
    if t.is_map(kind):
        return Map(_of_arrow(kind.item_type))
    if t.is_decimal(kind):
        return Decimal(kind.precision, kind.scale)
    for is_kind, name in (
        (t.is_boolean, "boolean"), (t.is_int64, "long"), (t.is_integer, "int"),
        (t.is_float32, "float"), (t.is_floating, "double"), (t.is_date, "date"),
        (t.is_timestamp, "timestamp"), (t.is_binary, "binary"), (t.is_large_binary, "binary"),
    ):  # fmt: skip
        if is_kind(kind):
            return Scalar(name)
    return Scalar("string")
