"""The parent's side: starts the child, tells it what to do, kills it at a point."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_REPO = Path(__file__).parents[2]
DEADLINE_SECONDS = 180.0


class Stuck(AssertionError):
    """A point that was not reached, or a child that ended: the cell has failed."""


class Passed(Stuck):
    """The command came to its end without the point."""


class Victim:
    """One life of the child process, with the JVM it starts. `place` holds the files by which the
    two talk; the lives of one writer share it."""

    def __init__(
        self,
        home: Path,
        place: str,
        bootstrap: str,
        jars: Path,
        java: Path,
        table: str,
        *flags: str,
    ) -> None:
        self.home = home / place
        self.home.mkdir(exist_ok=True)
        self.known = 0  # answers before the one that a standing child owes
        self._clear("armed", "standing", "released", "answers", "jvm-calls.log")
        arguments = [str(home), str(self.home), bootstrap, str(jars), table, *flags]
        # A killed JVM leaves its shuffle files: among ours, which are removed, not in /tmp.
        env = {**os.environ, "JAVA_HOME": str(java), "SPARK_LOCAL_DIRS": str(self.home)}
        with (self.home / "child.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kills.child", *arguments],
                cwd=_REPO, env=env, stdin=subprocess.PIPE,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()

    def do(self, command: str) -> str:
        """Says it and waits for the answer."""
        known = self.answers()
        self.say(command)
        return self.answer(known)

    def answers(self) -> int:
        return len(self._answers())

    def answer(self, known: int = 0) -> str:
        self.wait(lambda: self.answers() > known, "an answer")
        return self._answers()[-1]

    def stand_at(self, armed: str, command: str) -> None:
        """Raises: Passed when the command ended well without it, Stuck when it failed."""
        self._clear("standing", "released")
        waiting = self.home / "armed.new"
        waiting.write_text(armed)
        waiting.rename(self.home / "armed")
        self.known = self.answers()
        self.say(command)
        self.wait(lambda: self.stands() or self.answers() > self.known, f"point {armed!r}")
        if not self.stands():
            answer = self._answers()[-1]
            kind = Passed if answer == "ok" else Stuck
            raise kind(f"{command} ended without {armed!r}: {answer}\n{self.tail()}")

    def stands(self) -> bool:
        return (self.home / "standing").exists()

    def release(self) -> None:
        self._clear("armed")
        (self.home / "released").touch()

    def jvm(self) -> psutil.Process | None:
        children = psutil.Process(self._process.pid).children(recursive=True)
        return next((c for c in children if c.name() == "java"), None)

    def kill_jvm(self) -> bool:
        """kill -9 of the JVM alone; False when there is none."""
        jvm = self.jvm()
        if jvm is not None:
            jvm.kill()
            wait_for_end(jvm)
        return jvm is not None

    def parts(self) -> list[psutil.Process]:
        """The processes that read partitions or decode."""
        return [c for c in psutil.Process(self._process.pid).children() if c.name() != "java"]

    def kill_part(self) -> None:
        """kill -9 of one of its parts."""
        part = self.parts()[0]
        part.kill()
        wait_for_end(part)

    def kill_parent(self) -> None:
        """kill -9 of Python alone: its parts have to see it by themselves."""
        parts = self.parts()
        self.kill_python()
        for part in parts:
            wait_for_end(part)

    def kill_python(self) -> None:
        """kill -9 of Python alone; its JVM sees the end of its input."""
        self._process.kill()
        self._process.wait(20)

    def send_signal(self, number: signal.Signals) -> None:
        """To the process group: Python and its JVM."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def wait(self, moment: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not moment():
            if self._process.poll() is not None:
                raise Stuck(f"the child ended before {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise Stuck(f"{what} did not come:\n{self.tail()}")
            time.sleep(0.005)

    def tail(self) -> str:
        """The end of its log, without what Spark says at each start."""
        lines = (self.home / "child.log").read_text(errors="replace").splitlines()
        noise = (" WARN", "log level")
        return "\n".join(line for line in lines if not any(n in line for n in noise))[-3_000:]

    def _answers(self) -> list[str]:
        path = self.home / "answers"
        return path.read_text().splitlines() if path.exists() else []

    def _clear(self, *names: str) -> None:
        for name in names:
            (self.home / name).unlink(missing_ok=True)


def wait_for_end(process: psutil.Process) -> None:
    """Also of one whose parent does not collect it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not _is_dead(process):
        if time.monotonic() > deadline:
            raise Stuck(f"process {process.pid} did not end")
        time.sleep(0.005)


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
