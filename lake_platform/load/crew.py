"""Processes that decode the raw objects of a load, opened for the first batch that is large."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from lake_platform.domain.offsets import RawObject
from lake_platform.domain.pool import Crew, Pool
from lake_platform.domain.ports import Clock, Kafka
from lake_platform.domain.storage import ObjectStore
from lake_platform.load.stage import (
    Question,
    Staged,
    shares,
    stage_objects,
    together,
    without_doubled,
)

# A process needs half a second to start, in which this one decodes some 30 MB.
_POOL_BYTES = 32 << 20
_MOST_TASKS = 1_000  # of a batch, which has some gigabytes at most


@dataclass(frozen=True, slots=True)
class _Task:
    question: Question
    objects: tuple[RawObject, ...]
    number: int


@dataclass(frozen=True, slots=True)
class _Decoding:
    """The job of one process."""

    table: str

    def __str__(self) -> str:
        return f"decoding raw objects of {self.table!r}"

    @contextmanager
    def open(
        self,
        kafka: Kafka,  # noqa: ARG002 - port
        store: ObjectStore,
        clock: Clock,  # noqa: ARG002 - port
    ) -> Iterator[Callable[[_Task], Staged]]:
        yield lambda task: _stage(store, task)


def _stage(store: ObjectStore, task: _Task) -> Staged:
    import pyarrow as pa

    try:
        return stage_objects(store, task.question, task.objects, task.number)
    finally:
        pa.default_memory_pool().release_unused()  # what comes next is the engine's: half of ours


class Decoders:
    """`with Decoders(...) as decoders: decoders.stage(...)`, batch by batch."""

    def __init__(self, table: str, store: ObjectStore, pool: Pool | None) -> None:
        self._table, self._store, self._pool = table, store, pool
        self._stack = ExitStack()
        self._crew: Crew[_Task, Staged] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """Ends the processes: their memory is for whoever writes. The next large batch starts new
        ones."""
        self._stack.close()
        self._crew = None

    def stage(self, question: Question, objects: Sequence[RawObject], part: int = 0) -> Staged:
        """`part` tells questions of one batch apart.

        Raises: CorruptRawError when an object is not what its commit says; NotDecodedError;
        StorageUnavailableError; WorkerLostError."""
        return without_doubled(question, lambda asked: self._stage(asked, objects, part))

    def _stage(self, question: Question, objects: Sequence[RawObject], part: int) -> Staged:
        pays = sum(o.raw_bytes for o in objects) >= _POOL_BYTES
        pool = self._pool if pays else None
        tasks = [
            _Task(question, chosen, part * _MOST_TASKS + number)
            for number, chosen in enumerate(shares(objects, pool.size if pool else 1))
        ]
        if pool is None or len(tasks) == 1:
            parts = [stage_objects(self._store, question, t.objects, t.number) for t in tasks]
        else:
            parts = list(self._shared(pool, tasks))
        return together(question, parts, self._store)

    def _shared(self, pool: Pool, tasks: Sequence[_Task]) -> Iterator[Staged]:
        """This process does a share, too."""
        crew, size = self._opened(pool), pool.size
        for first in range(0, len(tasks), size):
            mine, *others = tasks[first : first + size]
            own: list[Staged] = []
            given = [*others, *[None] * (size - 1 - len(others))]
            answers = crew.each(given, partial(self._do, mine, own))
            yield from own
            yield from (a for a in answers if a is not None)

    def _do(self, task: _Task, done: list[Staged]) -> None:
        done.append(_stage(self._store, task))

    def _opened(self, pool: Pool) -> Crew[_Task, Staged]:
        if self._crew is None:
            jobs = [_Decoding(self._table)] * (pool.size - 1)
            self._crew = self._stack.enter_context(pool.open(jobs))
        return self._crew
