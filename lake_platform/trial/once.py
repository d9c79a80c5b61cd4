"""Where a preview loads: raw is read where it is, all that is written goes to a storage for once,
and the metastore keeps what it is told to itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from lake_platform.domain.batches import CountedBatch, WriteResult
from lake_platform.domain.casts import Lost
from lake_platform.domain.dataset import Status
from lake_platform.domain.decisions import Decision
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import Metastore
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.domain.rebuild import Rebuild, Shadow
from lake_platform.domain.storage import ObjectInfo, ObjectStore
from lake_platform.raw.log import commit_key
from lake_platform.trial.unwritten import Unwritten

_RAW = "raw/"


@dataclass(frozen=True, slots=True)
class BesideRaw:
    """A storage for once, in which the raw objects of `real` are to be read."""

    once: ObjectStore
    real: ObjectStore

    def get(self, key: str) -> bytes:
        return self._of(key).get(key)

    def head(self, key: str) -> ObjectInfo | None:
        return self._of(key).head(key)

    def put(self, key: str, data: bytes) -> None:
        self.once.put(key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        return self.once.put_new(key, data)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        return self.once.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        self.once.delete(keys)

    def move(self, source: str, target: str) -> None:
        self.once.move(source, target)

    def url(self, key: str) -> str:
        return self.once.url(key)

    def _of(self, key: str) -> ObjectStore:
        return self.real if key.startswith(_RAW) else self.once


class ForOnce(Unwritten):
    """Of one shadow table with the schema it begins with; nothing else is known."""

    dataset: Shadow

    def __init__(
        self, real: Metastore, shadow: Shadow, schema: SchemaVersion | None,
        decided: Sequence[Decision],
    ) -> None:  # fmt: skip
        super().__init__(real, shadow, [schema] if schema else [])
        self._decided = decided

    def get(self, table: str) -> DatasetRecord:  # noqa: ARG002 - port
        return DatasetRecord(self.dataset, 1, Status.LIVE, 0)

    def active_schema(self, table: str) -> SchemaVersion | None:  # noqa: ARG002 - port
        return self.versions[-1] if self.versions else None

    def profile(self, table: str) -> None:
        """What was counted is of other records."""

    def decisions(self, table: str) -> Sequence[Decision]:
        return self._decided if table == self.dataset.live_table else ()

    def record_batch(
        self, table: str, result: WriteResult, windows: Mapping[str, int],
        rescued: Mapping[str, int] | None = None, lost: Mapping[str, Lost] | None = None,
        absent: Collection[str] | None = None, *, seconds: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Nothing is kept."""

    def drop_absent(self, table: str) -> Sequence[str]:  # noqa: ARG002 - port
        return ()

    def counted_batches(self, table: str, first_seq: int, last_seq: int) -> Sequence[CountedBatch]:  # noqa: ARG002
        return ()

    def rebuild(self, table: str) -> Rebuild | None:  # noqa: ARG002 - port
        return None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Raw commits of which only objects of `windows` are left, numbered anew from 1; `numbers`: how
    many are left up to each commit of the log. `applied`: those that are in the table already, up
    to this number."""

    windows: tuple[str, ...]
    commits: tuple[RawCommit, ...]
    numbers: Mapping[int, int]
    applied: int = 0

    @property
    def raw_bytes(self) -> int:
        return sum(c.raw_bytes for c in self.commits)

    @property
    def records(self) -> int:
        return sum(c.records for c in self.commits)

    def log_into(self, store: ObjectStore, table: str) -> Iterator[None]:
        """What is in the table already, then what waits: no batch has both."""
        store.delete([commit_key(table, c.seq) for c in self.commits])
        for some in (self.commits[: self.applied], self.commits[self.applied :]):
            for commit in some:
                store.put(commit_key(table, commit.seq), commit.to_bytes())
            yield

    def decisions(self, held: Iterable[Decision]) -> Iterator[Decision]:
        """As they are for the new numbers."""
        for d in held:
            first = self._upto(d.first_seq - 1) + 1
            last = None if d.last_seq is None else self._upto(d.last_seq)
            if last is None or last >= first:
                yield replace(d, first_seq=first, last_seq=last)

    def _upto(self, seq: int) -> int:
        newest = max(self.numbers, default=0)
        return self.numbers.get(min(seq, newest), 0)


def chosen(log: Sequence[RawCommit], windows: Iterable[str], applied: int) -> Chosen:
    """`log`: the raw commits in order, without holes; `applied`: the newest in the table."""
    names = frozenset(windows)
    cut = [replace(c, objects=tuple(o for o in c.objects if o.window in names)) for c in log]
    counts = list(accumulate(bool(c.objects) for c in cut))
    kept = (c for c in cut if c.objects)
    numbers = {c.seq: count for c, count in zip(cut, counts, strict=True)}
    commits = tuple(replace(c, seq=number) for number, c in enumerate(kept, 1))
    inside = max((n for seq, n in numbers.items() if seq <= applied), default=0)
    return Chosen(tuple(sorted(names)), commits, numbers, inside)
