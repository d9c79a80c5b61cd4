"""A replay that a person asks for: which windows it means, and how much there is to do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lake_platform.domain.bundle import Limits
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import Metastore
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import InvalidFieldError
from lake_platform.load.replay import check_window, course_of
from lake_platform.raw import log as raw_log

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Span:
    """Windows by name, or all from `first` to `last`, both included; None is open."""

    windows: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """`to_end`: later records delete, so all behind the first window is applied again, too."""

    table: str
    windows: tuple[str, ...]
    batches: int
    records: int
    to_end: bool


def span(
    windows: Sequence[str] = (),
    first: str | None = None,
    last: str | None = None,
    *,
    every: bool = False,
) -> Span:
    """What was asked for, of which exactly one must be. Raises: InvalidFieldError."""
    for window in (*windows, *(w for w in (first, last) if w is not None)):
        check_window(window)
    ways = [bool(windows), first is not None or last is not None, every]
    if sum(ways) != 1:
        raise InvalidFieldError(
            "windows", list(windows), "not one choice of windows" if any(ways) else "none is named",
            "name windows, or the first and last of a range, or say that you mean all",
        )  # fmt: skip
    if first is not None and last is not None and last < first:
        raise InvalidFieldError("to", last, f"before from={first}", "give the earlier hour first")
    return Span(tuple(windows), first, last)


def plan(
    table: str, store: ObjectStore, metastore: Metastore, limits: Limits, asked: Span
) -> ReplayPlan:
    """Changes nothing. Raises: DatasetNotFoundError; InvalidFieldError, which names the windows
    that there are."""
    dataset, applied = metastore.get(table).dataset, metastore.progress(table).applied_seq
    held = {c.seq: c for c in raw_log.of_table(store, dataset) if c.seq <= applied}
    windows = _chosen(table, windows_in(held.values()), asked)
    wanted = set(windows)
    hit = [s for s, c in held.items() if wanted.intersection(c.windows)]
    counted = metastore.counted_batches(table, 1, applied)
    limit = limits.batch_bytes
    course = course_of(dataset, held, hit, counted, limit)
    records = sum(held[s].records for s in course.seqs())
    return ReplayPlan(table, tuple(windows), len(course.runs), records, course.to_end)


def windows_in(commits: Collection[RawCommit]) -> list[str]:
    return sorted({w for c in commits for w in c.windows})


def check_there(field: str, wanted: Collection[str], there: Sequence[str]) -> None:
    """Raises: InvalidFieldError for a window of which nothing was applied."""
    missing = sorted(set(wanted).difference(there))
    if missing:
        raise InvalidFieldError(
            field, missing[0], "no record of this hour was applied", _named(there)
        )


def _chosen(table: str, there: Sequence[str], asked: Span) -> list[str]:
    check_there("windows", asked.windows, there)
    if asked.windows:
        return sorted(set(asked.windows))
    found = list(_between(there, asked))
    if not found:
        raise InvalidFieldError(
            "windows", f"{asked.first or '…'} to {asked.last or '…'}",
            f"nothing of these hours was applied to {table}", _named(there),
        )  # fmt: skip
    return found


def _between(there: Sequence[str], asked: Span) -> Iterator[str]:
    for window in there:
        if (asked.first or window) <= window <= (asked.last or window):
            yield window


def _named(there: Sequence[str]) -> str:
    if not there:
        return "nothing was applied yet, so there is nothing to replay: load first"
    if len(there) <= _SHOWN:
        return f"there is {', '.join(there)}"
    return f"there are {len(there)} windows from {there[0]} to {there[-1]}, not each hour has one"
