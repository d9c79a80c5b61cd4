"""Alerts and what was told of them, over restarts. Not audited: nobody's will."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import delete, select

from lake_platform.domain.alerts import Alert
from lake_platform.domain.telling import HeldAlert, ReceiverState
from lake_platform.metastore.tables import AlertRow, BeatRow, ReceiverRow
from lake_platform.metastore.unit import Unit


class Alerts(Unit):
    """Implements `domain.telling.AlertStore`."""

    def held_alerts(self) -> Sequence[HeldAlert]:
        query = select(AlertRow).order_by(AlertRow.opened_at, AlertRow.key)
        with self._read() as session:
            return [_held(row) for row in session.scalars(query)]

    def open_alerts(self, table: str | None = None) -> Sequence[HeldAlert]:
        """Those that are not over, of one table or of all."""
        query = select(AlertRow).where(AlertRow.closed_at == 0)
        if table is not None:
            query = query.where(AlertRow.table_name == table)
        with self._read() as session:
            return [_held(row) for row in session.scalars(query.order_by(AlertRow.opened_at))]

    def keep_alerts(self, put: Iterable[HeldAlert], dropped: Iterable[str] = ()) -> None:
        rows, keys = [_row(one) for one in put], list(dropped)
        if not rows and not keys:
            return
        with self._write() as session:
            for row in rows:
                session.merge(row)
            if keys:
                session.execute(delete(AlertRow).where(AlertRow.key.in_(keys)))

    def receivers(self) -> Mapping[str, ReceiverState]:
        with self._read() as session:
            return {
                r.name: ReceiverState(
                    r.name, r.succeeded_at, r.failing_since, r.tries, r.next_at, r.error
                )
                for r in session.scalars(select(ReceiverRow))
            }

    def keep_receiver(self, state: ReceiverState) -> None:
        with self._write() as session:
            session.merge(ReceiverRow(**asdict(state)))

    def drop_receivers(self, but: Iterable[str]) -> None:
        with self._write() as session:
            session.execute(delete(ReceiverRow).where(ReceiverRow.name.not_in(list(but))))

    def beat(self, name: str, at: int) -> None:
        with self._write() as session:
            session.merge(BeatRow(name=name, at=at))

    def beats(self) -> Mapping[str, int]:
        with self._read() as session:
            return {row.name: row.at for row in session.scalars(select(BeatRow))}


def _held(row: AlertRow) -> HeldAlert:
    alert = Alert(row.name, row.table_name, row.subject, row.text, row.remedy)
    told = {name: int(at) for name, at in row.told.items()}
    return HeldAlert(alert, row.opened_at, row.quiet_since, row.closed_at, told)


def _row(one: HeldAlert) -> AlertRow:
    alert = one.alert
    return AlertRow(
        key=alert.key, name=alert.name, table_name=alert.table, subject=alert.subject,
        text=alert.text, remedy=alert.remedy, opened_at=one.opened_at,
        quiet_since=one.quiet_since, closed_at=one.closed_at, told=dict(one.told),
    )  # fmt: skip
