"""A Hudi table's timeline, read from storage without a JVM: which commits are complete and what
they say. Works for a classic session and Spark Connect alike, one LIST and a GET a commit."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import fastavro

from lake_platform.domain.batches import AppliedBatch, BatchJob, TableState
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.storage import ObjectStore

METADATA_PREFIX = "lake."
_BATCH, _NONCE, _UNDONE = "lake.batch", "lake.nonce", "lake.undone"
# Deletes are counted before the write: Hudi counts those of unknown keys and of rows that moved.
# Commits of older releases do not have it.
_COUNTED = "lake.counted"
_COMMIT = re.compile(r"(\d+)_(\d+)\.(commit|deltacommit|replacecommit)")
_RECENT = 12


@dataclass(frozen=True, slots=True)
class Instant:
    """A completed commit. `requested` is its id, `completed` its place in commit order."""

    requested: str
    completed: str
    action: str
    key: str


@dataclass(frozen=True, slots=True)
class LakeCommit:
    """A commit the platform made."""

    batch: AppliedBatch
    nonce: str
    undone: tuple[str, ...]
    files: int
    bytes: int


def metadata_options(
    batch: AppliedBatch, nonce: str, undone: tuple[str, ...] = ()
) -> dict[str, str]:
    """Write options that put the checkpoint into the commit itself."""
    return {
        "hoodie.datasource.write.commitmeta.key.prefix": METADATA_PREFIX,
        _BATCH: json.dumps(batch.to_dict()),
        _NONCE: nonce,
        _UNDONE: json.dumps(undone),
        _COUNTED: "true",
    }


def table_exists(store: ObjectStore, table: str) -> bool:
    return store.head(properties_key(table)) is not None


def entry_last(key: str) -> int:
    """The order in which the files of a table come to where readers look: its rows, the timeline,
    and the file without which there is no table."""
    if key.endswith("/.hoodie/hoodie.properties"):
        return 2
    return 1 if "/.hoodie/" in key else 0


def properties_key(table: str) -> str:
    return f"{table_prefix(table)}.hoodie/hoodie.properties"


def properties(store: ObjectStore, table: str) -> dict[str, str]:
    """What Hudi keeps of the table; empty when there is none yet."""
    try:
        text = store.get(properties_key(table)).decode("latin-1")
    except KeyError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: _unescaped(value) for name, _, value in pairs}


def _unescaped(text: str) -> str:
    """As java.util.Properties writes: `\\:` and, for what is not Latin-1, `\\u043a`."""
    code = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text)
    return re.sub(r"\\(.)", r"\1", code)


def completed(store: ObjectStore, table: str) -> list[Instant]:
    """Completed commits of the active timeline, oldest first."""
    prefix = f"{table_prefix(table)}.hoodie/timeline/"
    listed = ((i.key, _COMMIT.fullmatch(i.key.removeprefix(prefix))) for i in store.list(prefix))
    found = [Instant(m[1], m[2], m[3], key) for key, m in listed if m]
    return sorted(found, key=lambda i: i.completed)


def files_by_instant(store: ObjectStore, table: str) -> dict[str, set[str]]:
    """The names of the files that each completed commit put into the table."""
    found = {}
    for instant in completed(store, table):
        try:
            stats = _stats(_record(store, instant))
        except KeyError:
            continue  # archived between the LIST and now
        found[instant.requested] = {str(s["path"]).rsplit("/", 1)[-1] for s in stats}
    return found


def newest_partitions(store: ObjectStore, table: str) -> list[str]:
    """Those that the newest commit with any wrote into, as paths below the table."""
    for instant in reversed(completed(store, table)):
        try:
            if found := list(_record(store, instant).get("partitionToWriteStats") or {}):
                return found
        except KeyError:
            continue  # archived between the LIST and now
    return []


def state(store: ObjectStore, dataset: Dataset) -> TableState:
    instants = completed(store, dataset.table)
    if not instants:
        return TableState(table_exists(store, dataset.table), 0)
    ours = list(recent(store, dataset, instants))
    if not ours:
        return TableState(True, 0)
    applied = max(c.batch.applied for c in ours)
    # By claim, not by time: a zombie's late commit is newer than that of who took over.
    last = max((c.batch for c in ours), key=lambda b: b.epoch)
    return TableState(True, applied, last, doubled(ours))


def committed(store: ObjectStore, job: BatchJob) -> LakeCommit | None:
    """The commit of the job's claim, if there is one."""
    ours = recent(store, job.dataset, completed(store, job.dataset.table))
    return next((c for c in ours if c.nonce == job.claim.nonce), None)


