"""Quarantine objects: bad records as they came, with reason and coordinates.

One gzip NDJSON object per raw commit and window. Its name follows from the commit alone, so a
re-run overwrites it, also when a replay or another writer cuts the commits into other batches.
`record` is the raw line (see records/envelope), byte for byte.
"""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from isal import igzip

from lake_platform.domain.batches import BatchRange
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import quarantine_key, seq_name
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.quality import Reason
from lake_platform.domain.storage import ObjectStore
from lake_platform.load.plan import Loading, Work
from lake_platform.load.report import Rejected
from lake_platform.records.conform import Line, head_of
from lake_platform.records.looks import counted

_LOOKED_AT = 100
_RECORD = b',"record":'


@dataclass(frozen=True, slots=True)
class Held:
    """A line of a quarantine object. `leaving`: the claim of a replay that took the record out; the
    line goes once that claim is a commit of the table."""

    reason: str
    schema_version: int
    record: bytes
    leaving: int | None
    line: bytes

    @property
    def head(self) -> Line:
        return head_of(self.record)

    @property
    def at(self) -> tuple[int, int]:
        return place_of(self.record)


def lines_at(store: ObjectStore, key: str) -> list[Held]:
    """Empty where there is no such object."""
    try:
        data = store.get(key)
    except KeyError:
        return []
    return [held_of(line) for line in igzip.decompress(data).split(b"\n")[:-1]]


def write_quarantine(
    store: ObjectStore,
    table: str,
    commits: Sequence[RawCommit],
    version: int,
    rejected: Sequence[Rejected],
    replay: int | None = None,
    *,
    still: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Puts the rejected records of a batch, which is `commits`; returns the keys. `replay`: the
    epoch of a claim that applies them again; until `settle` what is there already stays, since
    before the commit it would be nowhere if we died. `still` raises once the batch is another
    writer's: that one may have judged it by another definition."""
    batch = BatchRange(commits[0].seq, commits[-1].seq)
    by_key: dict[str, list[bytes]] = {}
    for key, record in _placed(table, commits, rejected):
        head = {"reason": record.reason, "batch": batch.id, "schema_version": version}
        by_key.setdefault(key, []).append(_line(head, record.line))
    for key, lines in by_key.items():
        stay = [] if replay is None else _leaving(lines_at(store, key), lines, replay)
        still()
        _put(store, key, [*lines, *stay])
    return tuple(sorted(by_key))


def newly_rejected(
    store: ObjectStore, table: str, commits: Sequence[RawCommit], rejected: Sequence[Rejected]
) -> list[Rejected]:
    """Those of `rejected` that are not in quarantine yet."""
    held: dict[str, set[tuple[int, int]]] = {}
    new = []
    for key, record in _placed(table, commits, rejected):
        if key not in held:
            held[key] = {h.at for h in lines_at(store, key)}
        if place_of(record.line) not in held[key]:
            new.append(record)
    return new


def _placed(
    table: str, commits: Sequence[RawCommit], rejected: Sequence[Rejected]
) -> Iterator[tuple[str, Rejected]]:
    seqs = {o.key: c.seq for c in commits for o in c.objects}
    for record in rejected:
        yield quarantine_key(table, record.raw.window, seq_name(seqs[record.raw.key])), record


def _leaving(held: Sequence[Held], lines: Sequence[bytes], epoch: int) -> list[bytes]:
    """Lines of records that are not among `lines`, marked."""
    new = {held_of(line).at for line in lines}
    marked = []
    for old in held:
        if old.at not in new:
            head = orjson.loads(old.line[: old.line.index(_RECORD)] + b"}")
            marked.append(_line(head | {"leaving": epoch}, old.record))
    return marked


def _line(head: Mapping[str, Any], record: bytes) -> bytes:
    return orjson.dumps(head)[:-1] + _RECORD + record + b"}"


def held_of(line: bytes) -> Held:
    # A reason may hold any text, but no quote that is not escaped.
    begin = line.index(_RECORD)
    head = orjson.loads(line[:begin] + b"}")
    record = line[begin + len(_RECORD) : -1]
    version = head.get("schema_version", 0)
    return Held(head["reason"], version, record, head.get("leaving"), line)


def _put(store: ObjectStore, key: str, lines: Sequence[bytes]) -> None:
    store.put(key, igzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0))


def reasons_among(rejected: Sequence[Rejected]) -> str:
    """How many for which reason, and what those look like that phase 1 could not take for JSON."""
    reasons = Counter(r.reason for r in rejected)
    text = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
    kept = (orjson.loads(r.line).get("value_bytes") for r in rejected[:_LOOKED_AT])
    looks = counted(b64decode(value) for value in kept if value is not None)
    return f"{text}; they look like {looks}" if looks else text


def deletes_among(dataset: Dataset, rejected: Sequence[Rejected]) -> int:
    """Of an upsert table: the rows they should have removed are still there."""
    if dataset.mode != "upsert":
        return 0
    return sum(_deletes(r) for r in rejected)


def _deletes(one: Rejected) -> bool:
    if one.reason == Reason.TOMBSTONE_KEY:
        return True
    return b'"tombstone":true' in one.line and head_of(one.line).tombstone


def settle(
    store: ObjectStore,
    table: str,
    commits: Sequence[RawCommit],
    kept: Collection[str],
    epoch: int,
    *,
    ours: Callable[[], bool] = lambda: True,
) -> tuple[str, ...]:
    """After the commit of claim `epoch`: takes away what an earlier try or batch put and this one
    did not. The definition changed in between, and those records are rows or drops now. Gives the
    keys of objects of which something went. Once it is not `ours` the rest is another writer's."""
    possible = _keys(table, commits)
    gone = sorted(k for k in possible.difference(kept) if store.head(k) is not None)
    left = list(gone)
    for key in sorted(possible.intersection(kept)):
        lines = lines_at(store, key)
        stay = [h.line for h in lines if h.leaving != epoch]
        if len(stay) < len(lines) and ours():
            _put(store, key, stay)
            gone.append(key)
    for key in left:
        if ours():
            store.delete([key])
    return tuple(gone)


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
    store = loading.ports.store
    return frozenset(h.at for k in _keys(dataset.table, work.commits) for h in lines_at(store, k))


def _keys(table: str, commits: Sequence[RawCommit]) -> set[str]:
    """Of all quarantine objects that there can be of these commits."""
    return {quarantine_key(table, w, seq_name(c.seq)) for c in commits for w in c.windows}
