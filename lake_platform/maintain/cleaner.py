"""The daily cleaner: keeps the commit log short and storage free of orphans.

Old commits go into one snapshot before they are removed one by one; a crash at any point leaves a
log that reads the same. Nothing a commit refers to is ever removed, unless raw retention is set
and the commit is in all tables that are made of it; the log says so then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import (
    raw_log_prefix,
    raw_log_snapshot_prefix,
    raw_prefix,
    staged_by,
    staging_root,
)
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.storage import ObjectInfo
from lake_platform.errors import CorruptRawError, InvalidFieldError
from lake_platform.load import claims
from lake_platform.raw import log as raw_log

_DAY_MS = 86_400_000
_KEEP_CLAIMS = 20


@dataclass(frozen=True, slots=True)
class CleanResult:
    """What the daily cleaner did to one dataset's commit log."""

    table: str
    snapshot_seq: int
    commits_removed: int
    orphans_removed: int
    raw_removed: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)


def compact_log(
    table: str, ports: Ports, keep_commits: int = 1_000, raw_retention_days: int = 0
) -> CleanResult:
    """Snapshots the log, proves the snapshot, trims the log, removes orphans older than a day.

    Raises:
        CorruptRawError: the snapshot does not read back as the log; nothing was removed.
    """
    if keep_commits < 1:
        raise InvalidFieldError(
            "log_keep_commits", keep_commits, "below 1", "the newest commit tells where to go on"
        )
    dataset = ports.metastore.get(table).dataset
    if dataset.raw_from:
        return _tidied(dataset, ports)
    # Before the log is read: what a commit names afterwards is none of these orphans.
    held, now = list(ports.store.list(raw_prefix(dataset.topic))), ports.clock()
    commits = raw_log.commits_after(ports.store, table, 0)
    tables = [table, *(r.dataset.table for r in ports.metastore.readers(table))]
    applied = _applied_by_all(tables, commits, ports)
    # Never trim what phase 2 has still to read from the log itself, nor less than is trimmed.
    trimmed = raw_log.snapshot_seq(ports.store, table)
    end = max(len(commits) - keep_commits, trimmed)
    old = [c for c in commits[: max(0, end)] if c.seq <= max(applied, trimmed)]
    if any(ports.metastore.rebuild(t) is not None for t in tables):
        raw_retention_days = 0  # it reads raw from the beginning
    old = _expired(_marked(table, ports, old), now, raw_retention_days)
    removed = _trim(table, ports, old) if old else 0
    raw_removed = _remove(ports, held, _let_go(table, ports, old))
    orphans = _orphans(table, held, commits, now - _DAY_MS)
    orphans |= _abandoned_staging(dataset, ports)
    ports.store.delete(orphans)
    claims.remove_old(table, ports, _KEEP_CLAIMS)
    return CleanResult(
        table=table,
        snapshot_seq=old[-1].seq if old else 0,
        commits_removed=removed,
        orphans_removed=len(orphans),
        raw_removed=raw_removed,
        kept={"commits": len(commits) - len(old), "snapshot": len(old)},
    )


def _tidied(dataset: Dataset, ports: Ports) -> CleanResult:
    """Of one whose raw and log are another one's."""
    orphans = _abandoned_staging(dataset, ports)
    ports.store.delete(orphans)
    claims.remove_old(dataset.table, ports, _KEEP_CLAIMS)
    return CleanResult(dataset.table, 0, 0, len(orphans))


def _applied_by_all(tables: Iterable[str], commits: Sequence[RawCommit], ports: Ports) -> int:
    """Where the slowest is; one that is at its end needs no more of what comes."""
    head = commits[-1].seq if commits else 0
    progress = [ports.metastore.progress(t) for t in tables]
    return min(head if 0 < p.ends_at <= p.applied_seq else p.applied_seq for p in progress)


def _marked(table: str, ports: Ports, old: Iterable[RawCommit]) -> list[RawCommit]:
    """`old` with the marks another cleaner may have set since the log was read."""
    marks = {c.seq: c.expired_at for c in raw_log.read_snapshot(ports.store, table)}
    return [c if c.expired_at else replace(c, expired_at=marks.get(c.seq)) for c in old]


