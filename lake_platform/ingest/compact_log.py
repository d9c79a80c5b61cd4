"""The daily cleaner: keeps the commit log short and storage free of orphans.

Old commits go into one snapshot before they are removed one by one; a crash at any point leaves a
log that reads the same. Nothing a commit refers to is ever removed, unless raw retention is set
and the commit is applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lake_platform.domain.layout import (
    claim_prefix,
    raw_log_prefix,
    raw_log_snapshot_prefix,
    raw_prefix,
)
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import ObjectInfo
from lake_platform.errors import CorruptRawError
from lake_platform.ingest import raw_log
from lake_platform.ingest.results import CleanResult, Ports

_DAY_MS = 86_400_000
_KEEP_CLAIMS = 20


def compact_log(
    table: str, ports: Ports, keep_commits: int = 1_000, raw_retention_days: int = 0
) -> CleanResult:
    """Snapshots the log, proves the snapshot, trims the log, removes orphans older than a day.

    Raises:
        CorruptRawError: the snapshot does not read back as the log; nothing was removed.
    """
    dataset = ports.metastore.get(table).dataset
    commits = raw_log.commits_after(ports.store, table, 0)
    applied = ports.metastore.progress(table).applied_seq
    # Never trim what phase 2 has still to read from the log itself.
    old = [c for c in commits[: max(0, len(commits) - keep_commits)] if c.seq <= applied]
    removed = _trim(table, ports, old) if old else 0
    orphans = _remove_orphans(table, dataset.topic, ports, commits)
    raw_removed = _remove_expired(ports, old, raw_retention_days)
    _remove_old_claims(table, ports)
    return CleanResult(
        table=table,
        snapshot_seq=old[-1].seq if old else 0,
        commits_removed=removed,
        orphans_removed=orphans,
        raw_removed=raw_removed,
        kept={"commits": len(commits) - len(old), "snapshot": len(old)},
    )


def _trim(table: str, ports: Ports, old: Sequence[RawCommit]) -> int:
    key = raw_log.write_snapshot(ports.store, table, old)
    if raw_log.read_snapshot(ports.store, table) != list(old):
        raise CorruptRawError(key, "it does not read back as the commits it was made of")
    last = raw_log.commit_key(table, old[-1].seq)
    doomed = [i.key for i in ports.store.list(raw_log_prefix(table)) if i.key <= last]
    ports.store.delete(sorted(doomed))  # oldest first: the log never gets a hole
    snapshots = [i.key for i in ports.store.list(raw_log_snapshot_prefix(table)) if i.key != key]
    ports.store.delete(k for k in snapshots if k < key)
    return len(doomed)


def _remove_orphans(table: str, topic: str, ports: Ports, commits: Iterable[RawCommit]) -> int:
    """Objects of this table that no commit refers to: left by a dump that died or lost a race."""
    known = {o.key for c in commits for o in c.objects}
    before = ports.clock() - _DAY_MS
    doomed = [
        info.key
        for info in ports.store.list(raw_prefix(topic))
        if info.key not in known
        and info.modified_at < before
        and _belongs(info, table)
    ]  # fmt: skip
    ports.store.delete(doomed)
    return len(doomed)


def _belongs(info: ObjectInfo, table: str) -> bool:
    """`<table>-p<partition>-<first>-<last>-<nonce>.json.gz`; another table may share the topic."""
    name = info.key.rsplit("/", 1)[1].removesuffix(".json.gz")
    parts = name.rsplit("-", 4)
    return len(parts) == 5 and parts[0] == table


def _remove_expired(ports: Ports, old: Iterable[RawCommit], retention_days: int) -> int:
    if not retention_days:
        return 0
    before = ports.clock() - retention_days * _DAY_MS
    doomed = [
        o.key
        for c in old
        for o in c.objects
        if c.committed_at < before and ports.store.head(o.key) is not None
    ]
    ports.store.delete(doomed)
    return len(doomed)


def _remove_old_claims(table: str, ports: Ports) -> None:
    keys = sorted(i.key for i in ports.store.list(claim_prefix(table)))
    claims = [k for k in keys if k.endswith(".json")]
    if len(claims) > _KEEP_CLAIMS:
        first_kept = claims[-_KEEP_CLAIMS]
        ports.store.delete(k for k in keys if k < first_kept)
