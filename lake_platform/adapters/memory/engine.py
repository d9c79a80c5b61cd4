"""A TableEngine without Spark: the same promises on a commit log of its own in the object store.

`lake/<table>/commits/<number>.json` holds checkpoint and rows of one batch, put-if-absent: one
writer wins a number. The table is what the commits say when they are read in order.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lake_platform.adapters.memory.events import Commit, Event, Row, applied, merge
from lake_platform.adapters.moving import empty, move
from lake_platform.domain.batches import (
    BatchJob,
    BatchRange,
    Claim,
    Judgement,
    Layout,
    TableProfile,
    TableState,
    WriteResult,
    overtaken,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Names
from lake_platform.domain.layout import lock_prefix, seq_name, table_prefix
from lake_platform.domain.own_columns import ORDER, PLACE
from lake_platform.domain.ports import Still
from lake_platform.domain.schema import Array, Map, Struct, Type
from lake_platform.domain.storage import ObjectStore, put_first
from lake_platform.errors import (
    CommitRaceError,
    EngineError,
    UnsupportedError,
)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class MemoryEngine:
    """Keeps values as JSON has them. SQL (transforms, `delete_when`) needs Spark."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def heavy(self, dataset: Dataset) -> bool:  # noqa: ARG002 - port
        return False

    def warm(self, dataset: Dataset) -> None:
        """Nothing takes time to start."""

    def state(self, dataset: Dataset) -> TableState:
        last = self._last(dataset.table)
        return TableState(True, last.batch.applied, last.batch) if last else TableState(False, 0)

    def check_steps(self, dataset: Dataset) -> None:
        """There are none (see `derive`)."""

    def derive(self, dataset: Dataset, source: Struct, seen: Struct | None = None) -> Struct:  # noqa: ARG002
        _check_supported(dataset)
        return source

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[Names]:  # noqa: ARG002
        return frozenset()

    def exact_as_double(self, dataset: Dataset, paths: Collection[str]) -> bool:  # noqa: ARG002
        return False

    def judge(self, job: BatchJob) -> Judgement:
        _check_supported(job.dataset)
        return Judgement()

    def write(self, job: BatchJob) -> WriteResult:
        _check_supported(job.dataset)
        table = job.dataset.table
        last = self._last(table)
        # Before the look at the fence, which is there before a number of a new table is.
        number = self._next(job.dataset, last)
        if self._fenced(job) or not _is_next(job, last):
            raise overtaken(job)
        events = tuple(self._events(job))
        before = self._fold(job.dataset)
        commit = Commit(job.claim.nonce, applied(job, number, events, before), events)
        key, data = _commit_key(table, number), commit.to_bytes()
        if not put_first(self._store, key, data):
            held = self._store.get(key)
            if not held or Commit.from_bytes(held).nonce != commit.nonce:
                raise overtaken(job)
        return WriteResult(commit.batch, job.table_schema, files=1, bytes=len(data))

    def fence(self, dataset: Dataset, epoch: int) -> None:
        self._store.put(_fence_key(dataset.table, epoch), b"")

    def align(self, dataset: Dataset, batch: BatchRange) -> BatchRange:  # noqa: ARG002 - port
        return batch

    def profile(self, dataset: Dataset) -> TableProfile:
        rows = self.rows(dataset)
        named = dataset.primary_key if dataset.mode == "upsert" else PLACE
        keys = [tuple(row.get(c) for c in named) for row in rows]
        return TableProfile(len(rows), len(set(keys)), sum(None in k for k in keys))

    def newest_rows(
        self, dataset: Dataset, columns: Sequence[str], limit: int
    ) -> Sequence[Mapping[str, Any]]:
        last = self._last(dataset.table)
        rows = [e.row for e in last.events if e.row is not None] if last else []
        return [{c: row[c] for c in columns if c in row} for row in rows[:limit]]

    def uncompacted(self, dataset: Dataset) -> int:  # noqa: ARG002 - port
        return 0

    def compact(self, dataset: Dataset, claim: Claim) -> bool:  # noqa: ARG002 - port
        return True

    def undo(self, dataset: Dataset, state: TableState, claim: Claim) -> None:  # noqa: ARG002
        raise UnsupportedError(f"table {dataset.table!r}: a batch cannot be committed twice here")

    def clear(self, dataset: Dataset, still: Still) -> None:
        """The numbers of its commits stay taken, and the next one, as in the log of Parquet."""
        while True:
            last, keys = self._last(dataset.table), self._keys(dataset.table)
            key = _commit_key(dataset.table, self._next(dataset, last))
            still()
            if self._store.put_new(key, b"") or key not in self._keys(dataset.table):
                break
        empty(self._store, keys, still)

    def move_in(self, shadow: Dataset, dataset: Dataset, still: Still) -> None:
        source, target = table_prefix(shadow.table), table_prefix(dataset.table)
        held = [i.key.removeprefix(source) for i in self._store.list(source)]
        move(self._store, [(source + name, target + name) for name in held], still)

    def rows(self, dataset: Dataset) -> list[Row]:
        """The table as a reader sees it."""
        return [e.row for e in self._fold(dataset).values() if e.row is not None]

    def _fold(self, dataset: Dataset) -> dict[Any, Event]:
        held: dict[Any, Event] = {}
        for commit in self._commits(dataset.table):
            for event in sorted(commit.events, key=lambda e: e.place):
                if dataset.mode == "upsert":
                    merge(held, event, dataset.ordering_field)
                else:
                    # A batch that comes twice must show as doubled, a replay must not.
                    place = (event.partition, event.offset)
                    same = place in held and not commit.batch.replay
                    held[(*place, commit.batch.instant) if same else place] = event
        return held

    def layout(self, dataset: Dataset) -> Layout | None:  # noqa: ARG002 - port
        return None

    def _events(self, job: BatchJob) -> Iterator[Event]:
        refused = {(e.partition, e.offset) for e in job.refused}
        for d in job.deletes:
            key = tuple(d.key[c] for c in job.dataset.primary_key)
            yield Event(d.partition, d.offset, d.order, key, None)
        for staged in job.staged:
            for row in self._rows(staged.key):
                given = row.pop(ORDER, None)  # upsert tables have it
                order = int(given.split("-")[-2]) if given else 0
                known = {n: v for n, v in row.items() if n.startswith("_kafka_")}
                shaped = _shaped(row, job.table_schema)
                key = tuple(shaped.get(c) for c in job.dataset.primary_key)
                place = (known["_kafka_partition"], known["_kafka_offset"])
                if place in refused:
                    continue
                yield Event(*place, order, key, {**shaped, **known})
        for gone in job.removed:
            yield Event(gone.partition, gone.offset, 0, (), None)

    def _rows(self, key: str) -> list[Row]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            data = self._store.get(key)
        except KeyError:
            raise EngineError(
                f"staged file {key!r} went away while it was read; nothing was written, load again"
            ) from None
        table = pq.read_table(pa.BufferReader(data), use_threads=False)  # a few rows
        plain: list[Row] = table.to_pylist(maps_as_pydicts="strict")
        return [{n: _as_json(v) for n, v in row.items()} for row in plain]

    def _fenced(self, job: BatchJob) -> bool:
        return self._store.head(_fence_key(job.dataset.table, job.claim.epoch)) is not None

    def _last(self, table: str) -> Commit | None:
        keys = self._keys(table)
        return Commit.from_bytes(self._commit(keys[-1])) if keys else None

    def _commits(self, table: str) -> Iterator[Commit]:
        for key in self._keys(table):
            yield Commit.from_bytes(self._commit(key))

    def _next(self, dataset: Dataset, last: Commit | None) -> int:
        """The number behind `last`. That of a first commit is above those of a table that was
        swapped for this one."""
        if last is not None:
            return int(last.batch.instant) + 1
        listed = self._store.list(f"{table_prefix(dataset.table)}commits/")
        closed = [i.key for i in listed if not i.size]
        numbers = (int(key.rsplit("/", 1)[1].removesuffix(".json")) for key in closed)
        return 1 + max((dataset.first_epoch, *numbers))

    def _keys(self, table: str) -> list[str]:
        return [i.key for i in self._store.list(f"{table_prefix(table)}commits/") if i.size]

    def _commit(self, key: str) -> bytes:
        try:
            data = self._store.get(key)
        except KeyError:
            data = b""
        if not data:
            raise CommitRaceError(
                f"commit {key!r} went away while it was read: the table is rebuilt or swapped; try "
                f"again"
            )
        return data


