"""`lake demo` sends while the rest of the stack starts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from rich.console import Console

from lake_platform.cli.demo import _up
from lake_platform.embedded.demo import Round
from lake_platform.embedded.stack import PartStatus, Stack
from lake_platform.errors import KafkaUnavailableError

_SECONDS = 20.0


@dataclass
class Starting:
    """A stack whose daemon is ready only when the demo has sent."""

    names: tuple[str, ...]
    sent: threading.Event
    running: bool = False

    def prepare(self, *_: object) -> None:
        pass

    def status(self) -> list[PartStatus]:
        return [PartStatus(name, "STOPPED", 0, 0.0, "") for name in self.names]

    def start(self, on_ready: Callable[[str, float], None]) -> None:
        for name in self.names:
            assert not self.sent.is_set(), f"sent before {name} was ready"
            on_ready(name, 0.1)
        assert self.sent.wait(_SECONDS), "nothing was sent while the stack started"
        on_ready("dagster-daemon", 0.1)


def up(stack: Starting, send: Callable[[], Any]) -> Any:
    return _up(cast(Stack, stack), Console(quiet=True), send)


def sending(stack: Starting) -> Callable[[], Any]:
    def send() -> Any:
        stack.sent.set()
        return Round(1), {}

    return send


@pytest.mark.parametrize("names", [("kafka", "api"), ("api", "kafka"), ("api",)])
def test_it_sends_when_all_that_it_needs_is_ready(names: tuple[str, ...]) -> None:
    stack = Starting(names, threading.Event())
    assert up(stack, sending(stack)) == (Round(1), {})


def test_a_stack_that_runs_is_sent_to_at_once() -> None:
    stack = Starting((), threading.Event(), running=True)
    assert up(stack, sending(stack)) == (Round(1), {})


def test_what_goes_wrong_while_sending_is_told() -> None:
    stack = Starting(("kafka", "api"), threading.Event())

    def send() -> Any:
        stack.sent.set()
        raise KafkaUnavailableError("gone")

    with pytest.raises(KafkaUnavailableError, match="gone"):
        up(stack, send)
