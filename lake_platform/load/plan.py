"""What is applied next: a claim that a writer left, a late commit to make good, or new commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lake_platform.domain.batches import BatchRange, TableState
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision, Ruling, borders, ruling
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import TableEngine
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

    @property
    def borders(self) -> frozenset[int]:
        """No batch goes past one: `domain.decisions.borders`."""
        return borders(self.decisions)

    def ruling(self, commits: Sequence[RawCommit]) -> Ruling:
        usual = self.dataset.on_conflict or self.limits.on_conflict
        return ruling(usual, self.decisions, commits[0].seq)

    def state(self) -> TableState:
        return self.engine.state(self.dataset)

    def commits_of(self, batch: BatchRange) -> tuple[RawCommit, ...]:
        held = raw_log.iter_commits_after(self.ports.store, self.table, batch.first_seq - 1)
        return tuple(takewhile(lambda c: c.seq <= batch.last_seq, held))


@dataclass(frozen=True, slots=True)
class Work:
    """One batch to apply: its commits in order, and what the checkpoint says afterwards."""

    commits: tuple[RawCommit, ...]
    applied: int
    replay: bool
    undone: tuple[str, ...] = ()

    @property
    def batch(self) -> BatchRange:
        return BatchRange(self.commits[0].seq, self.commits[-1].seq)

    @property
    def windows(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for raw in (o for c in self.commits for o in c.objects):
            counted[raw.window] += raw.records
        return counted


def is_pending(table: str, ports: Ports, applied: int) -> bool:
    """Whether raw commits wait behind `applied`: two LISTs."""
    return next(raw_log.iter_commits_after(ports.store, table, applied), None) is not None


def next_work(
    loading: Loading,
    state: TableState,
    left: claims.LeftClaim | None,
    replayed: Iterator[tuple[RawCommit, ...]] | None,
) -> Work | None:
    """None when there is nothing to do; `replayed` is what is left of a replay."""
    if state.doubled:
        return _since_doubled(loading, state)
    last = state.last
    if last is not None and last.reapply:
        applied = max(state.applied, last.batch.last_seq)
        return Work(loading.commits_of(last.batch), applied, replay=True)
    if replayed is not None:
        again = next(replayed, ())
        # Another writer may have applied more since the replay began.
        return Work(again, state.applied, replay=True) if again else None
    commits = _pending(loading, state, left)
    return Work(tuple(commits), commits[-1].seq, replay=False) if commits else None


def undoing(loading: Loading, state: TableState) -> Work:
    """The batch that a zombie committed late, to be taken out of an append table."""
    return Work(loading.commits_of(state.doubled[0].batch), state.applied, replay=True)


def fitting(commits: Iterable[RawCommit], loading: Loading) -> list[RawCommit]:
    """The first commit whatever its size, and those behind it that fit with it."""
    chosen: list[RawCommit] = []
    most_bytes, new = loading.limits.batch_bytes, loading.borders
    size = 0
    for commit in commits:
        size += commit.raw_bytes
        if chosen and (size > most_bytes or commit.seq in new):
            break
        chosen.append(commit)
    return chosen


def _pending(loading: Loading, state: TableState, left: claims.LeftClaim | None) -> list[RawCommit]:
    """The batch of a claim that a writer left, else as many commits as fit a batch."""
    commits = raw_log.iter_commits_after(loading.ports.store, loading.table, state.applied)
    claim = left.claim if left else None
    if claim and not claim.replay and claim.batch.first_seq == state.applied + 1:
        return list(takewhile(lambda c: c.seq <= claim.batch.last_seq, commits))
    return fitting(commits, loading)


def _since_doubled(loading: Loading, state: TableState) -> Work:
    """All since the batch that a zombie committed late: an upsert table merged it, so it cannot be
    taken out, and keys that were deleted in between may be back."""
    first = min(d.batch.first_seq for d in state.doubled)
    commits = loading.commits_of(BatchRange(first, state.applied))
    undone = tuple(d.instant for d in state.doubled)
    return Work(commits, state.applied, replay=True, undone=undone)
