"""Which applied commits a replay applies again, and in what batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lake_platform.domain.batches import BatchRange
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.windows import window_start_ms
from lake_platform.errors import InvalidFieldError, RawExpiredError
from lake_platform.load.plan import Loading, fitting
from lake_platform.raw import log as raw_log


def replayed(loading: Loading, windows: Sequence[str]) -> Iterator[tuple[RawCommit, ...]]:
    """The commits of batches that cover all applied commits of `windows`, in order.

    Raises: before the first, RawExpiredError when raw retention removed the objects of one;
    InvalidFieldError for a window that is none.
    """
    for window in windows:
        _check_window(window)
    table, applied = loading.table, loading.state().applied
    log = raw_log.commits_after(loading.ports.store, table, 0)
    held = [c for c in log if c.seq <= applied]
    wanted = set(windows)
    hit = [c.seq for c in held if wanted.intersection(c.windows)]
    if not hit:
        return
    last = applied if _deletes_after(loading.dataset, held, hit[0]) else hit[-1]
    seqs = set(hit) if last == hit[-1] else set(range(hit[0], last + 1))
    check_kept(table, [c for c in held if c.seq in seqs])
    position = 0
    while position <= last:
        todo = [c for c in held if c.seq > position and c.seq in seqs]
        if not todo:
            return
        run = _contiguous(fitting(todo, loading))
        whole = loading.engine.align(loading.dataset, BatchRange(run[0].seq, run[-1].seq))
        chosen = [c for c in held if whole.first_seq <= c.seq <= whole.last_seq]
        position = whole.last_seq
        yield tuple(chosen)


def _check_window(window: str) -> None:
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


def _contiguous(commits: Sequence[RawCommit]) -> list[RawCommit]:
    run = [commits[0]]
    for commit in commits[1:]:
        if commit.seq != run[-1].seq + 1:
            break
        run.append(commit)
    return run


def _deletes_after(dataset: Dataset, held: Sequence[RawCommit], seq: int) -> bool:
    """A replay must not bring back what a later record deleted: then it goes on to the end."""
    if dataset.mode != "upsert":
        return False
    later = (o for c in held if c.seq >= seq for o in c.objects)
    return bool(dataset.delete_when) or any(o.tombstones for o in later)
