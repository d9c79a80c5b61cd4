"""Progress, batch statistics and accepted gaps: what metrics and `lake datasets stats` show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from lake_platform.domain.batches import BatchRange, CountedBatch, WriteResult
from lake_platform.domain.casts import Lost
from lake_platform.domain.offsets import Gap
from lake_platform.domain.progress import Progress
from lake_platform.domain.quality import Balance
from lake_platform.errors import DatasetNotFoundError
from lake_platform.metastore.batch_rows import (
    BatchStatistics,
    minus,
    row_of,
    statistics_of,
    within,
)
from lake_platform.metastore.progress_rows import NAMES, PROGRESS, progress_in, progress_of
from lake_platform.metastore.samples import sampled
from lake_platform.metastore.tables import BatchRow, DatasetRow, GapRow, ProgressRow
from lake_platform.metastore.unit import Unit

# Two processes report in any order; these only ever grow.
_GROWING = frozenset(
    [
        "head_seq",
        "applied_seq",
        "reported_seq",
        "records_ingested",
        "bytes_ingested",
        "complete_as_of",
        "complete_through",
        "dumped_at",
        "loaded_at",
        "looked_at",
    ]
)

SHRINKING = frozenset(["begins_at"])  # but for 0, which is not known


class Statistics(Unit):
    """Neither progress nor batch statistics are audited: they say what happened, nobody's will."""

    def progress(self, table: str) -> Progress:
        with self._read() as session:
            return progress_in(session, table)

    def all_progress(self) -> dict[str, Progress]:
        """Of every dataset, retired ones too, in one read."""
        query = PROGRESS.where(DatasetRow.rebuild_of.is_(None))
        with self._read() as session:
            found = list(session.execute(query))
        rows = {row.table_name: row for row, *_ in found}
        return {
            row.table_name: progress_of(row, rows.get(raw_from or ""), until, continued_in)
            for row, raw_from, until, continued_in in found
        }

    def update_progress(self, table: str, **values: int | str) -> None:
        unknown = values.keys() - NAMES
        if unknown:
            raise TypeError(f"Progress has no field {', '.join(sorted(unknown))}")
        if not values:
            return
        with self._write() as session, sampled(session, table, self._clock()):
            self._set_progress(session, table, {**values, **_failures(values, self._clock())})

    def record_batch(
        self,
        table: str,
        result: WriteResult,
        windows: Mapping[str, int],
        rescued: Mapping[str, int] | None = None,
        lost: Mapping[str, Lost] | None = None,
        absent: Collection[str] | None = None,
        *,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """Counts a batch once, whatever is recorded again, late or out of order.

        A replayed batch replaces its own numbers. A batch within the range of another one (raw
        commits applied again under a new schema, a replay of a part) is kept but not counted, so
        the totals in Progress are those of raw commits counted once. `Progress.records` is the
        sum of `balance.written`: the rows of an append table, and for an upsert table the rows
        written, updates included.
        """
        with self._write() as session, sampled(session, table, self._clock()):
            self._row(session, table, lock=True)
            now = self._clock()
            row = row_of(table, result, windows, rescued, lost, absent, seconds, now)
            before = self._rescued_in(session, table, result)
            delta = self._count(session, table, result, row)
            session.flush()
            totals = session.get_one(ProgressRow, table)
            totals.rescued += self._rescued_in(session, table, result) - before
            totals.records += delta.written
            totals.quarantined += delta.quarantined
            totals.deleted += delta.deleted
            totals.deduplicated += delta.deduplicated
            totals.dropped += delta.dropped
            totals.quarantined_deletes += delta.quarantined_deletes
            session.flush()
            self._set_progress(
                session, table, {"applied_seq": result.applied.applied, "loaded_at": self._clock()}
            )

    def batches(self, table: str, limit: int = 100) -> list[BatchStatistics]:
        """Newest first."""
        query = (
            select(BatchRow)
            .where(BatchRow.table_name == table)
            .order_by(BatchRow.last_seq.desc(), BatchRow.first_seq.desc())
            .limit(limit)
        )
        with self._read() as session:
            return [statistics_of(row) for row in session.scalars(query)]

    def counted_batches(self, table: str, first_seq: int, last_seq: int) -> list[CountedBatch]:
        query = (
            select(BatchRow)
            .where(
                BatchRow.table_name == table,
                BatchRow.counted,
                BatchRow.last_seq >= first_seq,
                BatchRow.first_seq <= last_seq,
            )
            .order_by(BatchRow.first_seq)
        )
        with self._read() as session:
            return [
                CountedBatch(
                    BatchRange(row.first_seq, row.last_seq), row.rescued, row.schema_version
                )
                for row in session.scalars(query)
            ]

    def accepted_gaps(self, table: str) -> Sequence[Gap]:
        query = (
            select(GapRow)
            .where(GapRow.table_name == table)
            .order_by(GapRow.partition, GapRow.start_offset)
        )
        with self._read() as session:
            return [
                Gap(r.partition, r.start_offset, r.end_offset, r.accepted_by)
                for r in session.scalars(query)
            ]

    def accept_gaps(self, table: str, gaps: Sequence[Gap]) -> None:
        """Keeps what is new of `gaps`; one that is known already is no error."""
        with self._write() as session:
            self._row(session, table, lock=True)
            for gap in gaps:
                if self._gap_known(session, table, gap):
                    continue
                session.add(
                    GapRow(
                        table_name=table,
                        partition=gap.partition,
                        start_offset=gap.start,
                        end_offset=gap.end,
                        accepted_by=gap.accepted_by,
                        accepted_at=self._clock(),
                    )
                )
                self._audit(session, "accept_gap", table, None, asdict(gap), gap.accepted_by)

    @staticmethod
    def _gap_known(session: Session, table: str, gap: Gap) -> bool:
        query = select(GapRow.id).where(
            GapRow.table_name == table,
            GapRow.partition == gap.partition,
            GapRow.start_offset == gap.start,
            GapRow.end_offset == gap.end,
        )
        return session.scalar(query) is not None

    @staticmethod
    def _set_progress(session: Session, table: str, values: Mapping[str, Any]) -> None:
        settings: dict[str, Any] = {}
        for name, value in values.items():
            column = getattr(ProgressRow, name)
            # Compared in SQL, so that a slower process cannot set an older value.
            settings[name] = value
            if name in _GROWING:
                settings[name] = case((column < value, value), else_=column)
            elif name in SHRINKING:
                less = or_(column == 0, column > value)
                settings[name] = case((less, value), else_=column)
        changed = session.execute(
            update(ProgressRow)
            .where(ProgressRow.table_name == table)
            .values(settings)
            .execution_options(synchronize_session=False)
            .returning(ProgressRow.table_name)
        )
        if changed.first() is None:
            raise DatasetNotFoundError(table)

    def _count(
        self,
        session: Session,
        table: str,
        result: WriteResult,
        row: BatchRow,
    ) -> Balance:
        """Stores the batch; returns by how much the totals change."""
        applied = result.applied
        known = session.get(BatchRow, (table, applied.batch.id))
        if known is not None and known.epoch >= applied.epoch:
            return Balance()
        delta = Balance()
        if known is not None:
            delta = minus(delta, known)
            session.delete(known)
            session.flush()
        overlapping = self._overlapping(session, table, result)
        row.counted = not any(
            o.counted and (within(row, o) or (applied.replay and not within(o, row)))
            for o in overlapping
        )
        session.add(row)
        if not row.counted:
            return delta
        for other in overlapping:
            if other.counted and within(other, row):
                delta = minus(delta, other)
                other.counted = False
        return delta + applied.balance

    def _rescued_in(self, session: Session, table: str, result: WriteResult) -> int:
        counted = (row for row in self._overlapping(session, table, result) if row.counted)
        return sum(sum((row.rescued or {}).values()) for row in counted)

    @staticmethod
    def _overlapping(session: Session, table: str, result: WriteResult) -> list[BatchRow]:
        batch = result.applied.batch
        query = select(BatchRow).where(
            BatchRow.table_name == table,
            BatchRow.last_seq >= batch.first_seq,
            BatchRow.first_seq <= batch.last_seq,
        )
        return list(session.scalars(query))


def _failures(values: Mapping[str, int | str], now_ms: int) -> dict[str, Any]:
    """How often and since when a phase fails goes with its error."""
    found: dict[str, Any] = {}
    for phase, count in (("dump", "failed_dumps"), ("load", "failed_loads")):
        if f"{phase}_error" not in values:
            continue
        since = f"{phase}_failing_since"
        column = getattr(ProgressRow, since)
        if values[f"{phase}_error"]:
            found[count] = getattr(ProgressRow, count) + 1
            found[since] = case((column == 0, now_ms), else_=column)
        else:
            found[since] = 0
    return found
