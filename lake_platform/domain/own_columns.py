"""Columns of a table that the platform adds: where in Kafka a row comes from."""

from __future__ import annotations

PLACE = ("_kafka_partition", "_kafka_offset")
"""Identifies a record."""
COORDINATES = (*PLACE, "_kafka_timestamp", "_kafka_key")
ORDER = "_kafka_order"
"""Text that sorts as the records of a key came; in upsert tables."""
ORDINAL = "_lake_ordinal"
"""Which element of the exploded array a row is, from 0."""
