"""The check of a sample: the verdict a load of these records would give. Nothing is written.

The records go through the dump, the scan and the schema check of a load, with a topic and a storage
of their own, and a metastore that keeps what it is told to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from lake_platform.domain.batches import BatchJob, BatchRange, Claim
from lake_platform.domain.bundle import EngineFor, Limits, Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change
from lake_platform.domain.mapping import Mapped, shown
from lake_platform.domain.ports import Clock, Metastore, TableEngine, Workers
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.rules import Broken
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.dump.dump import dump
from lake_platform.errors import (
    InvalidFieldError,
    RuleBrokenError,
    SchemaBlockedError,
    TransformError,
)
from lake_platform.load.apply import prepare
from lake_platform.load.plan import Loading, Work
from lake_platform.load.report import Rejected, ScanReport, keys_of
from lake_platform.raw import log as raw_log
from lake_platform.records.conform import head_of
from lake_platform.trial.evidence import Place, Seen, evidence, text_of
from lake_platform.trial.feed import Feed, Topic
from lake_platform.trial.records import Record
from lake_platform.trial.unwritten import LookingEngine, RememberingDecoders, Unwritten

Verdict = Literal["fits", "changes", "rescue", "quarantine", "blocked", "stops"]
FITS, STOPS = 0, 3


@dataclass(frozen=True, slots=True)
class CheckBench:
    """Where a sample is loaded: a topic and a storage for once. Without an `engine` steps are not
    looked at."""

    topic: Topic
    store: ObjectStore
    engine: EngineFor | None
    clock: Clock
    workers: Workers
    limits: Limits


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding: how many records (of a rescue: values) show it, the line of the first in the
    sample, and that record, cut. Unknown where no single record is to blame."""

    count: int | None = None
    line: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Checked:
    """`changes` that a load would make or be blocked by; `rescued` by path, `quarantined` by
    reason; `broken` rules by name. `before` is the schema version the sample was held against,
    `after` what it would be loaded with. `mapped`: how the paths come to columns, where there is no
    table yet. `steps`: why what steps and SQL rules make of the sample was not looked at; None
    where there are none or it was."""

    dataset: Dataset
    records: int
    verdict: Verdict
    before: SchemaVersion | None
    after: SchemaVersion | None
    changes: Sequence[tuple[Change, Shown]] = ()
    rescued: Sequence[tuple[str, Shown]] = ()
    quarantined: Sequence[tuple[str, Shown]] = ()
    mapped: Sequence[Mapped] = ()
    broken: Mapping[str, Broken] = field(default_factory=dict)
    steps: str | None = None
    error: Exception | None = None

    @property
    def exit_code(self) -> int:
        """0: a load takes such records; 3: the table would stop."""
        return FITS if self.verdict in ("fits", "changes") else STOPS

    @property
    def bad(self) -> int:
        return sum(s.count or 0 for _, s in self.quarantined)


def check(
    table: str, metastore: Metastore, bench: CheckBench, records: Iterator[Record]
) -> Checked:
    """A bench is for one check.

    Raises:
        DatasetNotFoundError; InvalidFieldError: a line is no record, there is none, or (first
            sight) they lack a column that the definition names.
        StorageUnavailableError, MetastoreUnavailableError: try again.
    """
    return _Check(metastore.get(table).dataset, metastore, bench).of(records)


