"""The metastore: one class over the parts, opened on a migrated database."""

from __future__ import annotations

from lake_platform.domain.ports import Clock
from lake_platform.errors import NoMetastoreError
from lake_platform.metastore.alerts import Alerts
from lake_platform.metastore.engine import migrated, open_engine, shown, upgrade
from lake_platform.metastore.overview import Overview
from lake_platform.metastore.rebuilds import Rebuilds


class Repository(Rebuilds, Alerts, Overview):
    """Implements `domain.ports.Metastore`; also what the API, the CLI and sensors list."""

    @property
    def place(self) -> str:
        """Its URL, without password and options."""
        return shown(self._engine)

    def close(self) -> None:
        self._engine.dispose()


def open_repository(
    url: str, clock: Clock, actor: str = "platform", *, make: bool = True
) -> Repository:
    """Opens the metastore at a SQLAlchemy URL and runs missing migrations.

    Raises:
        InvalidFieldError, MetastoreUnavailableError, SetupError: see `metastore.engine`.
        NoMetastoreError: there is none, and it is not to be made.
    """
    engine = open_engine(url, make=make)
    if not make and not migrated(engine):
        where = shown(engine)
        engine.dispose()
        raise NoMetastoreError(where)
    upgrade(engine)
    return Repository(engine, clock, actor)
