"""The entries that a table should have in the catalog, made of what its files have now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lake_platform.catalog.types import hive_type, known, spark_parameters, unreadable
from lake_platform.domain.catalog import OWNER, Column, Entry, Partition, Stored
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.schema import Field, Struct

_HUDI = "org.apache.hudi.hadoop.HoodieParquetInputFormat"
_HUDI_MERGED = "org.apache.hudi.hadoop.realtime.HoodieParquetRealtimeInputFormat"
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
# Merge-on-read tables have the entries that Hudi's own sync gives them: one that merges the log
# files, under the plain name and `_rt`, and one that leaves them out.
_MERGED, _OPTIMIZED = ("", "_rt"), "_ro"
_COMMENT_CHARS, _DESCRIPTION_CHARS, _TYPE_CHARS = 255, 2048, 131_072  # Glue's limits


@dataclass(frozen=True, slots=True)
class Wanted:
    """`partitions` are of every entry; `notes`: what Hive's engines will not see."""

    entries: tuple[Entry, ...]
    partitions: tuple[Partition, ...]
    notes: tuple[str, ...]


def entry_name(table: str) -> str:
    """As Hive, Glue and Athena take names."""
    return table.lower().replace(".", "_").replace("-", "_")


def entry_names(dataset: Dataset, merge_on_read: bool) -> list[str]:
    name = entry_name(dataset.table)
    return [name, f"{name}_ro", f"{name}_rt"] if merge_on_read else [name]


def owner(dataset: Dataset, root: str) -> str:
    """`root` of the storage: another installation may have a table of the same name."""
    return f"{dataset.table}@{root.rstrip('/')}"


def wanted(
    dataset: Dataset, stored: Stored, root: str, comments: Mapping[str, str] | None = None
) -> Wanted:
    """`root`: URL of the storage as readers of the catalog have it (`s3://…`); `comments` by
    column."""
    location = f"{root.rstrip('/')}/{table_prefix(dataset.table).rstrip('/')}"
    told = {name.lower(): _line(text) for name, text in (comments or {}).items()}
    struct, notes = _readable(known(stored.columns))
    keys = tuple(_key(struct, name) for name in stored.keys)
    held = {k.name for k in keys}
    columns = tuple(
        Column(f.name.lower(), hive_type(f.type), told.get(f.name.lower(), ""))
        for f in struct.fields
        if f.name.lower() not in held
    )
    whole = known(stored.columns)
    spark = whole if not stored.keys else _with_keys(whole, stored.keys)
    provider = "hudi" if stored.hudi_type else "parquet"
    entry = Entry(
        name=entry_name(dataset.table),
        location=location,
        columns=columns,
        keys=keys,
        input_format=_HUDI if stored.hudi_type else _PARQUET,
        output_format=_OUTPUT,
        serde=_SERDE,
        serde_parameters={"serialization.format": "1", "path": location},
        parameters={
            OWNER: owner(dataset, root),
            "EXTERNAL": "TRUE",
            **spark_parameters(spark, stored.keys, told, provider),
            **_of_format(stored),
        },
        description=_line(dataset.description, _DESCRIPTION_CHARS)
        or f"{dataset.format.capitalize()} table of topic {dataset.topic}",
    )
    partitions = tuple(
        Partition(values, f"{location}/{folder}", columns) for values, folder in stored.folders
    )
    return Wanted(_variants(entry, stored), partitions, tuple(notes))


def _variants(entry: Entry, stored: Stored) -> tuple[Entry, ...]:
    if stored.hudi_type == "":
        return (entry,)
    if stored.hudi_type == "cow":
        return (_read(entry, entry.name, _HUDI, optimized=False),)
    merged = [_read(entry, entry.name + s, _HUDI_MERGED, optimized=False) for s in _MERGED]
    return (*merged, _read(entry, entry.name + _OPTIMIZED, _HUDI, optimized=True))


def _read(entry: Entry, name: str, input_format: str, *, optimized: bool) -> Entry:
    how = {"hoodie.query.as.ro.table": str(optimized).lower()}
    return replace(
        entry,
        name=name,
        input_format=input_format,
        serde_parameters={**entry.serde_parameters, **how},
    )


def _of_format(stored: Stored) -> dict[str, str]:
    if stored.hudi_type:
        return {"hudi.metadata-listing-enabled": "FALSE"}  # our tables have no metadata table
    found = {"classification": "parquet"}
    return found | ({"spark.sql.partitionProvider": "catalog"} if stored.keys else {})


def _readable(struct: Struct) -> tuple[Struct, list[str]]:
    """What Hive can have of `struct`, and what it cannot, as people read it."""
    notes: list[str] = []
    kept: dict[str, Field] = {}
    for field in struct.fields:
        name, text = field.name.lower(), hive_type(field.type)
        if name in kept:
            notes.append(
                f"column {field.name} is not in the catalog: to Hive it is column "
                f"{kept[name].name}, case does not count"
            )
        elif not text or len(text) > _TYPE_CHARS:
            why = "has no field that Hive can read" if not text else "has a type too long for Glue"
            notes.append(f"column {field.name} is not in the catalog: it {why}")
        else:
            kept[name] = field
            notes += [
                f"field {path} is not in the catalog: Hive cannot read its name"
                for path in unreadable(field.type, field.name)
            ]
    return Struct(tuple(kept.values())), notes


def _key(struct: Struct, name: str) -> Column:
    """Folders that are named otherwise than their column hold text."""
    field = struct.get(name)
    return Column(name.lower(), hive_type(field.type) if field else "string")


def _with_keys(struct: Struct, keys: tuple[str, ...]) -> Struct:
    from lake_platform.domain.schema import Scalar

    absent = [Field(name, Scalar("string")) for name in keys if struct.get(name) is None]
    return Struct((*struct.fields, *absent))


def _line(text: str, most: int = _COMMENT_CHARS) -> str:
    """Glue takes one line."""
    return " ".join(text.split())[:most]
