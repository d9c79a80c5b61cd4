"""Commits of a Hudi timeline as Hudi 1.2 writes them, for tests without a JVM."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro

from lake_platform.domain.batches import AppliedBatch
from lake_platform.domain.storage import ObjectStore

TIMELINE = "lake/t/.hoodie/timeline/"
_COUNTS = ("numWrites", "numInserts", "numUpdateWrites", "numDeletes", "totalWriteBytes")
_STAT = {
    "type": "record", "name": "HoodieWriteStat",
    "fields": [
        {"name": "path", "type": ["null", "string"], "default": None},
        *({"name": n, "type": ["null", "long"], "default": None} for n in _COUNTS),
    ],
}  # fmt: skip
_SCHEMA = fastavro.parse_schema({
    "type": "record", "name": "HoodieCommitMetadata", "fields": [
        {"name": "partitionToWriteStats",
         "type": ["null", {"type": "map", "values": {"type": "array", "items": _STAT}}],
         "default": None},
        {"name": "extraMetadata", "type": ["null", {"type": "map", "values": "string"}],
         "default": None},
        {"name": "operationType", "type": ["null", "string"], "default": None},
    ],
})  # fmt: skip


def time(number: int) -> str:
    return f"2026110100000{number:04d}"


def commit(
    store: ObjectStore,
    number: int,
    batch: AppliedBatch | None,
    stats: Mapping[str, Sequence[Mapping[str, int | str]]] | None = None,
    operation: str | None = "BULK_INSERT",
    action: str = "commit",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Puts commit `number` (its start and its end) into the timeline of table `t`; returns the
    object's key. `batch` None: a commit of Hudi itself, such as a compaction."""
    ours = {"lake.batch": json.dumps(batch.to_dict()), "lake.nonce": f"n{number}"} if batch else {}
    record: dict[str, Any] = {
        "partitionToWriteStats": stats,
        "extraMetadata": {**ours, **extra} if extra is not None else ours or None,
        "operationType": operation,
    }
    out = io.BytesIO()
    fastavro.writer(out, _SCHEMA, [record])
    key = f"{TIMELINE}{time(number)}_{time(number)}.{action}"
    store.put(key, out.getvalue())
    return key