def recent(store: ObjectStore, dataset: Dataset, instants: list[Instant]) -> Iterator[LakeCommit]:
    """Our commits among the newest ones, newest first; looks further back only for the first."""
    seen = False
    for number, instant in enumerate(reversed(instants)):
        if number >= _RECENT and seen:
            return
        try:
            commit = read(store, dataset, instant)
        except KeyError:
            continue  # archived between the LIST and now
        if commit is not None:
            seen = True
            yield commit


def read(store: ObjectStore, dataset: Dataset, instant: Instant) -> LakeCommit | None:
    """None for a commit the platform did not make (compaction).

    Raises: KeyError when the instant is gone.
    """
    record = _record(store, instant)
    extra: Mapping[str, str] = record.get("extraMetadata") or {}
    if _BATCH not in extra:
        return None
    stats = _stats(record)
    planned = AppliedBatch.from_dict({**json.loads(extra[_BATCH]), "instant": instant.requested})
    bulk = str(record.get("operationType")).upper() == "BULK_INSERT"
    batch = _with_balance(planned, stats, dataset, bulk, counted=_COUNTED in extra)
    return LakeCommit(
        batch=batch,
        nonce=extra.get(_NONCE, ""),
        undone=tuple(json.loads(extra.get(_UNDONE, "[]"))),
        files=len(stats),
        bytes=sum(s.get("totalWriteBytes") or 0 for s in stats),
    )


def extra_metadata(store: ObjectStore, instant: Instant) -> Mapping[str, str]:
    """Raises: KeyError when the instant is gone."""
    return _record(store, instant).get("extraMetadata") or {}


def _record(store: ObjectStore, instant: Instant) -> Any:
    return next(iter(fastavro.reader(io.BytesIO(store.get(instant.key)))))


def _stats(record: Any) -> list[Mapping[str, Any]]:
    return [s for group in (record.get("partitionToWriteStats") or {}).values() for s in group]


def doubled(newest_first: list[LakeCommit]) -> tuple[AppliedBatch, ...]:
    """Batches that a later commit brought once more although they were in the table."""
    undone = {instant for c in newest_first for instant in c.undone}
    found: list[AppliedBatch] = []
    reached = 0  # not the ranges seen: the batch's first commit may be further back than we look
    for commit in reversed(newest_first):
        batch = commit.batch
        again = batch.batch.first_seq <= reached and not batch.replay
        if again and batch.instant not in undone:
            found.append(batch)
        reached = max(reached, batch.applied, batch.batch.last_seq)
    return tuple(found)


def _with_balance(
    planned: AppliedBatch,
    stats: list[Mapping[str, Any]],
    dataset: Dataset,
    bulk: bool,
    counted: bool,
) -> AppliedBatch:
    """What the writer knew before (records, quarantined, dropped) and what Hudi counted."""
    known = planned.balance
    inserts = sum(s.get("numInserts") or 0 for s in stats)
    updates = sum(s.get("numUpdateWrites") or 0 for s in stats)
    deletes = sum(s.get("numDeletes") or 0 for s in stats)
    written = sum(s.get("numWrites") or 0 for s in stats) if bulk else inserts + updates
    left = known.records + known.exploded - known.quarantined - known.dropped - written
    if counted:
        deletes = known.deleted
    elif set(dataset.partition_by) - set(dataset.primary_key):
        # A row that moves to another partition counts as deleted there and inserted here.
        deletes = min(deletes, max(0, left if dataset.delete_when else known.deleted))
    rest = left - deletes
    # What is left: in upsert older records of the same keys, with transforms records a WHERE left
    # out. In a plain append nothing may be left, so there it stays a difference.
    merged = max(0, rest) if dataset.mode == "upsert" else 0
    # Of exploded records it was counted before, so there it stays a difference, too.
    guessed = dataset.mode == "append" and dataset.transformed and not dataset.explode
    filtered = max(0, rest) if guessed else 0
    balance = replace(
        known,
        written=written,
        deduplicated=merged,
        deleted=deletes,
        dropped=known.dropped + filtered,
    )
    return replace(planned, balance=balance)
