"""The phase-1 commit log, read by the audit's own code: snapshot first, then the log behind it."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lake_platform.audit.sources import Files
from lake_platform.domain.layout import raw_log_prefix, raw_log_snapshot_prefix
from lake_platform.domain.offsets import RawCommit
from lake_platform.errors import CorruptRawError

# A thousand small objects, of each of which S3 lets one wait.
_AT_ONCE = 8


def read_commits(files: Files, table: str) -> list[RawCommit]:
    """All commits by seq, from 1 without holes; empty when there is no log.

    Raises:
        CorruptRawError: a commit is missing, is there with two contents, or cannot be read.
    """
    found: dict[int, RawCommit] = {}
    snapshots = [f.key for f in files.list(raw_log_snapshot_prefix(table))]
    if snapshots:
        for line in gzip.decompress(files.read(max(snapshots))).splitlines():
            _keep(found, RawCommit.from_bytes(line), max(snapshots))
    keys = [f.key for f in files.list(raw_log_prefix(table))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for key, commit in zip(keys, pool.map(partial(_read, files), keys), strict=True):
            _keep(found, commit, key)
    for seq in range(1, max(found, default=0) + 1):
        if seq not in found:
            raise CorruptRawError(f"{raw_log_prefix(table)}{seq:020d}.json", "it is not there")
    return [found[seq] for seq in sorted(found)]


def _read(files: Files, key: str) -> RawCommit:
    try:
        return RawCommit.from_bytes(files.read(key))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRawError(key, f"no commit can be read from it ({error})") from None


def _keep(found: dict[int, RawCommit], commit: RawCommit, key: str) -> None:
    """A commit may be in the snapshot and still in the log; the cleaner marks it in the snapshot
    only."""
    known = found.setdefault(commit.seq, commit)
    if known.nonce != commit.nonce:
        raise CorruptRawError(key, f"commit {commit.seq} is there with two contents")
