"""The row of a dataset's progress, with what it has of the dataset whose raw it reads."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import select
from sqlalchemy.orm import Session

from lake_platform.domain.progress import Progress
from lake_platform.errors import DatasetNotFoundError
from lake_platform.metastore.tables import DatasetRow, ProgressRow

NAMES = frozenset(f.name for f in fields(Progress)) - {"ends_at", "continued_in"}
OF_RAW = (
    "head_seq", "records_ingested", "bytes_ingested", "backlog", "complete_as_of", "dumped_at",
    "looked_at", "begins_at", "loss_at", "kept_ms", "dump_error", "dump_error_kind",
    "failed_dumps", "dump_failing_since",
)  # fmt: skip
PROGRESS = select(
    ProgressRow, DatasetRow.raw_from, DatasetRow.raw_until, DatasetRow.continued_in
).join(DatasetRow, DatasetRow.table_name == ProgressRow.table_name)


def progress_in(session: Session, table: str) -> Progress:
    """Raises: DatasetNotFoundError."""
    found = session.execute(PROGRESS.where(ProgressRow.table_name == table)).first()
    if found is None:
        raise DatasetNotFoundError(table)
    row, raw_from, raw_until, continued_in = found
    owner = session.get(ProgressRow, raw_from) if raw_from else None
    return progress_of(row, owner, raw_until, continued_in)


def progress_of(
    row: ProgressRow, owner: ProgressRow | None, until: int, continued_in: str | None
) -> Progress:
    """`owner`: whose raw is read."""
    values = {name: getattr(row, name) for name in NAMES}
    values |= {name: getattr(owner, name) for name in OF_RAW} if owner is not None else {}
    return Progress(**values, ends_at=until, continued_in=continued_in or "")