def _expired(old: Iterable[RawCommit], now: int, retention_days: int) -> list[RawCommit]:
    """`old` with the mark on those whose objects raw retention lets go."""
    before = now - retention_days * _DAY_MS
    return [
        replace(c, expired_at=now)
        if retention_days and not c.expired_at and c.committed_at < before
        else c
        for c in old
    ]


def _let_go(table: str, ports: Ports, old: Iterable[RawCommit]) -> set[str]:
    """Objects of which the newest snapshot says that they are gone, so that nobody looks for them
    in vain: it may be that of a cleaner which passed us, and read the log before our marks."""
    expired = [c for c in old if c.expired_at]
    told = raw_log.read_snapshot(ports.store, table) if expired else ()
    marked = {c.seq for c in told if c.expired_at}
    return {o.key for c in expired if c.seq in marked for o in c.objects}


def _remove(ports: Ports, held: Iterable[ObjectInfo], keys: Collection[str]) -> int:
    doomed = [i.key for i in held if i.key in keys]
    ports.store.delete(doomed)
    return len(doomed)


def _trim(table: str, ports: Ports, old: Sequence[RawCommit]) -> int:
    key = raw_log.write_snapshot(ports.store, table, old)
    if not _reads_back(table, ports, key, old):
        raise CorruptRawError(key, "it does not read back as the commits it was made of")
    last = raw_log.commit_key(table, old[-1].seq)
    doomed = [i.key for i in ports.store.list(raw_log_prefix(table)) if i.key <= last]
    ports.store.delete(sorted(doomed))  # oldest first: the log never gets a hole
    ports.store.delete(
        [i.key for i in ports.store.list(raw_log_snapshot_prefix(table)) if i.key < key]
    )
    return len(doomed)


def _reads_back(table: str, ports: Ports, key: str, old: Sequence[RawCommit]) -> bool:
    try:
        found = raw_log.read_snapshot_at(ports.store, key)
    except KeyError:  # another cleaner went past it
        found = raw_log.read_snapshot(ports.store, table)[: len(old)]
    # The marks of raw retention may be another cleaner's.
    return [replace(c, expired_at=None) for c in found] == [
        replace(c, expired_at=None) for c in old
    ]


def _orphans(
    table: str, held: Iterable[ObjectInfo], commits: Sequence[RawCommit], before: int
) -> set[str]:
    """Objects of this table that no commit refers to: left by a dump that died or lost a race.

    Only those the log has passed: their writer was to commit a seq that is taken by now, so it
    cannot, however long it sleeps.
    """
    known = {o.key for c in commits for o in c.objects}
    passed = commits[-1].next_offsets if commits else {}
    return {
        i.key for i in held
        if i.key not in known and i.modified_at < before and _is_passed(i, table, passed)
    }  # fmt: skip


def _is_passed(info: ObjectInfo, table: str, passed: Mapping[int, int]) -> bool:
    """`<table>-p<partition>-<first>-<last>-<nonce>.json.gz`; another table may share the topic."""
    parts = info.key.rsplit("/", 1)[1].rsplit("-", 4)
    if len(parts) != 5 or parts[0] != table:
        return False
    partition, first = parts[1].removeprefix("p"), parts[2]
    if not (partition.isdecimal() and first.isdecimal()):
        return False  # not ours
    return int(first) < passed.get(int(partition), 0)


def _abandoned_staging(dataset: Dataset, ports: Ports) -> set[str]:
    """Staged files of writers that can no longer commit: a later claim than theirs did."""
    table, before = dataset.table, ports.clock() - _DAY_MS
    staged = [i for i in ports.store.list(staging_root(table)) if i.modified_at < before]
    if not staged:
        return set()
    # In this order: `state` moves what a commit names, and a claim is older than its staging.
    last = ports.engine(dataset.format).state(dataset).last
    open_claims = claims.uncommitted(ports.store, table, last.epoch if last else 0)
    needed = {c.nonce for c in open_claims}
    return {i.key for i in staged if staged_by(i.key) not in needed}
