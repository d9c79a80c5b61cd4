"""Where a trial runs: a home that is removed, processes that are ended, a limit of time."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from lake_platform import compose
from lake_platform.errors import InvalidFieldError, LakeError

_GRACE_SECONDS = 10.0
_END_SECONDS = 3.0


class OutOfTime(BaseException):
    """Past `except Exception`: an engine must not take it for an error of its own."""


class OutOfTimeError(LakeError):
    def __init__(self, seconds: float, doing: str) -> None:
        super().__init__(
            f"{doing}: no end after {seconds:g} s, so it was ended; an engine that hangs here "
            f"hangs in production too. Where it only needs longer, give more with --at-most-seconds"
        )
        self.seconds = seconds


@dataclass(frozen=True)
class Once:
    """A home, and the children this process had before it."""

    path: Path
    before: frozenset[int]

    def clear(self) -> None:
        """Ends all newer children and removes the home."""
        import psutil

        found = psutil.Process().children(recursive=True)
        new = [process for process in found if process.pid not in self.before]
        compose.forget_spark({process.pid for process in new})
        for process in new:
            _ask(process.terminate)
        _, left = psutil.wait_procs(new, _END_SECONDS)
        for process in left:
            _ask(process.kill)
        psutil.wait_procs(left, _END_SECONDS)
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def home_for_once() -> Iterator[Once]:
    """A directory that is gone afterwards, with all processes started meanwhile, also after
    Ctrl-C, SIGTERM and SIGHUP."""
    stop = _FirstSignal()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    once = Once(Path(tempfile.mkdtemp(prefix="lake-try-")), _children())
    try:
        yield once
    finally:
        stop.armed = False
        once.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(end: Callable[[], None]) -> None:
    import psutil

    try:
        end()
    except psutil.NoSuchProcess:
        return


def _children() -> frozenset[int]:
    import psutil

    return frozenset(p.pid for p in psutil.Process().children(recursive=True))


class _FirstSignal:
    """Ends what runs; those that follow are ignored, for cleaning up takes seconds and must end."""

    def __init__(self) -> None:
        self.armed = True

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def at_most(seconds: float, home: Once, out: TextIO) -> Iterator[None]:
    """Raises OutOfTime in this thread. What cannot be interrupted (native code that never comes
    back) ends with the process, some seconds later; nothing is left behind then either."""

    def give_up() -> None:
        out.write(f"error: {OutOfTimeError(seconds, 'native code of an engine')}\n")
        out.flush()
        home.clear()
        os._exit(1)

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise OutOfTime

    last = threading.Timer(seconds + _GRACE_SECONDS, give_up)
    last.daemon = True
    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    last.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        last.cancel()


@contextmanager
def engines_quiet() -> Iterator[tuple[TextIO, TextIO]]:
    """Yields stdout and stderr for us: what engines print goes nowhere. It stays so afterwards, for
    they still print when their JVM has ended, unless there is an error to be shown."""
    try:
        real = sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (OSError, ValueError):
        real = False
    if not real:  # a test reads both by other means
        yield sys.stdout, sys.stderr
        return
    sys.stdout.flush()
    sys.stderr.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    err = os.fdopen(os.dup(2), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        yield out, err
    except BaseException:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        raise
    finally:
        os.close(nowhere)
        out.close()
        err.close()


def check_out(directory: Path) -> None:
    """Raises: InvalidFieldError unless `directory` is empty or can be made."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        reason = "is not empty" if directory.is_dir() else "is a file"
        raise InvalidFieldError("out", str(directory), reason, "name a new or empty directory")


def keep(table: Path, directory: Path) -> None:
    """Moves the files of a table into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for part in sorted(table.iterdir()) if table.is_dir() else ():
        shutil.move(part, directory / part.name)
