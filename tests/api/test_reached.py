"""`kafka_reachable` and `storage_reachable`: a scrape waits for nothing that hangs, and says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lake_platform.api import health
from lake_platform.api.health import Probe
from lake_platform.errors import KafkaUnavailableError
from tests.api.conftest import Start


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    held = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: held[0])
    return held


class System:
    """Answers `well` or not; while `hangs` is set it answers nothing."""

    def __init__(self) -> None:
        self.well, self.hangs = True, False
        self.goes_on = threading.Event()

    def __call__(self) -> None:
        if self.hangs:
            assert self.goes_on.wait(30)
        if not self.well:
            raise KafkaUnavailableError("away")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_what_hangs_is_not_reachable_once_it_is_late(
    now: list[float], pool: ThreadPoolExecutor
) -> None:
    system = System()
    probe = Probe(system, pool)
    assert probe.known() is None
    probe.start().result(10)
    assert probe.known() is True
    system.hangs, system.well = True, False
    now[0] += 15
    asked = probe.start()
    assert probe.known() is True  # it may still answer
    now[0] += 2.5
    assert probe.start() is asked
    assert probe.known() is False
    system.goes_on.set()
    asked.result(10)
    assert probe.known() is False
    system.hangs, system.well = False, True
    now[0] += 15
    probe.start().result(10)
    assert probe.known() is True


def test_an_answer_between_two_scrapes_counts(now: list[float], pool: ThreadPoolExecutor) -> None:
    system = System()
    probe = Probe(system, pool)
    probe.start().result(10)
    assert probe.known() is True
    system.well = False
    now[0] += 15
    probe.start().result(10)  # nobody looks at it
    system.hangs = True
    now[0] += 15
    probe.start()
    assert probe.known() is False
    system.goes_on.set()


def test_a_scrape_tells_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = start()
    lines = stack.client.get("/metrics").text.splitlines()
    assert "kafka_reachable 1.0" in lines
    assert "storage_reachable 1.0" in lines
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(
        type(stack.kafka), "describe", lambda *_: (_ for _ in ()).throw(KafkaUnavailableError("x"))
    )
    lines = stack.client.get("/metrics").text.splitlines()
    assert "kafka_reachable 0.0" in lines
    assert "storage_reachable 1.0" in lines
