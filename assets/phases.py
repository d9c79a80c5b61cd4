"""Bodies of the raw and lake assets: call one use case, turn its results into events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import dagster as dg

from assets import checks
from assets.metadata import LoadTally, quarantine_events, raw_event, verified_event
from assets.translator import Layer
from assets.windows import Pace, RawTally, is_window
from lake_platform.domain.dataset import Dataset
from lake_platform.errors import (
    BatchClaimedError,
    LakeError,
    RetryableError,
    SchemaBlockedError,
)
from lake_platform.ingest import dump, load
from lake_platform.ingest.verify import verify_window
from resources.platform import PlatformResource

TRIGGER_TAG = "lake/trigger"  # on runs a sensor asked for: they serve what is pending
DUMP_BUDGET_SECONDS = 300.0  # a bootstrap goes on in the next run; no table waits longer for it
_STEP_RETRIES = 2
RETRY_SECONDS = 5.0

Events = Iterator[dg.AssetMaterialization | dg.AssetCheckResult]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run wants of one asset. `windows` is empty when a sensor asked for what is pending;
    `share` is how many assets of this layer the run serves one after the other."""

    windows: tuple[str, ...]
    load: bool
    checks: frozenset[str]
    share: int


def asked(context: dg.AssetExecutionContext, layer: Layer) -> Asked:
    partitioned = context.has_partition_key or context.has_partition_key_range
    by_hand = partitioned and TRIGGER_TAG not in context.run.tags
    selected = context.run.asset_selection or ()
    return Asked(
        windows=tuple(context.partition_keys) if by_hand else (),
        load=bool(context.selected_asset_keys),
        checks=frozenset(k.name for k in context.selected_asset_check_keys),
        share=max(1, sum(1 for key in selected if key.path[0] == layer)),
    )


def dump_events(
    dataset: Dataset, platform: PlatformResource, want: Asked, log: dg.DagsterLogManager
) -> Events:
    """Dumps what is new, and reports each touched window."""
    ports, table = platform.ports, dataset.table
    deadline = ports.clock() + DUMP_BUDGET_SECONDS * 1000 / want.share
    tally, pace, first, last = RawTally(), Pace(), 0, 0
    with translated(want, log):
        for commit in dump.dump(
            table, ports, platform.limits, stop=lambda: ports.clock() > deadline
        ):
            first, last = first or commit.seq, commit.seq
            tally.add(commit)
            pace.touch(w for w in commit.windows if is_window(w, ports.clock()))
            for window in pace.due(ports.clock()):
                yield raw_event(table, window, tally[window])
    for window in pace.rest():
        yield raw_event(table, window, tally[window])
    # Commits of somebody else before ours are still to be reported: the load sensor does it.
    if first and ports.metastore.progress(table).reported_seq >= first - 1:
        ports.metastore.update_progress(table, reported_seq=last)
    log.info(f"{sum(t.records for t in tally.values())} records in {len(tally)} windows")


def load_events(
    dataset: Dataset,
    platform: PlatformResource,
    want: Asked,
    log: dg.DagsterLogManager,
    *,
    replay: bool,
) -> Events:
    """Applies what is pending (or replays the windows), then judges the table."""
    tally = LoadTally(dataset)
    if want.load:
        try:
            with translated(want, log):
                yield from _apply(tally, platform, want, log, replay)
        except SchemaBlockedError as error:
            incident = platform.catalogue.incidents(dataset.table, "OPEN", 1)[0]
            yield checks.schema_blocked(dataset.table, incident.changes, incident.samples)
            yield from _judge(tally, platform, want, blocked=True)
            raise dg.Failure(str(error), allow_retries=False) from error
    with translated(want, log):
        yield from _judge(tally, platform, want)
        if want.load:
            done = tally.windows
            yield from _verify(dataset, platform, [w for w in want.windows if w not in done], log)
    log.info(f"{len(tally.results)} batches, windows {sorted(tally.windows)[-5:]}")


def _apply(
    tally: LoadTally,
    platform: PlatformResource,
    want: Asked,
    log: dg.DagsterLogManager,
    replay: bool,
) -> Iterator[dg.AssetMaterialization]:
    ports, pace = platform.ports, Pace()
    limits = platform.limits
    limits = replace(limits, load_budget_seconds=limits.load_budget_seconds / want.share)
    windows = list(want.windows) or None
    try:
        for result in load.load(tally.dataset.table, ports, limits, windows, replay):
            tally.add(result)
            pace.touch(w for w in result.windows if is_window(w, ports.clock()))
            for window in pace.due(ports.clock()):
                yield tally.event(window)
            yield from quarantine_events(result)
    except LakeError as error:
        # What was applied before it stays applied, and is shown.
        yield from map(tally.event, pace.rest())
        if want.windows or not isinstance(error, BatchClaimedError):
            raise
        log.warning(str(error))  # the writer there does this very work
    yield from map(tally.event, pace.rest())


def _judge(
    tally: LoadTally, platform: PlatformResource, want: Asked, blocked: bool = False
) -> Iterator[dg.AssetCheckResult]:
    """`blocked`: the schema check has spoken; the others still say how the table stands, else
    Dagster would show them as failed."""
    table, ports = tally.dataset.table, platform.ports
    schema = ports.metastore.active_schema(table)
    if "schema" in want.checks and want.load and schema is not None and not blocked:
        yield checks.schema_passed(table, tally.results, schema.version)
    if "balance" in want.checks and (tally.results or blocked):
        yield checks.balance(table, tally.results)
    record, progress = ports.metastore.get(table), ports.metastore.progress(table)
    if "freshness" in want.checks:
        yield checks.freshness(record, progress, ports.clock())
    if "retention" in want.checks:
        yield checks.retention(record, progress, ports.clock())
    if want.checks & {"primary_key", "rules"} and progress.applied_seq:
        yield from checks.table_checks(tally.dataset, ports, want.checks)


def _verify(
    dataset: Dataset, platform: PlatformResource, windows: list[str], log: dg.DagsterLogManager
) -> Iterator[dg.AssetMaterialization]:
    """Windows asked for by hand that had nothing pending: do they still hold what they should?"""
    broken: list[str] = []
    for window in windows:
        report = verify_window(dataset.table, platform.ports, window)
        if report.problems:
            broken += [f"{window}: {p}" for p in report.problems]
        elif report.objects and report.applied:
            yield verified_event(report)
        else:
            log.info(f"{window}: {report.objects} raw objects, nothing of it applied yet")
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
        if isinstance(error, SchemaBlockedError):
            return
        if isinstance(error, RetryableError) and self._want.windows:
            self._log.warning(str(error))
            raise dg.RetryRequested(_STEP_RETRIES, RETRY_SECONDS) from error
        if isinstance(error, LakeError):
            raise dg.Failure(str(error), allow_retries=False) from error
