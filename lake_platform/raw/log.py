"""The phase-1 commit log: the only way a reader finds raw objects.

`checkpoints/<table>/phase1/<seq>.json`, seq from 1 without holes. The cleaner moves old commits
into one snapshot and keeps the newest ones as they are. What the snapshot covers is read from it
alone: where the cleaner removed a commit, a writer that slept through it can put a stale one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from isal import igzip

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import raw_log_prefix, raw_log_snapshot_prefix, seq_name
from lake_platform.domain.offsets import OffsetRange, RawCommit
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import CommitRaceError, CorruptRawError, StorageUnavailableError


def commit_key(table: str, seq: int) -> str:
    return f"{raw_log_prefix(table)}{seq_name(seq)}.json"


def seq_of(key: str) -> int:
    return int(PurePosixPath(key).name.split(".")[0])


def append(store: ObjectStore, table: str, commit: RawCommit) -> None:
    """Commits: exactly one writer gets a seq.

    Raises:
        CommitRaceError: another writer has this seq; read the log again and start over.
    """
    key = commit_key(table, commit.seq)
    try:
        won = store.put_new(key, commit.to_bytes())
    except StorageUnavailableError:
        won = _is_ours(store, key, commit.nonce)
        if not won and store.head(key) is None:
            raise
    if not (won or _is_ours(store, key, commit.nonce)) or _is_stale(store, table, commit):
        raise CommitRaceError(
            f"dataset {table!r}: another writer committed slice {commit.seq} first; what this one "
            f"read was not committed, the next dump goes on from there"
        )


def _is_stale(store: ObjectStore, table: str, commit: RawCommit) -> bool:
    """Whether the place was free only because the cleaner had moved its commit into a snapshot."""
    if snapshot_seq(store, table) < commit.seq:
        return False
    held = next((c for c in read_snapshot(store, table) if c.seq == commit.seq), None)
    if held is not None and held.nonce == commit.nonce:
        return False
    store.delete([commit_key(table, commit.seq)])
    return True


def _is_ours(store: ObjectStore, key: str, nonce: str) -> bool:
    """Settles a put whose reply was lost, or that a client retried by itself."""
    try:
        return RawCommit.from_bytes(store.get(key)).nonce == nonce
    except KeyError:
        return False


def head(store: ObjectStore, table: str, known_seq: int = 0) -> RawCommit | None:
    """The newest commit. `known_seq`: a commit known to exist, to list only what came after."""
    after = commit_key(table, known_seq - 1) if known_seq > 1 else ""
    newest = max((i.key for i in store.list(raw_log_prefix(table), after)), default=None)
    if newest is None:
        return None if known_seq == 0 else head(store, table)
    try:
        return RawCommit.from_bytes(store.get(newest))
    except KeyError:  # the cleaner took it just now, so there is a newer one
        return head(store, table)


def commits_after(store: ObjectStore, table: str, seq: int) -> list[RawCommit]:
    """All commits with a greater seq, in order.

    Raises:
        CorruptRawError: the log has a hole, so somebody removed a commit by hand.
    """
    return list(iter_commits_after(store, table, seq))


def iter_commits_after(store: ObjectStore, table: str, seq: int) -> Iterator[RawCommit]:
    """As `commits_after`, one by one. The cleaner may work at the same time: what it took from the
    log after it was listed is in the snapshot by then."""
    after = commit_key(table, seq) if seq else ""
    keys = [i.key for i in store.list(raw_log_prefix(table), after)]
    # After the listing: what the cleaner removed before it is in this snapshot.
    covered = snapshot_seq(store, table) if keys else 0
    if covered > seq:
        for old in read_snapshot(store, table):
            if old.seq > seq:
                yield old
                seq = old.seq
    for key in keys:
        if seq_of(key) <= seq:
            continue
        held = _get(store, key) if seq_of(key) == seq + 1 else None
        if held is None:
            if snapshot_seq(store, table) <= seq:
                raise CorruptRawError(commit_key(table, seq + 1), "the commit is not in the log")
            yield from iter_commits_after(store, table, seq)  # the cleaner took it since
            return
        seq += 1
        yield held


def of_table(store: ObjectStore, dataset: Dataset, seq: int = 0) -> Iterator[RawCommit]:
    """Those behind `seq` that the table of `dataset` is made of, in order."""
    span = dataset.raw_span
    for commit in iter_commits_after(store, dataset.raw_table, max(seq, span.after)):
        if not span.holds(commit.seq):
            return
        yield commit


def expired_seq(store: ObjectStore, table: str) -> int:
    """The newest commit whose objects raw retention removed; 0 when there is none."""
    return max((c.seq for c in read_snapshot(store, table) if c.expired_at), default=0)


def held(store: ObjectStore, table: str, topic_id: str) -> dict[int, OffsetRange]:
    """What raw of a table still holds of the topic of this id, from the first offset to the last;
    accepted gaps in between are not told."""
    found: dict[int, OffsetRange] = {}
    for commit in iter_commits_after(store, table, 0):
        if commit.expired_at or commit.topic_id != topic_id:
            continue
        for partition, span in commit.ranges.items():
            start = found[partition].start if partition in found else span.start
            found[partition] = OffsetRange(start, span.end)
    return found


def _get(store: ObjectStore, key: str) -> RawCommit | None:
    try:
        return RawCommit.from_bytes(store.get(key))
    except KeyError:
        return None


def snapshot_seq(store: ObjectStore, table: str) -> int:
    """The newest seq the snapshot covers; 0 when there is none."""
    keys = [i.key for i in store.list(raw_log_snapshot_prefix(table))]
    return seq_of(max(keys)) if keys else 0


def snapshot_key(table: str, seq: int) -> str:
    return f"{raw_log_snapshot_prefix(table)}{seq_name(seq)}.json.gz"


def read_snapshot(store: ObjectStore, table: str) -> list[RawCommit]:
    """The commits of the newest snapshot; empty when there is none."""
    keys = sorted(i.key for i in store.list(raw_log_snapshot_prefix(table)))
    if not keys:
        return []
    try:
        return read_snapshot_at(store, keys[-1])
    except KeyError:  # the cleaner put a newer one in its place just now
        return read_snapshot(store, table)


def read_snapshot_at(store: ObjectStore, key: str) -> list[RawCommit]:
    return [RawCommit.from_bytes(line) for line in igzip.decompress(store.get(key)).splitlines()]


def write_snapshot(store: ObjectStore, table: str, commits: Iterable[RawCommit]) -> str:
    held = list(commits)
    key = snapshot_key(table, held[-1].seq)
    store.put(key, igzip.compress(b"\n".join(c.to_bytes() for c in held), compresslevel=1))
    return key
