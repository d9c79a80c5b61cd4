"""Work of one use case spread over processes of this machine, and the version that needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lake_platform.domain.ports import Clock, Kafka
from lake_platform.domain.storage import ObjectStore

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
_Asked_contra = TypeVar("_Asked_contra", contravariant=True)
_Answer_co = TypeVar("_Answer_co", covariant=True)


class Job(Protocol[_Asked_contra, _Answer_co]):
    """One share of the work, picklable: it opens what it works with where it is done. Its text
    says in an error what was being done."""

    def open(
        self, kafka: Kafka, store: ObjectStore, clock: Clock
    ) -> AbstractContextManager[Callable[[_Asked_contra], _Answer_co]]: ...


class Crew(Protocol[_Asked_contra, Answer]):
    """The open jobs, in the order they were given."""

    def each(
        self,
        asked: Sequence[_Asked_contra | None],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> list[Answer | None]:
        """Asks each job, all at the same time, and waits for all answers; None asks nothing of it.
        `meanwhile` is done here while they work.

        Raises: what the first job to fail raised; WorkerLostError when its process ended. The crew
        is of no use then.
        """
        ...


class Pool(Protocol):
    @property
    def size(self) -> int:
        """How many jobs it can do at the same time."""
        ...

    def open(
        self, jobs: Sequence[Job[Asked, Answer]]
    ) -> AbstractContextManager[Crew[Asked, Answer]]:
        """At its end nothing of the jobs is left, whatever they were doing."""
        ...


@dataclass(frozen=True, slots=True)
class InProcess:
    """Does the jobs in this very process, one after the other, with these ports."""

    kafka: Kafka
    store: ObjectStore
    clock: Clock

    @property
    def size(self) -> int:
        return 1

    @contextmanager
    def open(self, jobs: Sequence[Job[Asked, Answer]]) -> Iterator[Crew[Asked, Answer]]:
        with ExitStack() as stack:
            ports = self.kafka, self.store, self.clock
            yield _InProcessCrew([stack.enter_context(job.open(*ports)) for job in jobs])


@dataclass(frozen=True, slots=True)
class _InProcessCrew(Generic[Asked, Answer]):
    work: Sequence[Callable[[Asked], Answer]]

    def each(
        self, asked: Sequence[Asked | None], meanwhile: Callable[[], object] = lambda: None
    ) -> list[Answer | None]:
        meanwhile()
        pairs = zip(self.work, asked, strict=True)
        return [None if one is None else work(one) for work, one in pairs]
