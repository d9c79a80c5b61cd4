"""Quarantine objects: bad records as they came, with reason and coordinates.

One gzip NDJSON object per raw commit and window. Its name follows from the commit alone, so a
re-run overwrites it, also when a replay or another writer cuts the commits into other batches.
`record` is the raw line (see records/envelope), byte for byte.
"""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import orjson
from isal import igzip

from lake_platform.domain.batches import BatchRange
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import quarantine_key, seq_name
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import ObjectStore
from lake_platform.load.plan import Loading, Work
from lake_platform.load.report import Rejected
from lake_platform.records.conform import head_of
from lake_platform.records.looks import counted

_LOOKED_AT = 100


def write_quarantine(
    store: ObjectStore,
    table: str,
    commits: Sequence[RawCommit],
    version: int,
    rejected: Sequence[Rejected],
) -> tuple[str, ...]:
    """Puts the rejected records of a batch, which is `commits`; returns the keys."""
    batch = BatchRange(commits[0].seq, commits[-1].seq)
    seqs = {o.key: c.seq for c in commits for o in c.objects}
    by_key: dict[str, list[bytes]] = {}
    for record in rejected:
        head = orjson.dumps({"reason": record.reason, "batch": batch.id, "schema_version": version})
        line = head[:-1] + b',"record":' + record.line + b"}"
        seq = seq_name(seqs[record.raw.key])
        by_key.setdefault(quarantine_key(table, record.raw.window, seq), []).append(line)
    for key, lines in by_key.items():
        store.put(key, igzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0))
    return tuple(sorted(by_key))


def reasons_among(rejected: Sequence[Rejected]) -> str:
    """How many for which reason, and what those look like that phase 1 could not take for JSON."""
    reasons = Counter(r.reason for r in rejected)
    text = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
    kept = (orjson.loads(r.line).get("value_bytes") for r in rejected[:_LOOKED_AT])
    looks = counted(b64decode(value) for value in kept if value is not None)
    return f"{text}; they look like {looks}" if looks else text


def deletes_among(dataset: Dataset, rejected: Sequence[Rejected]) -> int:
    """Tombstones of an upsert table: the rows they should have removed are still there."""
    if dataset.mode != "upsert":
        return 0
    return sum(b'"tombstone":true' in r.line and head_of(r.line).tombstone for r in rejected)


def remove_stale(
    store: ObjectStore, table: str, commits: Sequence[RawCommit], kept: Collection[str]
) -> None:
    """Removes quarantine objects of a batch that an earlier try wrote and this one did not: the
    definition changed in between, and their records are rows or drops now."""
    possible = {
        quarantine_key(table, window, seq_name(c.seq)) for c in commits for window in c.windows
    }
    store.delete(sorted(possible.difference(kept)))


def place_of(line: bytes) -> tuple[int, int]:
    head = head_of(line)
    return head.partition, head.offset


def may_be_put_aside(loading: Loading, work: Work) -> frozenset[tuple[int, int]] | None:
    """The records that a rule may put aside; None: all. What an upsert table replaced is gone, so
    a replay takes no row back out of one: only what is in quarantine already stays there."""
    dataset = loading.dataset
    if not (work.replay and dataset.mode == "upsert") or not any(
        c.policy == "quarantine" for c in dataset.conditions
    ):
        return None
    return frozenset(_held(loading.ports.store, dataset.table, work.commits))


def _held(
    store: ObjectStore, table: str, commits: Sequence[RawCommit]
) -> Iterator[tuple[int, int]]:
    """Records of these commits that are in quarantine."""
    for key in {quarantine_key(table, w, seq_name(c.seq)) for c in commits for w in c.windows}:
        try:
            data = store.get(key)
        except KeyError:
            continue
        for line in igzip.decompress(data).splitlines():
            record = orjson.loads(line)["record"]
            yield record["partition"], record["offset"]
