"""The embedded stack as a whole: start it, stop it, say how it is."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from lake_platform.embedded import leftovers
from lake_platform.embedded.answers import silent
from lake_platform.embedded.dagster_home import write_dagster_home
from lake_platform.embedded.home import StackHome
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.java import java_home
from lake_platform.embedded.kafka import KafkaNode
from lake_platform.embedded.leftovers import MARKER
from lake_platform.embedded.location import load_error
from lake_platform.embedded.ports import free_port, require_free
from lake_platform.embedded.programs import Modules, Program, programs
from lake_platform.embedded.supervisor import ProcessState, Supervisor
from lake_platform.errors import SetupError
from lake_platform.settings import Settings

JAR_SETS = ("kafka", "spark")
NOT_ANSWERING = "NOT ANSWERING"
_START_SECONDS = 180.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class PartStatus:
    """One line of `lake status`."""

    name: str
    state: str
    pid: int
    uptime_seconds: float
    address: str

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"


class Stack:
    """Kafka, the API and Dagster on 127.0.0.1, all state in `settings.home`.

    Without Kafka when `settings.kafka_bootstrap` names one elsewhere.
    """

    def __init__(self, settings: Settings, modules: Modules | None = None) -> None:
        self.settings = settings
        self.home = StackHome(settings.home.absolute())
        self._modules = modules or Modules()
        self._supervisor = Supervisor(self.home)
        self.launched = False  # by this object

    @property
    def running(self) -> bool:
        return self._supervisor.answers()

    @property
    def urls(self) -> dict[str, str]:
        return {
            "Dashboard": f"http://{self.settings.api_host}:{self.settings.api_port}/ui",
            "Dagster": f"http://{self.settings.dagster_host}:{self.settings.dagster_port}",
            "API": f"http://{self.settings.api_host}:{self.settings.api_port}",
            "Kafka": self.settings.kafka_bootstrap,
        }

    def prepare(
        self,
        environ: Mapping[str, str],
        on_fetch: Callable[[str, int], None] = lambda _name, _jars: None,
    ) -> None:
        """Everything that can fail before a process runs: Java, ports, jars; then launch.

        Raises:
            SetupError: no Java 17, a port is taken, a jar is wrong.
        """
        self.home.create()
        with self.home.exclusive():
            leftovers.end(self.home.root)  # of a stack whose supervisord was killed
            java = java_home(environ)
            self._require_ports()
            node = self._node(java, free_port())
            sets = [name for name in JAR_SETS if node or name != "kafka"]
            ensure_jars(self.settings.jars, sets, environ=environ, on_fetch=on_fetch)
            if node:
                node.prepare()
            write_dagster_home(self.home)
            self.write_settings()
            self.launched = True
            self._supervisor.launch(self._programs(node), self._environ(environ, java))

    def start(
        self,
        on_ready: Callable[[str, float], None] = lambda _name, _seconds: None,
        on_wait: Callable[[list[str]], None] = lambda _names: None,
    ) -> None:
        """Start each program once what it needs is ready.

        `on_ready(name, seconds)` is called for each, `on_wait(names)` several times a second.

        Raises:
            SetupError: a program ended or was not ready in time; shows the end of its log.
        """
        waiting = {program.name: program for program in self._programs()}
        started: dict[str, float] = {}
        ready: set[str] = set()
        deadline = time.monotonic() + _START_SECONDS
        while waiting:
            self._start_due(waiting, ready, started)
            states = self._supervisor.states()
            for name in [name for name in waiting if name in started]:
                self._require_alive(name, states.get(name), deadline)
                if states[name].running and waiting[name].ready():
                    ready.add(name)
                    del waiting[name]
                    on_ready(name, time.monotonic() - started[name])
            on_wait([name for name in waiting if name in started])
            time.sleep(_POLL_SECONDS)

    def _start_due(
        self, waiting: Mapping[str, Program], ready: set[str], started: dict[str, float]
    ) -> None:
        for name, program in waiting.items():
            if name not in started and ready.issuperset(program.after):
                self._supervisor.start(name)
                started[name] = time.monotonic()

    def _require_alive(self, name: str, state: ProcessState | None, deadline: float) -> None:
        if state is None:
            raise SetupError(f"the stack in {self.home.root} was stopped while it started")
        late = time.monotonic() > deadline
        if state.gave_up or late:
            why = f"was not ready within {_START_SECONDS:.0f} s" if late else "does not start"
            log = self.home.log_file(name)
            raise SetupError(f"{name} {why}; the end of {log}:\n{tail(log, 15)}")

    def stop(self, *, grace_seconds: float = 60.0) -> list[str]:
        """Stop everything and wait; returns what was stopped. Leaves no process of this stack."""
        if not self.home.run.exists():
            return []
        stopped = []
        pid = self._supervisor.pid()
        if pid is not None:
            states = self._supervisor.states().values()
            stopped = [state.name for state in states if state.pid]
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                self._supervisor.shutdown()
                leftovers.wait_gone(process, time.monotonic() + grace_seconds)
        return stopped + leftovers.end(self.home.root)

    def kill(self) -> None:
        """End everything at once with SIGKILL; data on disk is as after a crash."""
        leftovers.end(self.home.root, grace_seconds=0.0)

    def status(self) -> list[PartStatus]:
        """One entry a program; `STOPPED` for all when no supervisord answers."""
        states = self._supervisor.states()
        parts = []
        for program in self._programs():
            state = states.get(program.name) or ProcessState(program.name, "STOPPED", 0, 0.0)
            parts.append(
                PartStatus(
                    program.name, state.state, state.pid, state.uptime_seconds, program.address
                )
            )
        return parts

    def asked(self) -> list[PartStatus]:
        """As `status`, but what runs and does not answer is not said to run."""
        programs = {program.name: program for program in self._programs()}
        parts = self.status()
        mute = silent({
            part.name: (part.pid, programs[part.name].answers or programs[part.name].ready)
            for part in parts if part.running
        })  # fmt: skip
        return [replace(p, state=NOT_ANSWERING) if p.name in mute else p for p in parts]

    def problem(self) -> str | None:
        """What is wrong although every process that answers runs; None if nothing is."""
        if self.running:
            error = load_error(self.urls["Dagster"])
            return error and f"Dagster cannot load the definitions: {error}"
        left = leftovers.find(self.home.root)
        return (
            f"{len(left)} processes were left behind by a killed supervisor; `lake up` or "
            f"`lake down` ends them"
            if left
            else None
        )

    def _programs(self, node: KafkaNode | None = None) -> list[Program]:
        # Without a node only names, addresses and probes are used, never the command lines.
        node = node or self._node(Path("java"), 0)
        return programs(self.settings, self.home, node, self._modules)

    def _node(self, java: Path, controller_port: int) -> KafkaNode | None:
        if self._kafka_port is None:
            return None
        jars = self.settings.jars / "kafka"
        return KafkaNode(self.home.kafka, jars, java, self._kafka_port, controller_port)

    @property
    def _kafka_port(self) -> int | None:
        """Of our own broker; None when the settings name a Kafka elsewhere."""
        host, _, port = self.settings.kafka_bootstrap.rpartition(":")
        return int(port) if host in {"127.0.0.1", "localhost"} and port.isdigit() else None

    def _require_ports(self) -> None:
        if self._kafka_port is not None:
            require_free("Kafka", self._kafka_port, "--kafka-port")
        require_free("the API", self.settings.api_port, "--api-port")
        require_free("the Dagster UI", self.settings.dagster_port, "--dagster-port")

    def write_settings(self) -> None:
        """Other commands find the ports here; what else the file says stays."""
        path = self.settings.settings_file
        stored = json.loads(path.read_text()) if path.exists() else {}
        stored |= {
            "kafka_bootstrap": self.settings.kafka_bootstrap,
            "api_port": self.settings.api_port,
            "dagster_port": self.settings.dagster_port,
        }
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(stored, indent=2) + "\n")
        fresh.replace(path)

    def _environ(self, environ: Mapping[str, str], java: Path) -> dict[str, str]:
        """What the programs see; this settings object wins over the caller's environment."""
        return dict(environ) | {
            MARKER: str(self.home.root),
            "LAKE_HOME": str(self.home.root),
            "LAKE_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "LAKE_API_PORT": str(self.settings.api_port),
            "LAKE_DAGSTER_PORT": str(self.settings.dagster_port),
            "JAVA_HOME": str(java),
            "DAGSTER_HOME": str(self.home.dagster),
            "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "5",
            "PYTHONUNBUFFERED": "1",
            # Scripts of this environment (alembic, spark-submit) are found by children too.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        }


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, empty when there is none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 512 * lines))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
