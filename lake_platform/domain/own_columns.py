"""Columns of a table that the platform adds: where in Kafka a row comes from."""

from __future__ import annotations

from lake_platform.domain.dataset import Dataset

PLACE = ("_kafka_partition", "_kafka_offset")
"""Identifies a record."""
COORDINATES = (*PLACE, "_kafka_timestamp", "_kafka_key")
ORDER = "_kafka_order"
"""Text that sorts as the records of a key came; in upsert tables."""
ORDINAL = "_lake_ordinal"
"""Which element of the exploded array a row is, from 0."""


def append_key(dataset: Dataset) -> tuple[str, ...]:
    """What a row of an append table is known by: its record, and its place in it."""
    return (*PLACE, ORDINAL) if dataset.explode else PLACE