def _is_next(job: BatchJob, last: Commit | None) -> bool:
    """Whether nobody with a later claim, and nobody with this very batch, was here before."""
    if last is None:
        return True
    if last.batch.epoch >= job.claim.epoch or last.batch.applied > job.applied:
        return False  # the checkpoint never goes back: what is behind it would be applied twice
    # Written without its new columns a batch is in the table, though not applied.
    return job.replay or (last.batch.applied < job.batch.first_seq and not last.batch.reapply)


def _as_json(value: Any) -> Any:
    """As the record had it, or a text that says the same."""
    if isinstance(value, dict):
        return {n: _as_json(v) for n, v in value.items()}
    if isinstance(value, list):
        return [_as_json(v) for v in value]
    if isinstance(value, dt.datetime):
        return int((value - _EPOCH) / dt.timedelta(milliseconds=1))
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _shaped(value: Any, kind: Type) -> Any:
    """`value` with the columns of `kind` only, NULL where it lacks one, as a projection does."""
    if value is None:
        return None
    if isinstance(kind, Struct):
        return {f.name: _shaped(value.get(f.name), f.type) for f in kind.fields}
    if isinstance(kind, Array):
        return [_shaped(item, kind.element) for item in value]
    if isinstance(kind, Map):
        return {name: _shaped(item, kind.value) for name, item in value.items()}
    return value


def _commit_key(table: str, number: int) -> str:
    return f"{table_prefix(table)}commits/{seq_name(number)}.json"


def _fence_key(table: str, epoch: int) -> str:
    return f"{lock_prefix(table, epoch)}fenced"


def _check_supported(dataset: Dataset) -> None:
    if dataset.transformed or dataset.delete_when:
        raise UnsupportedError(
            f"dataset {dataset.table!r}: SQL needs Spark; the engine in memory has neither "
            f"transforms nor delete_when"
        )
