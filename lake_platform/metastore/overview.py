"""What a page about all datasets needs, in three reads however many there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.progress import Progress, lag_ms, loss_seconds
from lake_platform.metastore.progress_rows import NAMES, OF_RAW
from lake_platform.metastore.samples import SLOT_MS, SLOTS, Sample
from lake_platform.metastore.tables import DatasetRow, IncidentRow, ProgressRow, SampleRow
from lake_platform.metastore.unit import Unit


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a dataset stands; of its definition only what is shown, so that it need not be one
    that this release can read."""

    table: str
    topic: str
    domain: str
    owner: str
    status: Status
    registered_at: int
    max_lag_seconds: int
    progress: Progress
    open_incidents: int
    raw_from: str = ""

    @property
    def dataset(self) -> Standing:
        """So that the conditions of alerts take it for a `Watched`."""
        return self

    def lag_seconds(self, now_ms: int) -> float:
        return lag_ms(self.registered_at, self.progress, now_ms) / 1000

    def time_to_data_loss_seconds(self, now_ms: int) -> float | None:
        return loss_seconds(self.status, self.max_lag_seconds, self.progress, now_ms)


class Overview(Unit):
    def standings(self) -> list[Standing]:
        """Of all datasets by name, retired ones too; what rebuilds load is none."""
        names = sorted(NAMES)
        query = (
            select(
                DatasetRow.table_name, DatasetRow.definition, DatasetRow.status,
                DatasetRow.registered_at, DatasetRow.raw_from, DatasetRow.raw_until,
                DatasetRow.continued_in, *(getattr(ProgressRow, name) for name in names),
            )
            .join(ProgressRow, ProgressRow.table_name == DatasetRow.table_name)
            .where(DatasetRow.rebuild_of.is_(None))
            .order_by(DatasetRow.table_name)
        )  # fmt: skip
        with self._read() as session:
            rows = session.execute(query).all()
            incidents = dict(session.execute(_OPEN).all())
        values = {row[0]: dict(zip(names, row[7:], strict=True)) for row in rows}
        return [_standing(row[:7], values, incidents.get(row[0], 0)) for row in rows]

    def samples(self, tables: Collection[str]) -> dict[str, list[Sample]]:
        """Of the last day, oldest first, in one read; a slot in which nobody reported has none."""
        row = SampleRow
        query = (
            select(row.table_name, row.at, row.records_ingested, row.records, row.lag_ms)
            .where(row.table_name.in_(tables), row.slot > self._clock() // SLOT_MS - SLOTS)
            .order_by(row.table_name, row.slot)
        )
        found: dict[str, list[Sample]] = {table: [] for table in tables}
        with self._read() as session:
            for table, *values in session.execute(query):
                found[table].append(Sample(*values))
        return found


_OPEN = (
    select(IncidentRow.table_name, func.count())
    .where(IncidentRow.status == "OPEN")
    .group_by(IncidentRow.table_name)
)
_DEFAULTS: Mapping[str, Any] = {
    name: Dataset.__dataclass_fields__[name].default
    for name in ("domain", "owner", "max_lag_seconds")
}


def _standing(
    row: tuple[Any, ...], values: Mapping[str, dict[str, Any]], incidents: int
) -> Standing:
    table, definition, status, registered_at, raw_from, raw_until, continued_in = row
    said = _DEFAULTS | definition
    mine = values[table]
    if raw_from in values:
        mine = mine | {name: values[raw_from][name] for name in OF_RAW}
    return Standing(
        table, said["topic"], said["domain"], said["owner"], Status(status), registered_at,
        said["max_lag_seconds"],
        Progress(**mine, ends_at=raw_until, continued_in=continued_in or ""), incidents,
        raw_from or "",
    )  # fmt: skip
