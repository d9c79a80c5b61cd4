"""The audit that reads the data itself: topic, raw, table and quarantine, record by record."""

from __future__ import annotations

from dataclasses import replace

from lake_platform.audit import gather, judge, rejected, upsert
from lake_platform.audit.cheap import Stretch, judge_digests, stretches
from lake_platform.audit.events import EventSink, RowlessSink
from lake_platform.audit.ledger import Ledger
from lake_platform.audit.report import (
    NO_WINDOW,
    AuditReport,
    Counts,
    Problem,
    Unprovable,
    WindowLine,
    in_order,
)
from lake_platform.audit.sources import Sources
from lake_platform.audit.subject import Subject, settle_drops
from lake_platform.domain.offsets import RawCommit


def deep(
    ledger: Ledger, sources: Sources, subject: Subject, problems: list[Problem]
) -> AuditReport:
    """Table, its keys and quarantine are in the ledger already."""
    dataset, commits = subject.dataset, subject.commits
    reach = gather.reach_of(sources.topic.look(dataset.topic), commits)
    sink = _sink(ledger, subject)
    gather.put_topic(ledger, sources, subject, reach, sink)
    orphans = gather.put_raw(ledger, sources, subject, reach, problems, sink)
    sink.close()
    judge.place_records(ledger, compacted=reach.look.compacted)
    rejected.settle(ledger, subject.rejects)
    lines, notes = _judged(ledger, subject, reach)
    return replace(
        subject.report(deep=True),
        lines=lines,
        problems=tuple(problems),
        findings=judge.findings(ledger),
        unprovable=unprovable(commits, reach),
        notes=(*notes, *_notes(orphans)),
        backlog=None if dataset.raw_span.until else _backlog(commits, reach),
    )


def never_milder(report: AuditReport, cheap: AuditReport) -> AuditReport:
    """`report` with what the digests call wrong beyond it. By the numbers of all windows and kinds
    first: the two may file a fault under different hours, or call it by another name (a second row
    of a record, under a key nothing gave, is alien to the one and doubled to the other)."""
    own = {x.window: x for x in report.lines}
    more_of_them = _faults(cheap.total) > _faults(report.total)
    left = missing = _beyond(cheap.total, report.total) if more_of_them else Counts()
    for line in cheap.lines:
        held = own.get(line.window, WindowLine(line.window, Counts()))
        more = _both(left, _beyond(line.counts, held.counts))
        own[line.window] = replace(held, counts=held.counts + more)
        left = _beyond(left, more)
    if not left.sound:
        held = own.get(NO_WINDOW, WindowLine(NO_WINDOW, Counts()))
        own[NO_WINDOW] = replace(held, counts=held.counts + left)
    spoken = {p.window for p in report.problems}
    problems = [p for p in cheap.problems if p.window not in spoken]
    added = _faults(missing)
    note = f"{added} of what is wrong is seen by the digests of the raw log alone"
    return replace(
        report,
        lines=in_order(own.values()),
        problems=(*report.problems, *problems),
        notes=(*report.notes, *([note] if added else [])),
    )


def _faults(counts: Counts) -> int:
    return counts.lost + counts.duplicated + counts.alien


def _beyond(counts: Counts, known: Counts) -> Counts:
    return Counts(
        lost=max(0, counts.lost - known.lost),
        duplicated=max(0, counts.duplicated - known.duplicated),
        alien=max(0, counts.alien - known.alien),
    )


def _both(one: Counts, other: Counts) -> Counts:
    return Counts(
        lost=min(one.lost, other.lost),
        duplicated=min(one.duplicated, other.duplicated),
        alien=min(one.alien, other.alien),
    )


def _sink(ledger: Ledger, subject: Subject) -> gather.Sinks:
    dataset = subject.dataset
    sinks: list[gather.Sink] = []
    if not dataset.transformed:
        if dataset.mode == "upsert":
            sinks.append(EventSink(ledger, subject.projector(), dataset, subject.unloaded))
        elif dataset.envelope != "none":
            sinks.append(RowlessSink(ledger, subject.projector()))
        if subject.rejects:
            sinks.append(rejected.MisfitSink(ledger, subject.projector(), subject.rejects))
    return gather.Sinks(sinks)


