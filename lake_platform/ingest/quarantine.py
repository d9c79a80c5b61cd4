"""Quarantine objects: bad records as they came, with reason and coordinates.

One gzip NDJSON object per batch and window; its name and bytes follow from the batch, so a re-run
overwrites it with itself. `record` is the raw line (see ingest/envelope), byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from isal import igzip

from lake_platform.domain.batches import BatchRange
from lake_platform.domain.layout import quarantine_key
from lake_platform.domain.ports import ObjectStore
from lake_platform.ingest.scan import Rejected


def write_quarantine(
    store: ObjectStore, table: str, batch: BatchRange, version: int, rejected: Sequence[Rejected]
) -> tuple[str, ...]:
    """Puts the batch's rejected records; returns the keys."""
    by_window: dict[str, list[bytes]] = {}
    for record in rejected:
        head = orjson.dumps({"reason": record.reason, "batch": batch.id, "schema_version": version})
        line = head[:-1] + b',"record":' + record.line + b"}"
        by_window.setdefault(record.window, []).append(line)
    keys = []
    for window, lines in sorted(by_window.items()):
        key = quarantine_key(table, window, batch.id)
        store.put(key, igzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0))
        keys.append(key)
    return tuple(keys)
