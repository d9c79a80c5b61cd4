"""Short transactions, and the audit entry that every change writes within its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from lake_platform.domain.ports import Clock
from lake_platform.errors import DatasetNotFoundError
from lake_platform.metastore.engine import WRITE, unavailable
from lake_platform.metastore.tables import AuditRow, DatasetRow


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `before` and `after` hold the fields that changed."""

    id: int
    at: int
    actor: str
    action: str
    table: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Unit:
    """Opens transactions; `actor` is written for changes that name nobody else."""

    def __init__(self, engine: Engine, clock: Clock, actor: str = "platform") -> None:
        self._engine = engine
        self._clock = clock
        self._actor = actor

    def audit_log(
        self, table: str | None = None, limit: int = 100, before_id: int | None = None
    ) -> list[AuditEntry]:
        """Newest first; `before_id` pages on. Raises: DatasetNotFoundError."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if table is not None:
            query = query.where(AuditRow.table_name == table)
        if before_id is not None:
            query = query.where(AuditRow.id < before_id)
        with self._read() as session:
            if table is not None:
                self._row(session, table)
            return [
                AuditEntry(r.id, r.at, r.actor, r.action, r.table_name, r.before, r.after)
                for r in session.scalars(query)
            ]

    def ping(self) -> None:
        """Raises: MetastoreUnavailableError."""
        with self._read() as session:
            session.execute(select(1))

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with self._translated(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        writing = self._engine.execution_options(**{WRITE: True})
        with (
            self._translated(),
            Session(writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise unavailable(self._engine, error) from error

    def _row(self, session: Session, table: str, *, lock: bool = False) -> DatasetRow:
        """`lock` makes writers of this dataset wait on PostgreSQL; SQLite has one writer anyway."""
        query = select(DatasetRow).where(DatasetRow.table_name == table)
        row = session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise DatasetNotFoundError(table)
        return row

    def _audit(
        self,
        session: Session,
        action: str,
        table: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        actor: str | None = None,
    ) -> None:
        session.add(
            AuditRow(
                at=self._clock(),
                actor=actor or self._actor,
                action=action,
                table_name=table,
                before=before,
                after=after,
            )
        )
