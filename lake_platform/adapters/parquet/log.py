"""The batch log of a Parquet table: which batches are in it, and in which files.

A record, put-if-absent at the next number, is the commit of its batch; one writer wins it. After
that its files move from staging into the table: publishing. Whoever finds the newest record
unpublished finishes that. Where a rebuilt table took the place of this one its numbers stay taken,
by empty objects, so that who slept in the middle of a commit does not bring it to the new table.
Free of Spark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from lake_platform.adapters.moving import empty
from lake_platform.domain.batches import AppliedBatch, BatchJob, BatchRange, overtaken
from lake_platform.domain.layout import (
    batch_log_prefix,
    lock_prefix,
    quarantine_prefix,
    seq_name,
    table_prefix,
)
from lake_platform.domain.ports import Still
from lake_platform.domain.storage import ObjectStore, put_first
from lake_platform.errors import CommitRaceError, TableDamagedError

_CLOSED = b""


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One line of the batch log. `files` maps staged to final key, `replaces` lists final keys
    of earlier records that this one takes the place of. `columns` are those of the table (Spark's
    JSON; None in logs of releases that did not keep them). `moved` is set on a record that brings
    no batch: it maps what it replaces to the file with the same rows."""

    number: int
    nonce: str
    batch: AppliedBatch
    files: dict[str, str]
    replaces: tuple[str, ...]
    size_bytes: int
    columns: Any = None
    moved: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> BatchRecord:
        plain: dict[str, Any] = json.loads(data)
        plain["batch"] = AppliedBatch.from_dict(plain["batch"])
        plain["replaces"] = tuple(plain["replaces"])
        return cls(**plain)


