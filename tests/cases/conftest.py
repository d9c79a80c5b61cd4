"""One Spark session, and as many trials as tests ask for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform import benches
from lake_platform.settings import load_settings
from lake_platform.trial.trial import Trial
from tests.cases.runner import Open, Tried, dataset_of
from tests.cases.waiting import WAITING
from tests.spark_support import spark  # noqa: F401 - a fixture
from tests.support import migrated_metastore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_SOCKETS = (
    # What py4j leaves open when Spark sends rows to Python is closed by the collector.
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def session(request: pytest.FixtureRequest) -> Callable[[], SparkSession]:
    """The session of all tests, started when one first needs it."""
    return lambda: request.getfixturevalue("spark")


@pytest.fixture
def tried(tmp_path: Path, session: Callable[[], SparkSession]) -> Iterator[Open]:
    opened: list[Tried] = []

    def open_(**fields: Any) -> Tried:
        home = tmp_path / str(len(opened))
        settings = benches.bench_settings(load_settings(home), home)
        shutil.copy(migrated_metastore(), home / "metastore.db")
        bench = benches.build_bench(settings, session)
        opened.append(Tried(Trial(bench, dataset_of(fields)), home, session))
        return opened[-1]

    yield open_
    for one in opened:
        one.trial.bench.metastore.close()


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder, _, name = item.nodeid.partition("tests/cases/")
        if name:
            item.add_marker(pytest.mark.xdist_group("cases"))  # one Spark session for all of them
            for line in _SOCKETS:
                item.add_marker(pytest.mark.filterwarnings(line))
        if not folder and (owner := WAITING.get(name)):
            item.add_marker(pytest.mark.xfail(strict=True, reason=f"not mended yet: {owner}"))
