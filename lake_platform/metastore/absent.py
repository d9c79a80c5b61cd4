"""Columns that are dropped because records no longer have them (domain/absent)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from lake_platform.domain.absent import Applied, gone
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import SchemaVersion
from lake_platform.metastore.ddl import mentions, without_columns
from lake_platform.metastore.incidents import Incidents
from lake_platform.metastore.model import parse_dataset
from lake_platform.metastore.schemas import active_in
from lake_platform.metastore.tables import BatchRow

_ACTOR = "absent_for"


class Absent(Incidents):
    def drop_absent(self, table: str) -> Sequence[str]:
        """Drops what the definition's `absent_for` says, and names it. The columns stay, NULL in
        new rows, and `add` brings them back."""
        with self._write() as session:
            dataset = parse_dataset(self._row(session, table, lock=True).definition)
            active = active_in(session, table)
            if dataset.absent_for is None or active is None:
                return []
            # It is left as soon as enough is known, and a server keeps a cursor until then.
            with closing(_newest_first(session, table)) as applied:
                absent = gone(dataset.absent_for, applied, self._clock())
            names = [name for name in absent if _may_go(dataset, active, name)]
            if not names:
                return []
            new, hints = without_columns(dataset, active, names)
            why = "absent" if dataset.value_format == "json" else "absent and not declared"
            changes = tuple(f"{c}: {why} for {dataset.absent_for}" for c in new.changes)
            self._change_columns(session, table, hints, _ACTOR)
            self._add_version(session, table, replace(new, changes=changes), _ACTOR)
            return names


def _newest_first(session: Session, table: str) -> Generator[Applied, None, None]:
    query = (
        select(BatchRow.absent, BatchRow.balance, BatchRow.recorded_at)
        .where(BatchRow.table_name == table, BatchRow.counted)
        .order_by(BatchRow.last_seq.desc())
        .execution_options(yield_per=500)
    )
    with session.execute(query) as found:
        for absent, balance, at in found:
            yield Applied(None if absent is None else frozenset(absent), balance["written"], at)


def _may_go(dataset: Dataset, active: SchemaVersion, name: str) -> bool:
    """Not what rows are found by, and nothing that somebody names."""
    column = active.source.get(name)
    if column is None or not column.keys or name in dataset.record_columns:
        return False
    hinted = any(dataset.hints.owner(key) is not None for key in column.keys)
    said = " ".join([dataset.delete_when, *(f"{r.column} {r.sql}" for r in dataset.rules)])
    return not hinted and not mentions(said, name)