class BatchLog:
    """The logs of all Parquet tables in `store`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, int] = {}  # table -> a record number that exists

    def published(self, table: str) -> BatchRecord | None:
        """The newest record, after its files were moved into the table."""
        last = self.last(table)
        if last and not self._is_published(table, last):
            self.publish(table, last)
        return last

    def last(self, table: str) -> BatchRecord | None:
        """Records are numbered without holes and removed together only, so the newest one is found
        by a few HEADs, however long the log is. The first is 1, but in a table that was rebuilt."""
        low = self._known.get(table) or self._first(table)
        step = 1
        while self._has(table, low + step):
            low += step
            step *= 2
        while step > 1:
            step //= 2
            if self._has(table, low + step):
                low += step
        if not low:
            return None
        data = self._get(table, low)
        if not data:  # the table was removed whole, to be built again
            if self._known.pop(table, None) is None:
                raise CommitRaceError(f"table {table!r} is being swapped for a new one; try again")
            return self.last(table)
        self._known[table] = low
        return BatchRecord.from_bytes(data)

    def free(self, table: str, after: int) -> int:
        """The number of a first record, above `after` and those that a closed log has taken."""
        listed = self._store.list(batch_log_prefix(table))
        closed = [i.key for i in listed if not i.size and i.key.endswith(".json")]
        return 1 + max((after, *(int(PurePosixPath(key).stem) for key in closed)))

    def _first(self, table: str) -> int:
        """0 while there is none."""
        if self._has(table, 1):
            return 1
        return min((int(PurePosixPath(key).stem) for key in self._keys(table)), default=0)

    def close(self, table: str, still: Still) -> None:
        """Ends the log for good, all that was committed being published. Who is in the middle of a
        commit finds its number taken: one of those there are, or the next one."""
        while True:
            # First of all: who sleeps until the new table is there must not know its numbers.
            last = self.published(table)
            number = last.number + 1 if last else self.free(table, 0)
            keys = self._keys(table)
            still()
            closed = self._store.put_new(_record_key(table, number), _CLOSED)
            if closed or not self._has(table, number):
                break
        empty(self._store, keys, still)

    def copy(self, source: str, target: str) -> None:
        """Makes the log of one table that of another, to which its files were moved."""
        names = [(of(source), of(target)) for of in (table_prefix, quarantine_prefix)]

        def renamed(key: str) -> str:
            for old, new in names:
                if key.startswith(old):
                    return new + key.removeprefix(old)
            return key

        for record in list(self._records(source)):
            moved = replace(
                record,
                files={staged: renamed(final) for staged, final in record.files.items()},
                replaces=tuple(map(renamed, record.replaces)),
                moved={renamed(old): renamed(new) for old, new in record.moved.items()},
                batch=replace(
                    record.batch,
                    quarantine_keys=tuple(map(renamed, record.batch.quarantine_keys)),
                ),
            )
            self._store.put(_published_key(target, record.number), b"")
            self._store.put(_record_key(target, record.number), moved.to_bytes())

    def aligned(self, table: str, batch: BatchRange) -> BatchRange:
        """Files belong to whole batches: `batch`, widened to the whole ones it touches."""
        first, last = batch.first_seq, batch.last_seq
        for record in self._records(table):
            held = record.batch.batch
            if held.first_seq <= last and first <= held.last_seq:
                first, last = min(first, held.first_seq), max(last, held.last_seq)
        return BatchRange(first, last)

    def replaced(self, job: BatchJob) -> list[str]:
        """Final keys of files that a replay of the job's batch takes the place of."""
        records, batch = list(self._records(job.dataset.table)), job.batch
        inside = [
            r for r in records
            if not r.moved and batch.first_seq <= r.batch.batch.first_seq
            and r.batch.batch.last_seq <= batch.last_seq
        ]  # fmt: skip
        return list(_live(records, [key for r in inside for key in r.files.values()]))

    def live_files(self, table: str) -> list[str]:
        """Final keys of all files that are in the table."""
        records = list(self._records(table))
        held = [key for r in records if not r.moved for key in r.files.values()]
        return list(_live(records, held))

    def any_file(self, table: str) -> str | None:
        """The final key of one of the table's files; None while it has none."""
        last = self.last(table)
        if last and last.files:
            return next(iter(last.files.values()))
        return next((f for r in self._records(table) for f in r.files.values()), None)

    def fence(self, table: str, epoch: int) -> None:
        """A mark that a sleeping writer finds before its commit. Safety does not hang on it: the
        log takes one record a number, and none of a batch that is applied already."""
        self._store.put(_fence_key(table, epoch), b"")

    def check_next(self, job: BatchJob, last: BatchRecord | None) -> None:
        """Raises: CommitRaceError when a later claim was made, or this batch is in the table."""
        held = last.batch if last else None
        behind = held is not None and (
            held.epoch >= job.claim.epoch
            or held.applied > job.applied  # what is behind the checkpoint would be applied twice
            # Written without its new columns a batch is in the table, though not applied.
            or (not job.replay and (held.reapply or held.applied >= job.batch.first_seq))
        )
        if behind or self._store.head(_fence_key(job.dataset.table, job.claim.epoch)) is not None:
            raise overtaken(job)

    def commit(self, job: BatchJob, record: BatchRecord) -> None:
        """Raises: CommitRaceError when another writer was first."""
        self.check_next(job, None)
        key = _record_key(job.dataset.table, record.number)
        if put_first(self._store, key, record.to_bytes()):
            return
        held = self._get(job.dataset.table, record.number)
        if not held or BatchRecord.from_bytes(held).nonce != record.nonce:
            raise CommitRaceError(
                f"table {job.dataset.table!r}: another writer committed batch record "
                f"{record.number} first; nothing of this attempt is in the table, load again"
            )

    def publish(self, table: str, record: BatchRecord) -> None:
        """Raises: TableDamagedError when a file is neither in staging nor in the table."""
        self._store.delete(record.replaces)
        for staged, final in record.files.items():
            try:
                self._store.move(staged, final)
            except KeyError:
                # Somebody may have finished this while we stood still, and a later record have
                # replaced the file since.
                if self._store.head(final) is None and not self._is_published(table, record):
                    raise TableDamagedError(
                        table, final, f"batch record {record.number} names it, and it is not at "
                        f"{staged!r} either",
                    ) from None  # fmt: skip
        self._store.put(_published_key(table, record.number), b"")

    def _is_published(self, table: str, record: BatchRecord) -> bool:
        return self._store.head(_published_key(table, record.number)) is not None

    def _records(self, table: str) -> Iterator[BatchRecord]:
        for key in self._keys(table):
            yield BatchRecord.from_bytes(self._store.get(key))

    def _keys(self, table: str) -> list[str]:
        listed = self._store.list(batch_log_prefix(table))
        return [i.key for i in listed if i.size and i.key.endswith(".json")]

    def _has(self, table: str, number: int) -> bool:
        held = self._store.head(_record_key(table, number))
        return held is not None and held.size > 0

    def _get(self, table: str, number: int) -> bytes:
        """Empty where the log was closed or removed."""
        try:
            return self._store.get(_record_key(table, number))
        except KeyError:
            return _CLOSED


def _live(records: Iterable[BatchRecord], keys: Iterable[str]) -> Iterator[str]:
    """Where the rows of files are now; those whose rows were replaced are left out."""
    dead = {key for r in records for key in r.replaces}
    moved = {old: new for r in records for old, new in r.moved.items()}
    for key in keys:
        at = key
        while at in moved:
            at = moved[at]
        if at not in dead:
            yield at


def _record_key(table: str, number: int) -> str:
    return f"{batch_log_prefix(table)}{seq_name(number)}.json"


def _published_key(table: str, number: int) -> str:
    return f"{batch_log_prefix(table)}{seq_name(number)}.published"


def _fence_key(table: str, epoch: int) -> str:
    return f"{lock_prefix(table, epoch)}fenced"
