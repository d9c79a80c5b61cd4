"""Which applied commits a replay applies again, and in what batches."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from lake_platform.domain.batches import BatchRange, CountedBatch
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.windows import window_start_ms
from lake_platform.errors import InvalidFieldError, LakeError, RawExpiredError
from lake_platform.load import unfinished
from lake_platform.load.plan import Loading
from lake_platform.load.unfinished import Unfinished
from lake_platform.raw import log as raw_log

_log = structlog.get_logger(__name__)
Batches = Generator[tuple[RawCommit, ...]]


@dataclass(frozen=True, slots=True)
class Course:
    """`runs` of raw commits, in order, each of which is one batch. `to_end`: it must come to the
    end of the log, for later records delete."""

    runs: tuple[BatchRange, ...] = ()
    to_end: bool = False

    def seqs(self) -> list[int]:
        return [s for r in self.runs for s in r.seqs]


def replayed(
    loading: Loading,
    windows: Sequence[str],
    seqs: Collection[int] = (),
    left: Unfinished | None = None,
) -> Batches:
    """The commits of batches that cover all applied commits of `windows` and `seqs`, in order.
    `left`: a replay that was cut off; this one goes on with it.

    Raises: before the first, RawExpiredError when raw retention removed the objects of one;
    InvalidFieldError for a window that is none; BatchClaimedError.
    """
    for window in windows:
        check_window(window)
    table, applied = loading.table, loading.state().applied
    log = raw_log.of_table(loading.ports.store, loading.dataset)
    held = {c.seq: c for c in log if c.seq <= applied}
    wanted, named = set(windows), set(seqs)
    hit = [s for s, c in held.items() if s in named or wanted.intersection(c.windows)]
    counted = loading.ports.metastore.counted_batches(table, 1, applied)
    limit, dataset = loading.limits.batch_bytes, loading.dataset
    course = course_of(dataset, held, hit, counted, limit, left.first_seq if left else 0)
    _check_all_kept(loading, held, course)
    if left and not course.runs:
        unfinished.leave(table, loading.ports, left, done=True)
    yield from _all(loading, held, course)


def course_of(
    dataset: Dataset,
    held: Mapping[int, RawCommit],
    hit: Collection[int],
    counted: Sequence[CountedBatch],
    most_bytes: int,
    left_at: int = 0,
) -> Course:
    """How to apply the commits `hit` of those applied (`held`) again. All from `left_at` on is
    still to be applied again, if it is not 0."""
    # What raw retention took since then nobody can apply again, and must not stop the rest.
    left = [s for s, c in held.items() if s >= left_at and not c.expired_at] if left_at else []
    units = _units(held, sorted({*hit, *left}), counted)
    if not units:
        return Course()
    first = units[0].first_seq
    to_end = bool(left) or _deletes_after(dataset, list(held.values()), first)
    if to_end:
        units = _units(held, [s for s in held if s >= first], counted)
    return Course(tuple(_runs(units, held, most_bytes)), to_end)


def check_window(window: str) -> None:
    """Raises: InvalidFieldError."""
    try:
        window_start_ms(window)
    except ValueError:
        raise InvalidFieldError(
            "windows", window, "is no window", "give full hours in UTC, as in 2026-11-01-10:00"
        ) from None


def check_kept(table: str, commits: Sequence[RawCommit]) -> None:
    """Raises: RawExpiredError when raw retention removed the objects of one."""
    gone = [c for c in commits if c.expired_at]
    if gone:
        windows = sorted({w for c in gone for w in c.windows})
        raise RawExpiredError(table, gone[0].seq, gone[-1].seq, windows)


def _all(loading: Loading, held: Mapping[int, RawCommit], course: Course) -> Batches:
    table, ports = loading.table, loading.ports
    mark = None
    if course.to_end:
        mark = unfinished.begin(table, ports, loading.limits, course.runs[0].first_seq)
    done, position = False, 0
    try:
        for run in course.runs:
            if run.last_seq <= position:
                continue
            # Only now: a replay beside this one may have made larger batches of them.
            whole = _aligned(loading, run, position)
            if mark:
                mark = unfinished.stands_at(table, ports, mark, min(whole.first_seq, run.first_seq))
            position = whole.last_seq
            yield tuple(c for s, c in held.items() if s in whole.seqs)
        done = True
    finally:
        if mark:
            _leave(loading, mark, done=done)


def _leave(loading: Loading, mark: Unfinished, *, done: bool) -> None:
    """What ended the replay is what an operator must see; that it is over shows by its process."""
    try:
        unfinished.leave(loading.table, loading.ports, mark, done=done)
    except LakeError as error:
        _log.warning("the replay's end was not noted", dataset=loading.table, error=str(error))


def _aligned(loading: Loading, run: BatchRange, position: int = 0) -> BatchRange:
    """What the engine can replace as a whole."""
    rest = BatchRange(max(run.first_seq, position + 1), run.last_seq)
    return loading.engine.align(loading.dataset, rest)


def _check_all_kept(loading: Loading, held: Mapping[int, RawCommit], course: Course) -> None:
    if any(c.expired_at for c in held.values()):
        spans = [_aligned(loading, run) for run in course.runs]
        wanted = {s for w in spans for s in w.seqs}
        check_kept(loading.table, [c for s, c in held.items() if s in wanted])


def _units(
    held: Mapping[int, RawCommit], hit: Sequence[int], counted: Sequence[CountedBatch]
) -> list[BatchRange]:
    """Whole batches as they are counted: the numbers of a part of one could not be told from those
    of the rest. Only what is wanted of one that is not whole any more."""
    found: list[BatchRange] = []
    batches, position = iter(counted), 0
    batch = next(batches, None)
    for seq in hit:
        if seq <= position:
            continue
        while batch is not None and batch.batch.last_seq < seq:
            batch = next(batches, None)
        whole = batch.batch if batch is not None and batch.batch.first_seq <= seq else None
        unit = whole if whole and _is_kept(held, whole, position) else BatchRange(seq, seq)
        found.append(unit)
        position = unit.last_seq
    return found


def _is_kept(held: Mapping[int, RawCommit], batch: BatchRange, position: int) -> bool:
    commits = [held.get(s) for s in batch.seqs]
    return batch.first_seq > position and all(c and not c.expired_at for c in commits)


def _runs(
    units: Sequence[BatchRange], held: Mapping[int, RawCommit], most_bytes: int
) -> list[BatchRange]:
    """Neighbours together as far as they fit a batch."""
    runs: list[BatchRange] = []
    size = 0
    for unit in units:
        more = sum(held[s].raw_bytes for s in unit.seqs)
        if runs and runs[-1].last_seq + 1 == unit.first_seq and size + more <= most_bytes:
            runs[-1] = BatchRange(runs[-1].first_seq, unit.last_seq)
            size += more
        else:
            runs.append(unit)
            size = more
    return runs


def _deletes_after(dataset: Dataset, held: Sequence[RawCommit], seq: int) -> bool:
    """A replay must not bring back what a later record deleted: then it goes on to the end."""
    if dataset.mode != "upsert":
        return False
    later = (o for c in held if c.seq >= seq for o in c.objects)
    conditions = bool(dataset.delete_when) or dataset.filtered == "delete"
    conditions = conditions or dataset.envelope != "none"
    return conditions or any(o.tombstones for o in later)
