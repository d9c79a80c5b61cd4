"""Entries and partitions in the words of Glue's API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lake_platform.domain.catalog import Column, Entry, Partition


def table_input(entry: Entry) -> dict[str, Any]:
    return {
        "Name": entry.name,
        "Description": entry.description,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": dict(entry.parameters),
        "PartitionKeys": _columns(entry.keys),
        "StorageDescriptor": _descriptor(entry, entry.columns, entry.location),
    }


def partition_input(entry: Entry, partition: Partition) -> dict[str, Any]:
    descriptor = _descriptor(entry, partition.columns, partition.location)
    return {"Values": list(partition.values), "StorageDescriptor": descriptor}


def entry_of(table: Mapping[str, Any]) -> Entry:
    """Of whatever is there: a view, say, has no files."""
    descriptor = table.get("StorageDescriptor") or {}
    serde = descriptor.get("SerdeInfo") or {}
    return Entry(
        name=table["Name"],
        location=descriptor.get("Location", ""),
        columns=_of_columns(descriptor.get("Columns", ())),
        keys=_of_columns(table.get("PartitionKeys", ())),
        input_format=descriptor.get("InputFormat", ""),
        output_format=descriptor.get("OutputFormat", ""),
        serde=serde.get("SerializationLibrary", ""),
        serde_parameters=dict(serde.get("Parameters") or {}),
        parameters=dict(table.get("Parameters") or {}),
        description=table.get("Description", ""),
    )


def partition_of(found: Mapping[str, Any]) -> Partition:
    descriptor = found.get("StorageDescriptor") or {}
    columns = _of_columns(descriptor.get("Columns", ()))
    return Partition(tuple(found["Values"]), descriptor.get("Location", ""), columns)


def _descriptor(entry: Entry, columns: Iterable[Column], location: str) -> dict[str, Any]:
    return {
        "Columns": _columns(columns),
        "Location": location,
        "InputFormat": entry.input_format,
        "OutputFormat": entry.output_format,
        "Compressed": False,
        "SerdeInfo": {
            "SerializationLibrary": entry.serde,
            "Parameters": dict(entry.serde_parameters),
        },
    }


def _columns(columns: Iterable[Column]) -> list[dict[str, str]]:
    return [
        {"Name": c.name, "Type": c.type, **({"Comment": c.comment} if c.comment else {})}
        for c in columns
    ]


def _of_columns(columns: Iterable[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(Column(c["Name"], c.get("Type", ""), c.get("Comment", "")) for c in columns)
