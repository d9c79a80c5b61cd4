"""How fast records came and how late the table was, over the last day: one sample a slot, kept when
a phase reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lake_platform.domain.progress import lag_ms
from lake_platform.metastore.progress_rows import progress_in
from lake_platform.metastore.tables import DatasetRow, SampleRow

SLOT_MS = 600_000
SLOTS = 144


@dataclass(frozen=True, slots=True)
class Sample:
    """The totals at the end of a slot, at `at` ms; `lag_ms`: the most in it."""

    at: int
    records_ingested: int
    records: int
    lag_ms: int


@contextmanager
def sampled(session: Session, table: str, now: int) -> Iterator[None]:
    """Keeps a sample with the totals after what is done within, and the lag of before it: the most
    that there was. What a rebuild loads has none. Raises: DatasetNotFoundError."""
    before = progress_in(session, table)
    query = select(DatasetRow.registered_at, DatasetRow.rebuild_of)
    registered_at, rebuild_of = session.execute(query.where(DatasetRow.table_name == table)).one()
    session.expire_all()  # read before the lock, so of no use behind it
    yield
    if rebuild_of is not None:
        return
    session.flush()
    session.expire_all()
    after = progress_in(session, table)
    lag = lag_ms(registered_at, before, now)
    _keep(session, table, Sample(now, after.records_ingested, after.records, lag))


def _keep(session: Session, table: str, now: Sample) -> None:
    """Within the transaction that holds the row of the table's progress, so one at a time. A table
    never has more than SLOTS of them."""
    slot = now.at // SLOT_MS
    row = session.get(SampleRow, (table, slot))
    if row is None:
        session.add(
            SampleRow(
                table_name=table, slot=slot, at=now.at, records_ingested=now.records_ingested,
                records=now.records, lag_ms=now.lag_ms,
            )
        )  # fmt: skip
        old = (SampleRow.table_name == table, SampleRow.slot <= slot - SLOTS)
        session.execute(delete(SampleRow).where(*old))
        return
    row.at = now.at
    row.records_ingested, row.records = now.records_ingested, now.records
    row.lag_ms = max(row.lag_ms, now.lag_ms)