def _judged(
    ledger: Ledger, subject: Subject, reach: gather.Reach
) -> tuple[tuple[WindowLine, ...], tuple[str, ...]]:
    dataset, applied = subject.dataset, subject.applied
    if dataset.mode == "append":
        lines = judge.judge_append(
            ledger, applied, drops=subject.drops_tombstones, filters=dataset.transformed
        )
        return settle_drops(subject, _with_digests(ledger, subject, reach, lines))
    if dataset.transformed:
        return settle_drops(subject, upsert.judge_transformed_upsert(ledger, applied))
    lines = upsert.judge_upsert(ledger, applied, ordered=dataset.ordering_field is not None)
    undecided = upsert.undecided_keys(ledger)
    if not undecided:
        return lines, ()
    return lines, (
        f"{undecided} keys are not provable: a smaller ordering value came after a delete, and "
        f"whether that brings the row back depends on the batches they came in",
    )


def _gone(subject: Subject, reach: gather.Reach) -> dict[tuple[int, int], Stretch]:
    """What neither raw (retention) nor Kafka holds any more, so that only digests are left."""
    expired = [c for c in subject.commits if c.expired_at]
    return {
        (seq, partition): stretch
        for (seq, partition), stretch in stretches(expired).items()
        if not reach.holds(partition, subject.log[seq - 1].ranges[partition].end - 1)
    }


def _with_digests(
    ledger: Ledger, subject: Subject, reach: gather.Reach, lines: tuple[WindowLine, ...]
) -> tuple[WindowLine, ...]:
    """Rows of table and quarantine are counted already, as they are; what they must be is not."""
    gone = _gone(subject, reach)
    if not gone:
        return lines
    found = judge_digests(ledger, subject, gone, whole=False)
    counts = {x.window: x.counts for x in lines}
    for line in found:
        c = line.counts
        more = Counts(
            records=c.records, dropped=c.dropped, filtered=c.filtered, lost=c.lost, alien=c.alien
        )
        counts[line.window] = counts.get(line.window, Counts()) + more
    undecided = {x.window: x.undecided for x in found}
    return in_order(WindowLine(w, c, undecided.get(w, "")) for w, c in counts.items())


def unprovable(commits: tuple[RawCommit, ...], reach: gather.Reach) -> tuple[Unprovable, ...]:
    """The ranges the log read that Kafka can no longer vouch for, and what stands for them."""
    found = []
    for partition, end in sorted(commits[-1].next_offsets.items()):
        spans = [(c.ranges[partition], c.expired_at) for c in commits if partition in c.ranges]
        first = min((s.start for s, _ in spans), default=end)
        held = reach.look.ranges.get(partition)
        until = min(held.start, end) if reach.usable and held else end
        kept = min(max((s.end for s, gone in spans if gone), default=first), until)
        why = _why(reach)
        if first < kept:
            text = f"{why}, and raw retention removed it: held against the raw log's digests only"
            found.append(Unprovable(partition, first, kept, text))
        if kept < until:
            found.append(Unprovable(partition, kept, until, f"{why}; raw stands for it"))
    return tuple(found)


def _why(reach: gather.Reach) -> str:
    if not reach.look.topic_id:
        return "the topic is gone"
    return "Kafka aged it out" if reach.usable else "the topic was re-created"


def _notes(orphans: int) -> tuple[str, ...]:
    if not orphans:
        return ()
    return (
        f"{orphans} raw objects are in no commit: left by a dump that died or lost a race, readers "
        f"never see them, the cleaner removes them after a day",
    )


def _backlog(commits: tuple[RawCommit, ...], reach: gather.Reach) -> int | None:
    if not reach.usable:
        return None
    done = commits[-1].next_offsets
    return sum(max(0, r.end - done.get(p, 0)) for p, r in reach.look.ranges.items())
