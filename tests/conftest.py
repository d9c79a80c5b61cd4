"""Fixtures every kind of test may use: jars, Java, a real Kafka broker.

`broker` and `spark` are one per pytest process. `make test` runs two processes: tests that start
real servers stay together in one of them (their xdist group), the others run beside them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake_platform.embedded import java
from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from tests import properties  # noqa: F401 - loads the profile of all property tests
from tests.deep import is_deep

_REPO = Path(__file__).parent.parent
# What py4j leaves open when Spark sends rows to Python is closed by the collector, in whatever test
# it comes.
_SOCKETS_OF_SPARK = (
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
# Whoever uses one of these fixtures needs the real thing, so the mark cannot be forgotten.
_MARK_OF_FIXTURE = {"broker": "stack", "spark": "spark"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_deep(item.nodeid):
            item.add_marker(pytest.mark.deep)
        for fixture, mark in _MARK_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if item.get_closest_marker("spark") or item.get_closest_marker("stack"):
            item.add_marker(pytest.mark.xdist_group("servers"))
        if item.get_closest_marker("spark"):
            for ignored in _SOCKETS_OF_SPARK:
                item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """With xdist the group is part of a name; one that is not costs a second Spark and Kafka."""
    if not getattr(session.config.option, "loadgroup", False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: this pytest and this xdist lose its group")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, jars_dir: Path) -> None:
    """A test must not pick up the settings of a stack its developer has running.

    The jars alone are the developer's, whether named by a variable or not: downloaded once.
    """
    for name in os.environ:
        if name.startswith("LAKE_") and not name.startswith("LAKE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LAKE_JARS_DIR", str(jars_dir))


@pytest.fixture(scope="session")
def jars_dir() -> Path:
    """Directory of the jar sets; a test asks `ensure_jars(jars_dir, [set])` for what it needs."""
    return Path(os.environ.get("LAKE_JARS_DIR", _REPO / ".lake" / "jars")).absolute()


@pytest.fixture(scope="session")
def java_home() -> Path:
    return java.java_home()


@pytest.fixture(scope="session")
def broker(
    jars_dir: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A running Kafka broker, shared by the session: use topics of your own (`make_topic`).

    A test that stops or kills a broker starts one of its own with `Broker(...)`.
    """
    jars = ensure_jars(jars_dir, ["kafka"])[0].directory
    directory = tmp_path_factory.mktemp("kafka")
    with Broker(directory, jars=jars, java_home=java_home) as running:
        yield running


@pytest.fixture
def make_topic(broker: Broker) -> Callable[..., str]:
    """`make_topic(partitions=1, **config)` creates a topic with a fresh name and returns it."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def make(partitions: int = 1, **config: str) -> str:
        topic = f"topic-{uuid.uuid4().hex[:10]}"
        request = NewTopic(topic, partitions, 1, config=config)
        admin.create_topics([request])[topic].result(timeout=20)
        return topic

    return make
