"""A Kafka broker as a context manager, for tests and benchmarks: start, stop, kill, restart."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from lake_platform.embedded.kafka import KafkaNode, wait_ready
from lake_platform.embedded.ports import free_port
from lake_platform.errors import KafkaUnavailableError

_STOP_SECONDS = 30.0


class Broker:
    """A real broker on free ports whose data lives in `directory`.

    The ports stay the same over `restart()`, so clients find it again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        jars: Path,
        java_home: Path,
        heap: str = "512m",
        overrides: Mapping[str, str] | None = None,
        start_seconds: float = 60.0,
    ) -> None:
        self.node = KafkaNode(
            directory, jars, java_home, free_port(), free_port(), heap, overrides or {}
        )
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return self.node.bootstrap

    @property
    def pid(self) -> int:
        if self._process is None:
            raise KafkaUnavailableError(f"the broker in {self.node.directory} is not started")
        return self._process.pid

    @property
    def log_file(self) -> Path:
        return self.node.directory / "broker.log"

    def start(self) -> None:
        """Start and wait until it serves; the end of its log is in the error when it does not."""
        if self._process is not None:
            return
        self.node.prepare()
        self._log = self.log_file.open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            self.node.command(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal must not stop it behind our back
        )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Orderly stop; killed when it does not end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, as a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same data and ports, after a stop if it runs."""
        self.stop()
        self.start()

    def _wait(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline and self._running():
            try:
                wait_ready(self.bootstrap, min(deadline, time.monotonic() + 1.0))
            except KafkaUnavailableError:
                continue
            return
        tail = self.log_file.read_text(errors="replace")[-2_000:]
        how = "did not start in time" if self._running() else "ended while starting"
        raise KafkaUnavailableError(f"the broker in {self.node.directory} {how}:\n{tail}")

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_SECONDS)
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
