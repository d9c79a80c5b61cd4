"""`lake` over an API that is served here, on a real socket: only Kafka and Dagster are others'."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.api.app import create_app
from lake_platform.cli.main import app
from lake_platform.errors import DagsterUnavailableError

EDITOR, VIEWER = "token-of-ann", "token-of-eve"
DAGSTER = "https://dagster.example"


@dataclass
class Launching:
    """Stands for Dagster: keeps what it is asked to run."""

    launched: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    away: bool = False

    def launch(self, job: str, run_config: Mapping[str, Any]) -> str:
        if self.away:
            raise DagsterUnavailableError("Dagster at http://dagster did not answer")
        self.launched.append((job, run_config))
        return f"run-{len(self.launched)}"

    def reload(self) -> list[str]:
        return []


@dataclass
class OverApi:
    """`run`: a command over the API; its own home is empty, so nothing else can be asked."""

    url: str
    home: Path
    dagster: Launching
    patch: pytest.MonkeyPatch

    def run(self, *command: str, token: str = EDITOR) -> Result:
        with self.patch.context() as environ:
            environ.setenv("LAKE_API_URL", self.url)
            environ.setenv("LAKE_API_TOKEN", token)
            return CliRunner().invoke(app, [*command, "--home", str(self.home)])

    def data(self, *command: str) -> Any:
        done = self.run(*command, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def launched(self) -> tuple[str, Any]:
        """The job that was started last, and the config of its only op."""
        job, config = self.dagster.launched[-1]
        [op] = config["ops"].values()
        return job, op["config"]


@contextmanager
def served(patch: pytest.MonkeyPatch, home: Path) -> Iterator[OverApi]:
    """The API of the settings in the environment."""
    dagster = Launching()
    patch.setattr(compose, "build_dagster", lambda *_: dagster)
    patch.setenv("LAKE_DAGSTER_URL", DAGSTER)
    patch.setenv("LAKE_API_TOKENS", json.dumps({"ann:editor": EDITOR, "eve:viewer": VIEWER}))
    listening = socket.create_server(("127.0.0.1", 0))  # asked before it serves, it lets wait
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield OverApi(url, home, dagster, patch)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
