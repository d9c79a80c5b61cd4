"""The metastore: one class over the parts, opened on a migrated database."""

from __future__ import annotations

from lake_platform.domain.ports import Clock
from lake_platform.metastore.engine import open_engine, upgrade
from lake_platform.metastore.incidents import Incidents
from lake_platform.metastore.statistics import Statistics


class Repository(Incidents, Statistics):
    """Implements `domain.ports.Metastore`; also what the API, the CLI and sensors list."""

    def close(self) -> None:
        self._engine.dispose()


def open_repository(url: str, clock: Clock, actor: str = "platform") -> Repository:
    """Opens the metastore at a SQLAlchemy URL and runs missing migrations.

    Raises:
        InvalidFieldError, MetastoreUnavailableError, SetupError: see `metastore.engine`.
    """
    engine = open_engine(url)
    upgrade(engine)
    return Repository(engine, clock, actor)
