"""An engine with Hudi's promises instead of the memory engine's: no conflict is ever seen.

Hudi lets two `bulk_insert`s of one batch commit side by side. What stands between a zombie and the
table is the epoch's lock path alone, taken at the start and the end of a commit, and poisoned by
`fence` (docs/delivery.md, adapters/hudi/engine.py). Checkpoint and doubled batches are read off the
timeline as `HudiEngine.state` does, in the order in which commits were completed. Hudi completes no
instant whose own file is gone (ActiveTimelineV2.transitionStateToComplete), as it is after a swap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lake_platform.adapters.hudi.timeline import doubled
from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.memory.events import Commit, Event, Row, applied
from lake_platform.adapters.moving import remove
from lake_platform.domain.batches import AppliedBatch, BatchJob, Claim, TableState, WriteResult
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import lock_prefix, seq_name, table_prefix
from lake_platform.domain.ports import Still
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import CommitRaceError, EngineError, StorageUnavailableError


@dataclass(frozen=True, slots=True)
class _Timed(Commit):
    """A commit on the timeline; `undone` are instants whose rows it deleted."""

    undone: tuple[str, ...] = ()
    completed: int = 0

    def to_bytes(self) -> bytes:
        plain = json.loads(Commit.to_bytes(self))
        return json.dumps({**plain, "undone": self.undone, "completed": self.completed}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> _Timed:
        held, plain = Commit.from_bytes(data), json.loads(data)
        return cls(held.nonce, held.batch, held.events, tuple(plain["undone"]), plain["completed"])


def _untold(_: bool) -> None:
    pass


class HudiLikeEngine(MemoryEngine):
    def __init__(
        self,
        store: ObjectStore,
        locked: Callable[[bool], None] = _untold,
        at_once: Callable[[bool], None] = _untold,
    ) -> None:
        """`locked` is told when the writer takes and gives back the lock, `at_once` when it begins
        and ends what it does without standing still in between."""
        super().__init__(store)
        self._locked, self._at_once = locked, at_once

    def state(self, dataset: Dataset) -> TableState:
        ours = self._timeline(dataset.table)
        if not ours:
            return TableState(False, 0)
        last = max((c.batch for c in ours), key=lambda b: b.epoch)
        newest_first: Any = ours[::-1]
        late = doubled(newest_first) if dataset.mode == "append" else ()
        return TableState(True, max(c.batch.applied for c in ours), last, late)

    def fence(self, dataset: Dataset, epoch: int) -> None:
        lock = f"{lock_prefix(dataset.table, epoch)}lock"
        try:
            self._store.put(f"{lock}/fenced", b"")
        except StorageUnavailableError:
            if self._store.head(lock) is None:
                raise

    def write(self, job: BatchJob) -> WriteResult:
        table = job.dataset.table
        instant = self._start(job.dataset, job.claim)
        events = tuple(self._events(job))
        before = self._upserted(job.dataset) if job.dataset.mode == "upsert" else {}
        batch = applied(job, instant, events, before)
        self._complete(table, job.claim, _Timed(job.claim.nonce, batch, events))
        return WriteResult(batch, job.table_schema, files=1, bytes=1)

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:
        double = state.doubled[0]
        last = state.last or double
        instant = self._start(dataset, claim)
        mark = AppliedBatch(
            double.batch, last.applied, claim.epoch, seq_name(instant), last.schema_version,
            replay=True, reapply=True,
        )  # fmt: skip
        self._complete(dataset.table, claim, _Timed(claim.nonce, mark, (), (double.instant,)))

    def clear(self, dataset: Dataset, still: Still) -> None:
        remove(self._store, [i.key for i in self._store.list(table_prefix(dataset.table))], still)

    def rows(self, dataset: Dataset) -> list[Row]:
        if dataset.mode == "upsert":
            return [e.row for e in self._upserted(dataset).values() if e.row is not None]
        return [e.row for e in self._appended(dataset.table) if e.row is not None]

    def _start(self, dataset: Dataset, claim: Claim) -> int:
        """No instant of a rebuilt table is one of the table before: Hudi takes the time."""
        table = dataset.table
        self._lock(table, claim)
        started = f"{table_prefix(table)}started/"
        held = [int(i.key.removeprefix(started)) for i in self._store.list(started)]
        number = 1 + max(held, default=dataset.first_epoch)
        while not self._store.put_new(f"{started}{seq_name(number)}", b""):
            number += 1
        self._unlock(table, claim)
        return number

    def _complete(self, table: str, claim: Claim, commit: _Timed) -> None:
        self._lock(table, claim)
        place, instant = table_prefix(table), commit.batch.instant
        self._at_once(True)
        try:
            last = max((c.completed for c in self._timeline(table)), default=0)
            whole = replace(commit, completed=last + 1)
            held = self._store.head(f"{place}started/{instant}") is not None
            if held:
                self._store.put(f"{place}commits/{instant}.json", whole.to_bytes())
        finally:
            self._at_once(False)
        self._unlock(table, claim)
        if not held:
            raise EngineError(f"table {table!r}: the instant {instant} is gone from the timeline")

    def _lock(self, table: str, claim: Claim) -> None:
        """As Hudi on a file system: no file where a directory is, and no lock twice."""
        key = f"{lock_prefix(table, claim.epoch)}lock"
        if not self._store.put_new(key, claim.nonce.encode()):
            raise CommitRaceError(f"table {table!r}: the lock of epoch {claim.epoch} is fenced")
        self._locked(True)

    def _unlock(self, table: str, claim: Claim) -> None:
        self._store.delete([f"{lock_prefix(table, claim.epoch)}lock"])
        self._locked(False)

    def _timeline(self, table: str) -> list[_Timed]:
        keys = [i.key for i in self._store.list(f"{table_prefix(table)}commits/")]
        found = [_Timed.from_bytes(self._commit(key)) for key in keys]
        return sorted(found, key=lambda c: (c.completed, c.batch.instant))

    def _upserted(self, dataset: Dataset) -> dict[Any, Event]:
        """As a MOR table merges: by order, deletes too, as long as no compaction dropped them."""
        held: dict[Any, Event] = {}
        events = [e for c in self._timeline(dataset.table) for e in c.events]
        for event in sorted(events, key=lambda e: e.place):
            held[event.key] = event
        return held

    def _appended(self, table: str) -> Sequence[Event]:
        """`bulk_insert` adds, a replay replaces by coordinates, an undo deletes by coordinates
        what still carries the undone instant."""
        held: list[tuple[str, Event]] = []
        for commit in self._timeline(table):
            gone = {(e.partition, e.offset) for at, e in held if at in commit.undone}
            if commit.batch.replay:
                gone |= {(e.partition, e.offset) for e in commit.events}
            held = [(at, e) for at, e in held if (e.partition, e.offset) not in gone]
            held += [(commit.batch.instant, e) for e in commit.events]
        return [e for _, e in held]
