"""Ctrl-C, and Ctrl-C again at whatever line: no process of the stack is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from rich.console import Console

from lake_platform.cli.stack import interruptible
from lake_platform.embedded import leftovers
from lake_platform.embedded.stack import Stack
from lake_platform.settings import load_settings

_CHILD = "import time; print(flush=True); time.sleep(300)"
_OURS = ("cli/stack.py", "embedded/stack.py")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Launched, with one process."""
    stack = Stack(load_settings(tmp_path))
    stack.home.create()
    marked = {leftovers.MARKER: str(stack.home.root)}
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD], env=marked, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        stack.launched = True
        yield stack
        child.kill()


class AtLine:
    """Sends a second Ctrl-C at the n-th line that runs after the first."""

    def __init__(self, position: int) -> None:
        self.left = position
        self.sent = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> AtLine | None:
        if not frame.f_code.co_filename.endswith(_OURS):
            return None
        if event == "line" and not self.sent:
            self.left -= 1
            if self.left < 0:
                self.sent = True
                os.kill(os.getpid(), signal.SIGINT)
        return self


def _interrupt(stack: Stack, again: AtLine) -> None:
    block: Any = interruptible(stack, Console(quiet=True))
    with block:
        block.gen.gi_frame.f_trace = again  # it runs already
        sys.settrace(again)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("position", [*range(24), 1_000_000])
def test_a_second_interrupt_at_any_line_leaves_nothing(stack: Stack, position: int) -> None:
    again = AtLine(position)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            _interrupt(stack, again)
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, before)
    assert leftovers.find(stack.home.root) == []


def test_handlers_are_as_before(stack: Stack) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible(stack, Console(quiet=True)):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
