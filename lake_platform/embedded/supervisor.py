"""supervisord (PyPI `supervisor`): restarts what dies, rotates logs, answers on a unix socket."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy  # of our own supervisord alone  # nosec B411

from lake_platform.embedded.home import StackHome
from lake_platform.embedded.programs import Program
from lake_platform.errors import SetupError

_LOG_BYTES = "10MB"
_LOG_BACKUPS = "3"
# Nobody answers, or the one who does says only that it is ending.
_GONE = (OSError, HTTPException, Fault)
_START_SECONDS = 20.0


@dataclass(frozen=True)
class ProcessState:
    """What supervisord says about one program."""

    name: str
    state: str
    pid: int
    uptime_seconds: float

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def gave_up(self) -> bool:
        return self.state in {"FATAL", "EXITED", "UNKNOWN"}


class Supervisor:
    """Client of the supervisord of one home."""

    def __init__(self, home: StackHome) -> None:
        self._home = home

    def launch(self, programs: Sequence[Program], environ: Mapping[str, str]) -> None:
        """Start supervisord in a session of its own; programs are started one by one.

        Secrets reach the programs through the environment only: the file holds none.
        """
        self._home.supervisor_config.write_text(render_config(self._home, programs))
        log = self._home.logs / "supervisord.out"
        config = str(self._home.supervisor_config)
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "supervisor.supervisord", "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"supervisord did not start: {log.read_text().strip()[-500:]}")
            time.sleep(0.05)

    def answers(self) -> bool:
        return self.pid() is not None

    def pid(self) -> int | None:
        """Pid of the running supervisord, None when none answers."""
        try:
            return int(self._call("getPID"))
        except _GONE:
            return None

    def start(self, name: str) -> None:
        """Ask for a start and return at once."""
        try:
            self._call("startProcess", name, False)
        except Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise SetupError(f"{name} could not be started: {fault.faultString}") from None

    def states(self) -> dict[str, ProcessState]:
        """State of every program; empty when no supervisord answers."""
        try:
            rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        except _GONE:
            return {}
        return {row["name"]: _state(row) for row in rows}

    def shutdown(self) -> None:
        """Ask supervisord to stop all programs, last started first, and to end."""
        try:
            self._call("shutdown")
        except _GONE:
            return  # it is ending already

    def _call(self, method: str, *arguments: object) -> Any:
        # An HTTP server of its own comes with it: a tenth of the start of every other command.
        from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

        transport = SupervisorTransport(None, None, f"unix://{self._home.supervisor_socket}")
        # The host is never contacted: the transport goes to the socket.
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def _state(row: Mapping[str, Any]) -> ProcessState:
    running = row["statename"] == "RUNNING"
    uptime = float(row["now"] - row["start"]) if running else 0.0
    return ProcessState(row["name"], row["statename"], int(row["pid"]), max(0.0, uptime))


def render_config(home: StackHome, programs: Sequence[Program]) -> str:
    """supervisord.conf; `%` is supervisord's own escape and is doubled."""
    sections: dict[str, dict[str, str]] = {
        "unix_http_server": {"file": str(home.supervisor_socket), "chmod": "0600"},
        "supervisord": _daemon_section(home),
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    for position, program in enumerate(programs):
        sections[f"program:{program.name}"] = _program_section(home, program, position)
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.read_dict(
        {
            name: {key: value.replace("%", "%%") for key, value in section.items()}
            for name, section in sections.items()
        }
    )
    lines = []
    for name in parser.sections():
        lines.append(f"[{name}]")
        lines += [f"{key}={value}" for key, value in parser.items(name)]
        lines.append("")
    return "\n".join(lines)


def _daemon_section(home: StackHome) -> dict[str, str]:
    section = {
        "nodaemon": "true",
        "silent": "true",  # its log file is enough; standard output would grow without limit
        "logfile": str(home.logs / "supervisord.log"),
        "logfile_maxbytes": _LOG_BYTES,
        "logfile_backups": _LOG_BACKUPS,
        "loglevel": "info",
        "pidfile": str(home.run / "supervisord.pid"),
        "childlogdir": str(home.logs),
    }
    # Started by root it would complain that nobody told it to stay root.
    return section | ({"user": "root"} if os.getuid() == 0 else {})


def _program_section(home: StackHome, program: Program, position: int) -> dict[str, str]:
    return {
        "command": shlex.join(program.command),
        "autostart": "false",  # `lake up` starts each when what it needs is ready
        "autorestart": "true",
        "startsecs": "2",
        "startretries": "5",
        "stopwaitsecs": str(program.stop_seconds),
        # Run workers and Spark JVMs are children of the code server: they stop with it.
        "stopasgroup": "true",
        "killasgroup": "true",
        "priority": str(position + 1),
        "redirect_stderr": "true",
        "stdout_logfile": str(home.log_file(program.name)),
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_BACKUPS,
    }
