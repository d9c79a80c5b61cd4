"""Which new columns may be old ones that a producer calls otherwise now, and what speaks for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

import msgspec

from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.schema import Field, Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.raw import log as raw_log
from lake_platform.raw.objects import read_lines
from lake_platform.records.conform import value_bytes
from lake_platform.records.opened import Opener

MOST_RECORDS = 5_000  # of before and since, each
LEAST_SCORE = 0.5
_FEW = 0.05  # of the records with the new key that may have the old one as well
_GONE, _PRESENCE, _VALUES, _NAME = 0.4, 0.2, 0.25, 0.15
_parse = msgspec.json.Decoder().decode
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Proposal:
    """`key` came with schema `version` and may mean `column`. Shares are 0 to 1: `before` of the
    records had the column until then; since the key came `gone` have not, and `since` have the key;
    `same_values` of the fewer different values are in both. `score`: 0 to 1."""

    column: str
    key: str
    version: int
    score: float
    before: float
    gone: float
    since: float
    same_values: float


def proposed(
    dataset: Dataset, store: ObjectStore, source: Struct, held: Struct, new: Collection[str],
    version: int, seq: int,
) -> list[Proposal]:  # fmt: skip
    """Of the root columns `new`, which came with `version` in raw commit `seq`, when there were
    those of `held`.

    Raises: StorageUnavailableError, CorruptRawError.
    """
    log = raw_log.iter_commits_after(store, dataset.raw_table, 0)
    kept = [c for c in log if not c.expired_at]
    opener = Opener(dataset)
    earlier = _records(opener, store, _last([c for c in kept if c.seq < seq]))
    before = list(earlier)[-MOST_RECORDS:]
    since = list(islice(_records(opener, store, (c for c in kept if c.seq >= seq)), MOST_RECORDS))
    old = [f for f in source.fields if f.keys and f.name not in new and held.same(f) is not None]
    came = [f for f in source.fields if f.name in new]
    pairs = ((one, now) for now in came for one in old if str(one.type) == str(now.type))
    found = (_proposal(one, now, version, before, since) for one, now in pairs)
    return [p for p in found if p is not None and p.score >= LEAST_SCORE]


def _last(commits: Sequence[RawCommit]) -> Sequence[RawCommit]:
    """As many of the newest ones as have the records we look at."""
    records = 0
    for at in reversed(range(len(commits))):
        records += commits[at].records
        if records >= MOST_RECORDS:
            return commits[at:]
    return commits


def _records(opener: Opener, store: ObjectStore, commits: Iterable[RawCommit]) -> Iterator[Record]:
    lines = (line for c in commits for o in c.objects for line in read_lines(store, o))
    for line in lines:
        try:
            record = _parse(value_bytes(opener.line(line).data) or b"null")
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _proposal(
    old: Field, new: Field, version: int, before: Sequence[Record], since: Sequence[Record]
) -> Proposal | None:
    first = next((n for n, r in enumerate(since) if _has(r, new)), None)
    earlier = [*before, *since[:first]]
    if first is None or not earlier:
        return None
    later = since[first:]
    with_new = [r for r in later if _has(r, new)]
    both = sum(_has(r, old) for r in with_new) / len(with_new)
    held = [r for r in earlier if _has(r, old)]
    if both > _FEW or not held:
        return None
    had, has = len(held) / len(earlier), len(with_new) / len(later)
    gone = 1 - sum(_has(r, old) for r in later) / len(later)
    values = _overlap(_values(held, old), _values(with_new, new))
    alike = SequenceMatcher(None, old.keys[0].lower(), new.keys[0].lower()).ratio()
    score = (
        _GONE * gone + _PRESENCE * min(had, has) / max(had, has) + _VALUES * values + _NAME * alike
    )
    numbers = (round(n, 3) for n in (score, had, gone, has, values))
    return Proposal(old.name, new.keys[0], version, *numbers)


def _has(record: Record, field: Field) -> bool:
    return any(record.get(key) is not None for key in field.keys)


def _values(records: Iterable[Record], field: Field) -> set[bytes]:
    found = (next(v for k in field.keys if (v := r.get(k)) is not None) for r in records)
    return {msgspec.json.encode(value) for value in found}


def _overlap(one: set[bytes], other: set[bytes]) -> float:
    return len(one & other) / max(1, min(len(one), len(other)))
