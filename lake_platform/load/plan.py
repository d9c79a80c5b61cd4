"""What is applied next: a claim that a writer left, a late commit to make good, or new commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from lake_platform.domain.batches import BatchRange, TableState
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.decisions import Decision, Ruling, ruling
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import Metastore, TableEngine
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import NotRunnableError
from lake_platform.load import claims
from lake_platform.load.crew import Decoders
from lake_platform.raw import log as raw_log


@dataclass(frozen=True, slots=True)
class Loading:
    """One dataset while it is loaded, with all that a load touches."""

    dataset: Dataset
    ports: Ports
    limits: Limits
    decoders: Decoders
    decisions: Sequence[Decision] = ()

    @property
    def table(self) -> str:
        return self.dataset.table

    @property
    def engine(self) -> TableEngine:
        return self.ports.engine(self.dataset.format)

    def rulings(
        self, commits: Sequence[RawCommit], *, asked: bool
    ) -> list[tuple[Ruling, list[RawCommit]]]:
        """Neighbours of one ruling together. A replay that was `asked` for puts aside what would
        stop a table: there such records are since they were applied first."""
        usual = self.dataset.on_conflict or self.limits.on_conflict
        if asked and usual == "block":
            usual = "quarantine"
        each = ((ruling(usual, self.decisions, c.seq), c) for c in commits)
        return [(held, [c for _, c in some]) for held, some in groupby(each, lambda pair: pair[0])]

    def state(self) -> TableState:
        """Before the first batch a table has all that it is not made of."""
        found, after = self.engine.state(self.dataset), self.dataset.raw_span.after
        return found if found.applied >= after else replace(found, applied=after)

    def commits_of(self, batch: BatchRange) -> tuple[RawCommit, ...]:
        held = raw_log.of_table(self.ports.store, self.dataset, batch.first_seq - 1)
        return tuple(takewhile(lambda c: c.seq <= batch.last_seq, held))


def runnable(table: str, metastore: Metastore) -> DatasetRecord:
    """Raises: DatasetNotFoundError, NotRunnableError."""
    record = metastore.get(table)
    if record.status in {Status.PAUSED, Status.RETIRED, Status.BLOCKED}:
        raise NotRunnableError(table, record.status)
    return record


def decided(dataset: Dataset, ports: Ports) -> Sequence[Decision]:
    """Of the live table; one that is made anew has some of its own besides."""
    found = list(ports.metastore.decisions(dataset.live_table))
    if dataset.live_table != dataset.table:
        found += ports.metastore.decisions(dataset.table)
    return found


@dataclass(frozen=True, slots=True)
class Work:
    """One batch to apply: its commits in order, and what the checkpoint says afterwards. `asked`:
    a person asked for this replay, which stops no table."""

    commits: tuple[RawCommit, ...]
    applied: int
    replay: bool
    undone: tuple[str, ...] = ()
    asked: bool = False

    @property
    def batch(self) -> BatchRange:
        return BatchRange(self.commits[0].seq, self.commits[-1].seq)

    @property
    def windows(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for raw in (o for c in self.commits for o in c.objects):
            counted[raw.window] += raw.records
        return counted


def is_pending(dataset: Dataset, ports: Ports, applied: int) -> bool:
    """Whether raw commits wait behind `applied`: two LISTs."""
    waiting = raw_log.of_table(ports.store, dataset, applied)
    return next(waiting, None) is not None


def next_work(
    loading: Loading,
    state: TableState,
    left: claims.LeftClaim | None,
    replayed: Iterator[tuple[RawCommit, ...]],
    *,
    only: bool = False,
) -> Work | None:
    """None when there is nothing to do; `replayed` is what is left of a replay, `only` that is
    asked for."""
    if state.doubled:
        return _since_doubled(loading, state)
    last = state.last
    if last is not None and last.reapply:
        applied = max(state.applied, last.batch.last_seq)
        return Work(loading.commits_of(last.batch), applied, replay=True)
    if again := next(replayed, ()):
        # Another writer may have applied more since the replay began.
        return Work(again, state.applied, replay=True, asked=True)
    if only:
        return None
    commits = _pending(loading, state, left)
    return Work(tuple(commits), commits[-1].seq, replay=False) if commits else None


def undoing(loading: Loading, state: TableState) -> Work:
    """The batch that a zombie committed late, to be taken out of an append table."""
    return Work(loading.commits_of(state.doubled[0].batch), state.applied, replay=True)


def fitting(commits: Iterable[RawCommit], most_bytes: int) -> list[RawCommit]:
    """The first commit whatever its size, and those behind it that fit with it."""
    chosen: list[RawCommit] = []
    size = 0
    for commit in commits:
        size += commit.raw_bytes
        if chosen and size > most_bytes:
            break
        chosen.append(commit)
    return chosen


def _pending(loading: Loading, state: TableState, left: claims.LeftClaim | None) -> list[RawCommit]:
    """The batch of a claim that a writer left, else as many commits as fit a batch."""
    commits = raw_log.of_table(loading.ports.store, loading.dataset, state.applied)
    claim = left.claim if left else None
    if claim and not claim.replay and claim.batch.first_seq == state.applied + 1:
        return list(takewhile(lambda c: c.seq <= claim.batch.last_seq, commits))
    return fitting(commits, loading.limits.batch_bytes)


def _since_doubled(loading: Loading, state: TableState) -> Work:
    """All since the batch that a zombie committed late: an upsert table merged it, so it cannot be
    taken out, and keys that were deleted in between may be back."""
    first = min(d.batch.first_seq for d in state.doubled)
    commits = loading.commits_of(BatchRange(first, state.applied))
    undone = tuple(d.instant for d in state.doubled)
    return Work(commits, state.applied, replay=True, undone=undone)
