"""Windows that are in raw or in a table without Dagster knowing: written by a shell, or by a run
that died between its commit and its event."""

from collections.abc import Collection, Iterator

import dagster as dg

from assets.metadata import found_event, raw_event
from assets.translator import asset_key
from assets.windows import RawTally, is_window
from lake_platform.ingest import raw_log
from lake_platform.ingest.results import Ports
from sensors.due import Memory
from sensors.known import Known

_EVENTS_PER_TICK = 200  # about 30 ms each


def settle(ports: Ports, memory: Memory, known: Known) -> None:
    """What the last tick reported is in Dagster by now, since its cursor was stored after it."""
    memory.keep_only(known.records)
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
        if table in dumping or reported >= progress.head_seq:
            continue
        tally = RawTally()
        for commit in raw_log.iter_commits_after(ports.store, table, reported):
            if tally and len({*tally, *commit.windows}) > left:
                break
            tally.add(commit)
            memory.reported[table] = commit.seq
        for window, totals in sorted(tally.items()):
            if is_window(window, now_ms):
                yield raw_event(table, window, totals)
        left -= len(tally)
        if left <= 0:
            return


def unmarked_lake(
    ports: Ports,
    memory: Memory,
    known: Known,
    loading: Collection[str],
    instance: dg.DagsterInstance,
) -> Iterator[dg.AssetMaterialization]:
    """One event per window that was applied and is not marked; looks once per applied commit."""
    left, now_ms = _EVENTS_PER_TICK, ports.clock()
    for table, progress in known.progress.items():
        marked = memory.marked.get(table, 0)
        if table in loading or marked >= progress.applied_seq:
            continue
        seen = instance.get_materialized_partitions(asset_key("lake", table))
        tally = RawTally()
        for commit in raw_log.iter_commits_after(ports.store, table, marked):
            if commit.seq > progress.applied_seq or len(tally) > left:
                break
            tally.add(commit)
            memory.marked[table] = commit.seq
        missing = [w for w in sorted(tally) if w not in seen and is_window(w, now_ms)]
        yield from (found_event(table, w, tally[w].records) for w in missing)
        left -= len(missing)
        if left <= 0:
            return
