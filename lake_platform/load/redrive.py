"""Records in quarantine, and values in `_rescued`, that are given another try.

A re-drive is a replay of the raw commits that hold them, by today's definition and schema: what is
fit now goes where it belongs, what is not stays. Whole commits are applied again, which changes
nothing for the records that are in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from lake_platform.domain.batches import CountedBatch
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.domain.offsets import RawCommit
from lake_platform.domain.ports import Metastore
from lake_platform.domain.schema import RESCUED_FIELD
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import RawExpiredError, SchemaVersionNotFoundError
from lake_platform.load.load import load
from lake_platform.load.plan import runnable
from lake_platform.load.quarantined import Wanted, as_groups, check_reasons, held_in, objects
from lake_platform.load.redriven import Fate, Outcome, Plan
from lake_platform.load.replay import Course, course_of
from lake_platform.load.replaying import check_there, windows_in
from lake_platform.load.results import LoadResult
from lake_platform.raw import log as raw_log


def plan(
    table: str, store: ObjectStore, metastore: Metastore, limits: Limits, wanted: Wanted,
    *, rescued: bool = False,
) -> Plan:  # fmt: skip
    """What a re-drive of the `wanted` records, or of `rescued` values, would do; changes nothing.

    Raises: DatasetNotFoundError; InvalidFieldError for what can match nothing.
    """
    dataset, applied = metastore.get(table).dataset, metastore.progress(table).applied_seq
    held = {c.seq: c for c in raw_log.of_table(store, dataset) if c.seq <= applied}
    counted = metastore.counted_batches(table, 1, applied)
    _check_version(table, metastore, wanted.version)
    check_there("windows", wanted.windows, windows_in(held.values()))
    lost = _lost(held, counted, whole=metastore.get(table).dataset.format == "parquet")
    if rescued:
        found = _of_rescued(table, metastore, held, counted, lost, wanted)
    else:
        found = _of_quarantine(table, store, held, lost, wanted)
    limit = limits.batch_bytes
    course = course_of(metastore.get(table).dataset, held, found.seqs, counted, limit)
    return _with_course(found, held, course)


class Redrive:
    """`for result in redrive.run(): …`, then `redrive.outcome`."""

    def __init__(
        self, table: str, ports: Ports, limits: Limits, wanted: Wanted, *, rescued: bool = False
    ) -> None:
        """Raises: as `plan`; NotRunnableError; RawExpiredError when raw has nothing of it."""
        runnable(table, ports.metastore)
        self._table, self._ports, self._limits = table, ports, limits
        self.plan = plan(table, ports.store, ports.metastore, limits, wanted, rescued=rescued)
        gone = self.plan.expired_seqs
        if gone and not self.plan.seqs:
            windows = sorted({g.window for g in self.plan.expired})
            raise RawExpiredError(table, min(gone), max(gone), windows, quarantined=True)
        self._wanted = wanted
        self._before = dict(self._reasons())
        self._results: list[LoadResult] = []
        self._whole = False

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[LoadResult]:
        """Applies, batch by batch. Raises: as `load.load.load`."""
        # Also for nothing: one that was cut off may have something left to finish.
        for result in load(
            self._table, self._ports, self._limits, replay=True, stop=stop, seqs=self.plan.seqs
        ):
            self._results.append(result)
            yield result
        self._whole = not stop()

    @property
    def outcome(self) -> Outcome:
        rescued: Counter[str] = Counter()
        for result in self._results:
            rescued.update(result.rescued)
        return Outcome(
            self.plan, tuple(self._fates()), dict(rescued), len(self._results),
            sum(r.applied.balance.records for r in self._results), self._whole,
        )  # fmt: skip

    def _fates(self) -> Iterator[Fate]:
        done = {s for r in self._results for s in r.applied.batch.seqs}
        after = dict(self._reasons())
        fates: dict[str, Counter[tuple[str, bool]]] = {}
        for place, reason in self._before.items():
            now = after.get(place, "")
            fates.setdefault(reason, Counter())[now, place[0] in done] += 1
        for reason, counts in sorted(fates.items()):
            stayed = {now: n for (now, tried), n in counts.items() if now and tried}
            waiting = sum(n for (now, tried), n in counts.items() if now and not tried)
            came = sum(n for (now, _), n in counts.items() if not now)
            if came or not self._wanted.reasons or reason in self._wanted.reasons:
                yield Fate(reason, came, stayed, waiting)

    def _reasons(self) -> Iterator[tuple[tuple[int, int, int], str]]:
        """Raw commit, partition and offset of the records in the raw commits concerned."""
        store = self._ports.store
        for found in objects(store, self._table):
            if found.seq in self.plan.seqs:
                for held in held_in(store, found):
                    if held.head.reason is None:
                        yield (found.seq, *held.at), held.reason


def _check_version(table: str, metastore: Metastore, version: int | None) -> None:
    active = metastore.active_schema(table)
    newest = active.version if active else 0
    if version is not None and not 1 <= version <= newest:
        raise SchemaVersionNotFoundError(table, version, newest)


def _of_quarantine(
    table: str,
    store: ObjectStore,
    held: Mapping[int, RawCommit],
    lost: frozenset[int],
    wanted: Wanted,
) -> Plan:
    every = objects(store, table, wanted)
    groups, unreadable, expired = (Counter[tuple[str, str, int]]() for _ in range(3))
    seqs, gone, known = set[int](), set[int](), set[str]()
    for found in every:
        for record in held_in(store, found):
            known.add(record.reason)
            if not wanted.takes(found.window, record) or found.seq not in held:
                continue
            of = (found.window, record.reason, record.schema_version)
            if record.head.reason is not None:
                unreadable[of] += 1
            elif found.seq in lost:
                expired[of] += 1
                gone.add(found.seq)
            else:
                groups[of] += 1
                seqs.add(found.seq)
    check_reasons(wanted, sorted(known))
    return Plan(
        table, as_groups(groups), as_groups(unreadable), as_groups(expired),
        seqs=frozenset(seqs), expired_seqs=frozenset(gone),
    )  # fmt: skip


def _of_rescued(
    table: str,
    metastore: Metastore,
    held: Mapping[int, RawCommit],
    counted: Sequence[CountedBatch],
    lost: frozenset[int],
    wanted: Wanted,
) -> Plan:
    schema = metastore.active_schema(table)
    if schema is None or not any(f.type == RESCUED_FIELD.type for f in schema.source.fields):
        return Plan(table)  # nothing was ever rescued
    paths, uncounted, seqs, gone = Counter[str](), 0, set[int](), set[int]()
    for one in counted:
        span = one.batch.seqs
        chosen = {s for s in span if s in held and _meets(held[s], wanted)}
        if one.rescued == {}:
            continue
        gone |= chosen & lost
        if chosen <= lost:
            continue
        seqs |= chosen - lost
        uncounted += one.rescued is None
        paths.update(one.rescued or {})
    return Plan(
        table, rescued=dict(paths), uncounted=uncounted,
        seqs=frozenset(seqs), expired_seqs=frozenset(gone),
    )  # fmt: skip


def _meets(commit: RawCommit, wanted: Wanted) -> bool:
    return not wanted.windows or not wanted.windows.isdisjoint(commit.windows)


def _lost(
    held: Mapping[int, RawCommit], counted: Sequence[CountedBatch], *, whole: bool
) -> frozenset[int]:
    """Commits that cannot be applied again; with `whole` batches those beside one, too."""
    gone = {s for s, c in held.items() if c.expired_at}
    if whole and gone:
        spans = [c.batch.seqs for c in counted]
        gone |= {s for span in spans if not gone.isdisjoint(span) for s in span}
    return frozenset(gone)


def _with_course(found: Plan, held: Mapping[int, RawCommit], course: Course) -> Plan:
    records = sum(held[s].records for s in course.seqs())
    return replace(found, records=records, batches=len(course.runs), to_end=course.to_end)
