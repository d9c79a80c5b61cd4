from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.dagster.fakes import World, world_at


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = world_at(tmp_path)
    yield made
    made.metastore.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is tried again does not wait for an outside system here."""
    monkeypatch.setattr("assets.phases.RETRY_SECONDS", 0)
