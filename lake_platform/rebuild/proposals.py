"""Rename proposals of a table, looked up in its raw when somebody asks."""

from __future__ import annotations

from itertools import pairwise

from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.storage import ObjectStore
from lake_platform.evolution.proposals import Proposal, proposed
from lake_platform.metastore.repository import Repository

_ALL = 1_000_000


def proposals(
    table: str, metastore: Repository, store: ObjectStore, since_ms: int = 0
) -> list[Proposal]:
    """For the root columns that came with records, each looked up where it came; best first. Of
    versions made since `since_ms`.

    Raises: DatasetNotFoundError, StorageUnavailableError, CorruptRawError.
    """
    dataset, versions = metastore.get(table).dataset, metastore.schema_versions(table)
    batches = metastore.batches(table, _ALL)
    found: list[Proposal] = []
    for before, version in pairwise(versions):
        new = _came(before, version) if version.created_at >= since_ms else set()
        number = version.version
        seqs = [int(b.batch.partition("-")[0]) for b in batches if b.schema_version >= number]
        if new and seqs:
            source, held = versions[-1].source, before.source
            found += proposed(dataset, store, source, held, new, number, min(seqs))
    return sorted(found, key=lambda p: -p.score)


def _came(before: SchemaVersion, version: SchemaVersion) -> set[str]:
    """What records brought; not what an operator added."""
    said = {c.split()[2] for c in version.changes if c.startswith("new column ")}
    return {f.name for f in version.source.fields if f.name in said and not before.source.same(f)}