class _Check:
    def __init__(self, dataset: Dataset, metastore: Metastore, bench: CheckBench) -> None:
        self._wanted, self._bench = dataset, bench
        # How many are in quarantine is told, and judged here.
        # A sample is what raw will have, whatever messages are.
        changes = {"max_quarantine_ratio": 1.0, "value_format": "json"}
        self._dataset = dataset.with_changes(changes)
        self._metastore = Unwritten(metastore, self._dataset)
        self._before = metastore.active_schema(dataset.table)
        self._fresh = not metastore.progress(dataset.table).applied_seq
        self._needs_engine = dataset.transformed or any(c.kind == "sql" for c in dataset.conditions)
        real = bench.engine(dataset.format) if bench.engine and self._needs_engine else None
        self._engine = LookingEngine(real, self._before.table if self._before else None)
        self._feed = Feed(bench.topic, dataset.topic, bench.clock)
        self._decoders = RememberingDecoders(dataset.table, bench.store)

    def of(self, records: Iterator[Record]) -> Checked:
        loading = Loading(
            self._dataset, self._ports(), self._bench.limits, self._decoders,
            self._metastore.decisions(self._dataset.table),
        )  # fmt: skip
        sent = 0
        for chunk in self._feed.send("sample", records):
            sent += chunk
            for commit in dump(loading.table, loading.ports, loading.limits):
                self._feed.forget(commit.next_offsets)
        commits = tuple(raw_log.iter_commits_after(self._bench.store, loading.table, 0))
        if not commits:
            raise InvalidFieldError(
                "sample", "", "holds no record", "give records, one JSON object a line"
            )
        error: Exception | None = None
        report, job = ScanReport(), None
        work = Work(commits, commits[-1].seq, replay=False)
        try:
            report, job = prepare(loading, self._claim(work), work, fresh=self._fresh)
        except (SchemaBlockedError, RuleBrokenError, TransformError) as stopped:
            error = stopped
            report = self._decoders.answer.report if self._decoders.answer else report
        return self._told(work, report, job, sent, error)

    def _claim(self, work: Work) -> Claim:
        batch = BatchRange(work.batch.first_seq, work.batch.last_seq)
        return Claim(1, "check", batch, self._bench.workers.me(), self._bench.clock())

    def _ports(self) -> Ports:
        bench = self._bench
        # The parts of them that come before a write.
        engine, metastore = cast(TableEngine, self._engine), cast(Metastore, self._metastore)
        return Ports(
            bench.topic, bench.store, metastore, lambda _: engine, bench.clock, bench.workers
        )

    def _told(
        self, work: Work, report: ScanReport, job: BatchJob | None, sent: int,
        error: Exception | None,
    ) -> Checked:  # fmt: skip
        wanted, blocks = self._wanted, self._metastore.blocks
        changes = [c for b in blocks for c in b.changes] if error else [*report.changes.values()]
        quarantined = self._quarantined(report.rejected)
        verdict: Verdict = "changes" if changes else "fits"
        # A handful is nothing in a batch; a sample stands for all that is to come.
        if any(r.count > wanted.max_rescued_ratio * report.rows for r in report.rescued.values()):
            verdict = "rescue"
        if len(report.rejected) > wanted.max_quarantine_ratio * report.records:
            verdict = "quarantine"
        if error is not None:
            blocked = isinstance(error, SchemaBlockedError | RuleBrokenError)
            verdict = "blocked" if blocked else "stops"
        versions = self._metastore.versions
        return Checked(
            dataset=wanted,
            records=sent,
            verdict=verdict,
            before=self._before,
            after=(versions[-1] if versions else self._before) if job else None,
            changes=self._shown(work, report, changes),
            rescued=[
                (shown(path), self._at(_place(r.first), r.count, str(r.first["value"])))
                for path, r in report.rescued.items()
            ]
            + [
                (keys_of(path), self._at(_place(r.first), r.count, str(r.first["value"])))
                for path, r in report.kept_out.items()
            ],
            quarantined=quarantined,
            mapped=self._mapped() if self._fresh else (),
            broken=report.rules,
            steps=(self._engine.why or None) if self._needs_engine else None,
            error=error,
        )

    def _mapped(self) -> list[Mapped]:
        return [m for v in self._metastore.versions for m in v.mapped]

    def _shown(
        self, work: Work, report: ScanReport, changes: Sequence[Change]
    ) -> list[tuple[Change, Shown]]:
        if not changes:
            return []
        asked = self._decoders.asked
        first = self._before or (self._metastore.versions or [None])[0]  # type: ignore[list-item]
        held = first.source if first else Struct()
        grown = asked.source if asked else held
        found = evidence(self._dataset, self._bench.store, work.commits, held, grown)
        # A flood of rescued values is no change that a record shows.
        rescued = {shown(p): Seen(r.count, _place(r.first), "") for p, r in report.rescued.items()}
        return [(c, self._of(found.get(c.path) or rescued.get(c.path))) for c in changes]

    def _quarantined(self, rejected: Sequence[Rejected]) -> list[tuple[str, Shown]]:
        found: dict[str, Seen] = {}
        for one in rejected:
            head = head_of(one.line)
            seen = found.setdefault(one.reason, Seen(0, (head.partition, head.offset), ""))
            seen.records += 1
            seen.text = seen.text or text_of(one.line)
        return [(reason, self._of(seen)) for reason, seen in found.items()]

    def _of(self, seen: Seen | None) -> Shown:
        return Shown() if seen is None else self._at(seen.place, seen.records, seen.text)

    def _at(self, place: Place, count: int, text: str) -> Shown:
        origin = self._feed.origin(*place)
        return Shown(count, origin[1] if origin else None, text)


def _place(sample: Mapping[str, Any]) -> Place:
    return int(sample["partition"]), int(sample["offset"])
