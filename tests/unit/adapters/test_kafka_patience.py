"""How long a run waits for a Kafka that does not answer: once long, then shortly for each table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lake_platform.adapters.kafka import client
from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.errors import KafkaDeniedError, KafkaUnavailableError

LONG, SHORT = 6.0, 1.5


class Broker:
    """Keeps how long each question might take; `error` is the answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: list[float] = []
        self.error: Exception | None = KafkaUnavailableError("no answer")
        self.now = 1_000.0
        monkeypatch.setattr(client, "asking", self._asking)
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr(ConfluentKafka, "_described", self._described)

    @contextmanager
    def _asking(self, *_: Any) -> Iterator[Any]:
        yield None

    def _described(self, _admin: Any, _topic: str, seconds: float) -> Any:
        self.waits.append(seconds)
        if self.error:
            raise self.error
        return type("Described", (), {"topic_id": "1"})

    def ask(self, kafka: ConfluentKafka, times: int = 1) -> list[float]:
        for _ in range(times):
            with suppress(KafkaUnavailableError):
                kafka.topic_id("t")
        found, self.waits = self.waits, []
        return found


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return Broker(monkeypatch)


def test_the_first_table_waits_long_and_the_others_do_not(broker: Broker) -> None:
    kafka = ConfluentKafka("127.0.0.1:1")
    assert broker.ask(kafka, 40) == [LONG, *[SHORT] * 39]


def test_a_slow_broker_gets_its_time_again(broker: Broker) -> None:
    kafka = ConfluentKafka("127.0.0.1:1")
    seen = []
    for _ in range(9):
        seen += broker.ask(kafka)
        broker.now += 10
    assert seen == [LONG, SHORT, SHORT] * 3


def test_one_that_answers_again_is_trusted_at_once(broker: Broker) -> None:
    kafka = ConfluentKafka("127.0.0.1:1")
    broker.ask(kafka)
    broker.error = None
    assert broker.ask(kafka, 2) == [SHORT, LONG]


def test_a_missing_right_is_an_answer(broker: Broker) -> None:
    kafka = ConfluentKafka("127.0.0.1:1")
    broker.error = KafkaDeniedError("b", "Describe", "User:lake", "kafka-acls …")
    assert broker.ask(kafka, 2) == [LONG, LONG]
