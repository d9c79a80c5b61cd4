"""A metastore that goes away in the middle of a phase: nothing is lost, and all is told after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_metastore import POSTGRES, postgres_schema
from tests.faults import database

# A dump makes 8 calls, a load 12: the first, some in between, the last.
CALLS = [("dump", 1), ("dump", 5), ("dump", 8), ("load", 1), ("load", 7), ("load", 12)]


@pytest.mark.parametrize(("phase", "at"), CALLS)
@pytest.mark.parametrize("how", database.OUTAGES)
def test_gone_in_the_middle(tmp_path: Path, how: str, phase: str, at: int) -> None:
    mode = "append" if at % 2 else "upsert"
    error, calls = database.run(tmp_path, phase, mode, how, at)
    assert calls >= at
    reads_go_on = how == "locked by another process"  # SQLite's readers do not wait for a writer
    assert reads_go_on or str(tmp_path / "metastore.db") in error


def test_locked_for_longer_than_we_wait(tmp_path: Path) -> None:
    """The first write of a dump: it is in the log, and the metastore is told by the next dump."""
    error, _ = database.run(tmp_path, "dump", "append", "locked by another process", 1)
    assert "database is locked" in error
    assert "LAKE_METASTORE_URL" in error


@pytest.mark.skipif(not POSTGRES, reason="LAKE_TEST_POSTGRES_URL is not set")
@pytest.mark.parametrize(
    ("phase", "at"),
    [("dump", 1), ("dump", 4), ("dump", 8), ("load", 1), ("load", 10), ("load", 17)],
)
def test_the_server_ends_our_connections(tmp_path: Path, schema: str, phase: str, at: int) -> None:
    error, statements = database.run_killed(schema, tmp_path, phase, "append", at)
    assert statements >= at
    assert "terminating connection" in error


@pytest.fixture
def schema() -> Iterator[str]:
    yield from postgres_schema()
