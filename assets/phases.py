"""Bodies of the raw and lake assets: call one use case, turn its results into events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from assets import checks
from assets.casts import casts_of
from assets.metadata import (
    LoadTally,
    empty_event,
    quarantine_events,
    raw_event,
    verified_event,
)
from assets.proposals import renames_of
from assets.rules import rules_of
from assets.standing import standing
from assets.translator import Layer
from assets.windows import WINDOWS_TAG, Pace, RawTally, Windows, settle
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.quality import Balance
from lake_platform.dump import dump
from lake_platform.errors import (
    BatchClaimedError,
    LakeError,
    RetryableError,
)
from lake_platform.load import load
from lake_platform.load.results import LoadResult
from lake_platform.load.verify import verify_windows
from lake_platform.metastore.incident import Incident
from lake_platform.raw import log as raw_log
from resources.platform import PlatformResource

TRIGGER_TAG = "lake/trigger"  # on runs a sensor asked for: they serve what is pending
DUMP_BUDGET_SECONDS = 300.0  # a bootstrap goes on in the next run; no table waits longer for it
_STEP_RETRIES = 2
_NEWEST_BATCHES = 20
_MOST_EMPTY = 1_000  # hours without records that one run marks; each costs an event of 30 ms
RETRY_SECONDS = 5.0

Events = Iterator[dg.AssetMaterialization | dg.AssetCheckResult]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run wants of one asset. `windows` is empty when a sensor asked for what is pending;
    `share` is how many assets of this layer the run serves one after the other, `shown` where the
    windows of the sensor begin."""

    windows: tuple[str, ...]
    load: bool
    checks: frozenset[str]
    share: int
    shown: str = ""


def asked(context: dg.AssetExecutionContext, layer: Layer) -> Asked:
    partitioned = context.has_partition_key or context.has_partition_key_range
    by_hand = partitioned and TRIGGER_TAG not in context.run.tags
    selected = context.run.asset_selection or ()
    return Asked(
        windows=tuple(context.partition_keys) if by_hand else (),
        load=bool(context.selected_asset_keys),
        checks=frozenset(k.name for k in context.selected_asset_check_keys),
        share=max(1, sum(1 for key in selected if key.path[0] == layer)),
        shown=context.run.tags.get(WINDOWS_TAG, ""),
    )


def dump_events(
    dataset: Dataset, platform: PlatformResource, want: Asked, log: dg.DagsterLogManager
) -> Events:
    """Dumps what is new, and reports each touched window."""
    ports, table = platform.ports, dataset.table
    deadline = ports.clock() + DUMP_BUDGET_SECONDS * 1000 / want.share
    tally, pace, seqs = RawTally(), Pace(), list[int]()
    windows = Windows(platform.first_window)
    with translated(want, log):
        for commit in dump.dump(
            table, ports, platform.limits, stop=lambda: ports.clock() > deadline
        ):
            tally.add(commit)
            partitions = [w for w in commit.windows if windows.has(w, ports.clock())]
            if len(partitions) == len(commit.windows) and seqs[-1:] in ([], [commit.seq - 1]):
                seqs.append(commit.seq)
            pace.touch(partitions)
            for window in pace.due(ports.clock()):
                yield raw_event(table, window, tally[window])
        yield from (raw_event(table, w, tally[w]) for w in pace.rest())
        yield from _held(table, ports, [w for w in want.windows if w not in tally])
    # What is still to be reported the load sensor reports: commits of somebody else before ours,
    # and from the first commit on with an hour that has not come yet.
    if seqs and ports.metastore.progress(table).reported_seq >= seqs[0] - 1:
        ports.metastore.update_progress(table, reported_seq=seqs[-1])
    settle(platform, table, want.shown)
    log.info(f"{sum(t.records for t in tally.values())} records in {len(tally)} windows")


def _held(table: str, ports: Ports, windows: Sequence[str]) -> Iterator[dg.AssetMaterialization]:
    """Windows asked for by hand to which this dump added nothing, as the commit log has them."""
    if not windows:
        return
    tally = RawTally()
    for commit in raw_log.iter_commits_after(ports.store, table, 0):
        tally.add(commit)
    empty = [w for w in windows if w not in tally]
    yield from (raw_event(table, w, tally[w]) for w in windows if w in tally)
    yield from (empty_event("raw", table, w) for w in empty[:_MOST_EMPTY])


def load_events(
    dataset: Dataset,
    platform: PlatformResource,
    want: Asked,
    log: dg.DagsterLogManager,
    *,
    replay: bool,
) -> Events:
    """Applies what is pending (or replays the windows), then judges the table."""
    tally = tally_of(dataset, platform)
    if want.load:
        try:
            with translated(want, log):
                yield from apply(tally, platform, want, log, replay=replay)
        except dg.Failure:
            with translated(want, log):
                yield from _judge(tally, platform, want, failed=True)
            raise
    with translated(want, log):
        yield from _judge(tally, platform, want)
        if want.load:
            done = tally.windows
            yield from _verify(dataset, platform, [w for w in want.windows if w not in done], log)
    settle(platform, dataset.table, want.shown)
    log.info(f"{len(tally.results)} batches, windows {sorted(tally.windows)[-5:]}")


def tally_of(dataset: Dataset, platform: PlatformResource) -> LoadTally:
    metastore, table = platform.ports.metastore, dataset.table
    return LoadTally(
        dataset,
        platform.catalogue.mapping,
        lambda: standing(metastore.get(table), metastore.progress(table)),
    )


