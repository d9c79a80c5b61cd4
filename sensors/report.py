"""Windows that are in raw or in a table without Dagster knowing: written by a shell, or by a run
that died between its commit and its event."""

from collections.abc import Callable, Collection, Iterable, Iterator

import dagster as dg

from assets.metadata import found_event, raw_event
from assets.translator import asset_key
from assets.windows import RawTally, Windows
from lake_platform.domain.bundle import Ports
from lake_platform.domain.offsets import RawCommit
from lake_platform.raw import log as raw_log
from sensors.due import Memory
from sensors.known import Known, apart

_EVENTS_PER_TICK = 200  # about 30 ms each
_TICK_MS = 10_000  # Dagster ends a tick after 60 s; the next one goes on where this one stopped


def settle(ports: Ports, memory: Memory, known: Known) -> None:
    """What the last tick reported is in Dagster by now, since its cursor was stored after it."""
    for table, seq in list(memory.reported.items()):
        if seq > known.progress[table].reported_seq:
            ports.metastore.update_progress(table, reported_seq=seq)
        else:
            del memory.reported[table]


def unreported_raw(
    ports: Ports, memory: Memory, known: Known, dumping: Collection[str], now_ms: int
) -> Iterator[dg.AssetMaterialization]:
    """One event per window for raw commits Dagster was not told of."""
    left = _EVENTS_PER_TICK
    for table, progress in known.progress.items():
        reported = max(progress.reported_seq, memory.reported.get(table, 0))
        if known.records[table].dataset.raw_from:
            continue  # the raw asset is another dataset's
        if table in dumping or reported >= progress.head_seq:
            continue
        if left <= 0 or ports.clock() - now_ms > _TICK_MS:
            return
        tally = RawTally()
        with apart(table):
            commits = raw_log.iter_commits_after(ports.store, table, reported)
            for commit in _reportable(commits, tally, left, known.windows, ports.clock, now_ms):
                memory.reported[table] = commit.seq
        yield from (raw_event(table, w, totals) for w, totals in sorted(tally.items()))
        left -= len(tally)


def unmarked_lake(
    ports: Ports,
    memory: Memory,
    known: Known,
    loading: Collection[str],
    instance: dg.DagsterInstance,
    now_ms: int,
) -> Iterator[dg.AssetMaterialization]:
    """One event per window that was applied and is not marked; looks once per applied commit."""
    left = _EVENTS_PER_TICK
    for table, progress in known.progress.items():
        marked, applied = memory.marked.get(table, 0), progress.applied_seq
        if table in loading or marked >= applied:
            continue
        if left <= 0 or ports.clock() - now_ms > _TICK_MS:
            return
        seen = instance.get_materialized_partitions(asset_key("lake", table))
        tally = RawTally()
        with apart(table):
            held = raw_log.of_table(ports.store, known.records[table].dataset, marked)
            commits = (c for c in held if c.seq <= applied)
            for commit in _reportable(commits, tally, left, known.windows, ports.clock, now_ms):
                memory.marked[table] = commit.seq
        missing = [w for w in sorted(tally) if w not in seen]
        yield from (found_event(table, w, tally[w].records) for w in missing)
        left -= len(missing)


def _reportable(
    commits: Iterable[RawCommit],
    tally: RawTally,
    most: int,
    windows: Windows,
    clock: Callable[[], int],
    now_ms: int,
) -> Iterator[RawCommit]:
    """Adds commits to `tally` up to `most` windows, and as long as the tick has time. Stops at a
    window that is no partition yet, the hour of a clock that is fast, or from before the partitions
    begin: it is reported when it is one."""
    for commit in commits:
        if tally and (len({*tally, *commit.windows}) > most or clock() - now_ms > _TICK_MS):
            return
        if not all(windows.has(w, now_ms) for w in commit.windows):
            return
        tally.add(commit)
        yield commit
