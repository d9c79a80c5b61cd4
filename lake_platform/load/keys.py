"""The primary key that the Kafka key of a tombstone names."""

from __future__ import annotations

from typing import Any

import orjson

from lake_platform.domain.schema import Struct
from lake_platform.records.observe import observe


def key_of_tombstone(
    key: str | None, primary_key: tuple[str, ...], source: Struct
) -> dict[str, Any] | None:
    """The primary key a tombstone's Kafka key names; None when it does not.

    A JSON object with all key columns, or for one key column its plain text or JSON value.
    """
    if key is None:
        return None
    try:
        parsed = orjson.loads(key)
    except orjson.JSONDecodeError:
        parsed = key
    if not isinstance(parsed, dict):
        if len(primary_key) != 1:
            return None
        column = source.get(primary_key[0])
        wanted = column.type if column else None
        fits = wanted is not None and observe(parsed, wanted) == wanted
        parsed = {primary_key[0]: parsed if fits else key}
    found = {name: parsed.get(name) for name in primary_key}
    for name, value in found.items():
        column = source.get(name)
        if value is None or (column is not None and observe(value, column.type) != column.type):
            return None
    return found
