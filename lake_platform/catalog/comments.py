"""What the catalog says of a column to people who find it there."""

from __future__ import annotations

from collections.abc import Sequence

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.described import Line, described
from lake_platform.domain.mapping import shown
from lake_platform.domain.progress import SchemaVersion

_OWN = {
    "_kafka_partition": "Kafka partition of the record",
    "_kafka_offset": "Kafka offset of the record",
    "_kafka_timestamp": "Kafka timestamp of the record",
    "_kafka_key": "Kafka key of the record",
    "_kafka_order": "text that sorts as the records of a key came",
    "_lake_key": "primary key as one text",
    "_lake_ordinal": "which element of the exploded array the row is, from 0",
    "_hoodie_is_deleted": "rows with true are deleted ones",
    "_rescued": "values of the record that fit no column, as JSON by their path",
    "_raw": "the record as it came, as JSON",
}


def comments(
    dataset: Dataset, active: SchemaVersion | None, lines: Sequence[Line]
) -> dict[str, str]:
    """By root column. Where steps make the columns, nothing is known of where they come from."""
    found: dict[str, list[str]] = {name: [text] for name, text in _OWN.items()}
    for name in dataset.primary_key:
        found.setdefault(name, []).append("primary key")
    if active is not None and not dataset.transformed:
        for _, mapped in described(active.source, lines):
            path = shown(mapped.path)
            if mapped.column and len(mapped.path) == 1 and mapped.column not in _OWN:
                told = found.setdefault(mapped.column, [])
                told += [mapped.doc] if mapped.doc else []
                told += [f"from {path}"] if path != mapped.column else []
                told += [mapped.reason] if mapped.reason else []
    return {name: "; ".join(told) for name, told in found.items() if told}
