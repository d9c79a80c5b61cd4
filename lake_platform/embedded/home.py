"""Where the embedded stack keeps things: everything under one directory, `<home>`."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lake_platform.errors import SetupError

# sockaddr_un holds 108 bytes on Linux, 104 on macOS; supervisord binds `<path>.<pid>` first.
_LONGEST_SOCKET = 90


@dataclass(frozen=True)
class StackHome:
    """Paths of one installation; `root` is absolute."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Generated configuration, pid file and lock of the running stack."""
        return self.root / "run"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def workspace_file(self) -> Path:
        return self.run / "workspace.yaml"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self._sockets / "supervisor.sock"

    @property
    def code_server_socket(self) -> Path:
        return self._sockets / "code.sock"

    @property
    def _sockets(self) -> Path:
        if len(os.fsencode(self.run / "supervisor.sock")) <= _LONGEST_SOCKET:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"lake-{os.getuid()}-{digest}"

    def log_file(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def create(self) -> None:
        """Make the directories; sockets lie where only this user can reach them.

        Raises:
            SetupError: a directory cannot be made, or somebody else owns the socket directory.
        """
        try:
            for directory in (self.root, self.logs, self.dagster, self.kafka):
                directory.mkdir(parents=True, exist_ok=True)
            for directory in (self.run, self._sockets):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"{error.filename}: {error.strerror}; choose a directory you may write with "
                f"--home or LAKE_HOME"
            ) from None
        owner = self._sockets.stat().st_uid
        if owner != os.getuid():
            raise SetupError(
                f"{self._sockets} belongs to user {owner}; remove it, or choose a shorter --home"
            )
        self._sockets.chmod(0o700)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """One `lake up` or `lake down` at a time; the lock goes away with its process.

        Raises:
            SetupError: another one is at work.
        """
        with (self.run / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SetupError(
                    f"another `lake up` or `lake down` is at work in {self.root}; wait for it"
                ) from None
            yield
