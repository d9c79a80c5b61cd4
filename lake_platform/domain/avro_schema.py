"""Avro schemas as producers register them."""

from __future__ import annotations

import json
from typing import Any

_TIME = "io.debezium.time."
# What connectors call a type of theirs, where Avro has one of its own for the same numbers.
_LOGICAL = {
    ("int", f"{_TIME}Date"): "date",
    ("int", f"{_TIME}Time"): "time-millis",
    ("long", f"{_TIME}MicroTime"): "time-micros",
    ("long", f"{_TIME}Timestamp"): "timestamp-millis",
    ("long", f"{_TIME}MicroTimestamp"): "timestamp-micros",
}
ZONED = f"{_TIME}ZonedTimestamp"
"""The name of texts that are timestamps."""


def avro_schema(text: str) -> Any:
    """Parsed. Raises: ValueError."""
    return _named(json.loads(text))


def _named(part: Any) -> Any:
    if isinstance(part, list):
        return [_named(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: _named(inner) for key, inner in part.items()}
    name = part.get("connect.name")
    logical = _LOGICAL.get((str(part.get("type")), name)) if isinstance(name, str) else None
    return {**made, "logicalType": logical} if logical and "logicalType" not in part else made
