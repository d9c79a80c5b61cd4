"""What one audit is about: the definition, its raw commits, and how far the table must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lake_platform.audit.change import ChangeReader
from lake_platform.audit.commits import read_commits
from lake_platform.audit.rejected import Rejects
from lake_platform.audit.report import NO_WINDOW, AcceptedGap, AuditReport, Counts, WindowLine
from lake_platform.audit.sources import Sources, TableLook, TableReader
from lake_platform.audit.unloaded import Unloaded
from lake_platform.audit.values import Projector
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import Gap, RawCommit
from lake_platform.domain.schema import Struct
from lake_platform.errors import NothingToAuditError


@dataclass(frozen=True, slots=True)
class Subject:
    """`log`: raw commits by seq. `source`: how keys of records mean columns, as recorded.
    `applied`: the newest raw commit that must be in the table, by what the table says of itself or
    what was recorded of it, whichever is more.
    `unloaded`: columns that some records have no value in.
    `dropped`: records that left on purpose, as recorded; None when the records and the table are
    not at the same commit. `rejects`: what an operator let go."""

    dataset: Dataset
    reader: TableReader
    source: Struct
    log: tuple[RawCommit, ...]
    gaps: tuple[Gap, ...]
    applied: int
    dropped: int | None
    rejects: Rejects = field(default_factory=Rejects)
    unloaded: Unloaded = field(default_factory=Unloaded)

    @property
    def commits(self) -> tuple[RawCommit, ...]:
        """Those of the log that the table is made of."""
        span = self.dataset.raw_span
        return tuple(c for c in self.log if span.holds(c.seq))

    @property
    def begins(self) -> Mapping[int, int]:
        """First offset of each partition that is none of the table's earlier part."""
        after = self.dataset.raw_span.after
        return self.log[after - 1].next_offsets if after else {}

    @property
    def drops_tombstones(self) -> bool:
        """Whether a tombstone may be nowhere: by the definition as it is now, or as it was when
        it was loaded, of which only the recorded drops are left."""
        dataset = self.dataset
        return dataset.mode == "append" and (dataset.tombstones == "drop" or self.dropped != 0)

    def projector(self) -> Projector:
        dataset = self.dataset
        schema = self.reader.schema(dataset)
        return Projector(
            schema,
            dataset.primary_key,
            dataset.ordering_field,
            self.source,
            dataset.hints,
            twins=dataset.case_twins == "rescue",
            apart=dataset.case_twins == "split",
            changes=None
            if dataset.envelope == "none"
            else ChangeReader(dataset.envelope, changelog=dataset.mode == "append"),
        )

    def report(self, *, deep: bool) -> AuditReport:
        """The report with nothing counted yet."""
        dataset = self.dataset
        return AuditReport(
            table=dataset.table,
            topic=dataset.topic,
            mode=dataset.mode,
            deep=deep,
            applied=self.applied,
            head=self.commits[-1].seq,
            lines=(),
            gaps=tuple(AcceptedGap(g.partition, g.start, g.end, g.accepted_by) for g in self.gaps),
        )


def read_subject(
    dataset: Dataset, sources: Sources, reader: TableReader, look: TableLook
) -> Subject:
    """Raises: NothingToAuditError, CorruptRawError."""
    table = dataset.table
    progress = sources.metastore.progress(table)
    commits = tuple(read_commits(sources.files, dataset.raw_table))
    if not any(dataset.raw_span.holds(c.seq) for c in commits):
        raise NothingToAuditError(table, sources.files.root, progress.head_seq)
    return Subject(
        dataset=dataset,
        reader=reader,
        source=_source(dataset, sources),
        log=commits,
        gaps=tuple(sources.metastore.accepted_gaps(dataset.raw_table)),
        applied=max(look.applied, progress.applied_seq),
        dropped=progress.dropped if progress.applied_seq == look.applied else None,
        rejects=Rejects.of(sources.metastore.decisions(dataset.live_table)),
        unloaded=_unloaded(dataset, sources, commits),
    )


def _unloaded(dataset: Dataset, sources: Sources, commits: Sequence[RawCommit]) -> Unloaded:
    if dataset.transformed:
        return Unloaded()
    versions = sources.metastore.schema_versions(dataset.table)
    batches = sources.metastore.counted_batches(dataset.table, 1, commits[-1].seq)
    return Unloaded.of(versions, batches, commits)


def _source(dataset: Dataset, sources: Sources) -> Struct:
    """Behind steps the columns have names of their own."""
    active = None if dataset.transformed else sources.metastore.active_schema(dataset.table)
    return active.source if active else Struct()


def settle_drops(
    subject: Subject, lines: Iterable[WindowLine]
) -> tuple[tuple[WindowLine, ...], tuple[str, ...]]:
    """Where a record that is nowhere may have been left out on purpose, but which ones cannot be
    told from it: holds their number against what was recorded as dropped when it was loaded."""
    held, dataset = tuple(lines), subject.dataset
    if dataset.mode == "upsert":
        return held, _STEPS_OF_UPSERT if dataset.transformed else ()
    total = sum((x.counts for x in held), Counts())
    gone = total.filtered + total.dropped
    known = dataset.tombstones == "drop" or not total.dropped
    if known and not total.filtered and not dataset.transformed and not subject.rejects:
        return held, ()
    which = "which records were left out on purpose is not provable, only how many"
    if subject.dropped is None:
        return held, (f"{which}, and that only once its newest batch is recorded: load again",)
    notes = (f"{which}: {gone} are in no place, {subject.dropped} were recorded as dropped",)
    if gone == subject.dropped:
        return held, notes
    more = gone - subject.dropped
    return (*held, WindowLine(NO_WINDOW, Counts(lost=max(0, more), alien=max(0, -more)))), notes


_STEPS_OF_UPSERT = (
    "which rows SQL steps make of the records is not provable, only that every row has its record "
    "and every key is there once",
)