def apply(
    tally: LoadTally,
    platform: PlatformResource,
    want: Asked,
    log: dg.DagsterLogManager,
    *,
    replay: bool,
) -> Iterator[dg.AssetMaterialization]:
    results = load.load(
        tally.dataset.table, platform.ports, _limits(platform, want), list(want.windows) or None,
        replay,
    )  # fmt: skip
    yield from reported(tally, platform, want, log, results)


def reported(
    tally: LoadTally,
    platform: PlatformResource,
    want: Asked,
    log: dg.DagsterLogManager,
    results: Iterable[LoadResult],
) -> Iterator[dg.AssetMaterialization]:
    """Events of the windows that `results` touch, as they come."""
    ports, pace, windows = platform.ports, Pace(), Windows(platform.first_window)
    try:
        for result in results:
            now = ports.clock()
            tally.add(result)
            pace.touch(w for w in result.windows if windows.has(w, now))
            yield from map(tally.event, pace.due(now))
            yield from quarantine_events(result, lambda w, now=now: windows.has(w, now))  # type: ignore[misc]
    except LakeError as error:
        # What was applied before it stays applied, and is shown.
        yield from map(tally.event, pace.rest())
        if want.windows or not isinstance(error, BatchClaimedError):
            raise
        log.warning(str(error))  # the writer there does this very work
    yield from map(tally.event, pace.rest())


def _limits(platform: PlatformResource, want: Asked) -> Limits:
    """What a sensor asked for goes on in its next run. What a person asked for has no next one,
    and a replay that stopped half way would look like a whole one."""
    limits = platform.limits
    budget = math.inf if want.windows else limits.load_budget_seconds / want.share
    return replace(limits, load_budget_seconds=budget)


def _judge(
    tally: LoadTally, platform: PlatformResource, want: Asked, *, failed: bool = False
) -> Iterator[dg.AssetCheckResult]:
    """Every check that was asked for speaks, else Dagster shows it as failed. When the load
    `failed`, only those that still can tell: how the table stands, and why it is BLOCKED."""
    table, ports = tally.dataset.table, platform.ports
    incidents = platform.catalogue.incidents(table, "OPEN")
    if "schema" in want.checks:
        breaks = [i for i in incidents if i.kind == "schema"]
        if breaks:
            yield checks.schema_blocked(breaks[0])
        elif not failed:
            schema = ports.metastore.active_schema(table)
            version = schema.version if schema else 0
            yield checks.schema_passed(table, tally.results, version)
    record, progress = ports.metastore.get(table), ports.metastore.progress(table)
    if "balance" in want.checks:
        yield checks.balance(table, _balances(tally, platform), progress)
    if "deletes" in want.checks:
        yield checks.deletes(table, progress)
    if "casts" in want.checks:
        newest = () if tally.results else platform.catalogue.batches(table, _NEWEST_BATCHES)
        yield casts_of(table, tally.results, newest)
    if "freshness" in want.checks:
        yield checks.freshness(record, progress, ports.clock())
    if "retention" in want.checks:
        yield checks.retention(record, progress, ports.clock())
    yield from _costly(tally, platform, want, incidents, failed=failed)


def _costly(
    tally: LoadTally,
    platform: PlatformResource,
    want: Asked,
    incidents: Sequence[Incident],
    *,
    failed: bool,
) -> Iterator[dg.AssetCheckResult]:
    """The checks that read the table, or raw."""
    table, ports = tally.dataset.table, platform.ports
    costly = want.checks - set(checks.LOAD_CHECKS)
    broken = next((i for i in incidents if i.kind == "rule"), None)
    if "rules" in costly and (tally.results or broken):
        costly -= {"rules"}
        yield rules_of(tally.dataset, tally.results, broken)
    if not failed or incidents:
        if "renames" in costly:
            costly -= {"renames"}
            yield renames_of(table, platform)
        if ports.metastore.progress(table).applied_seq:
            yield from checks.table_checks(tally.dataset, ports, costly)
        else:
            yield from (checks.nothing_to_check(table, name) for name in sorted(costly))


def _balances(tally: LoadTally, platform: PlatformResource) -> Mapping[str, Balance]:
    """Of the batches this run applied; the newest of the table when it applied none."""
    if tally.results:
        return {r.applied.batch.id: r.applied.balance for r in tally.results}
    newest = platform.catalogue.batches(tally.dataset.table, _NEWEST_BATCHES)
    return {b.batch: b.balance for b in newest}


def _verify(
    dataset: Dataset, platform: PlatformResource, windows: list[str], log: dg.DagsterLogManager
) -> Iterator[dg.AssetMaterialization]:
    """Windows asked for by hand that had nothing pending: do they still hold what they should?"""
    broken: list[str] = []
    empty = 0
    for report in verify_windows(dataset.table, platform.ports, windows):
        empty += not report.objects
        if report.problems:
            broken += [f"{report.window}: {p}" for p in report.problems]
        elif report.objects and report.applied:
            yield verified_event(report)
        elif not report.objects and empty <= _MOST_EMPTY:
            yield empty_event("lake", dataset.table, report.window)
        else:
            log.info(f"{report.window}: not all of its {report.objects} raw objects are applied")
    if broken:
        raise dg.Failure("; ".join(broken[:20]), allow_retries=False)


class translated:
    """Platform errors in Dagster's terms. Only what a person started is tried again in its run:
    a sensor asks again by itself, and must not let the other datasets of a run wait meanwhile."""

    def __init__(self, want: Asked, log: dg.DagsterLogManager) -> None:
        self._want, self._log = want, log

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RetryableError) and self._want.windows:
            self._log.warning(str(error))
            raise dg.RetryRequested(_STEP_RETRIES, RETRY_SECONDS) from error
        if isinstance(error, LakeError):
            raise dg.Failure(str(error), allow_retries=False) from error
