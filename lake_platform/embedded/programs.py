"""The programs of the stack: command line, when each is ready, where it is reached."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lake_platform.embedded import kafka
from lake_platform.embedded.answers import code_server_answers, daemons_beat, http_answers
from lake_platform.embedded.home import StackHome
from lake_platform.embedded.kafka import KafkaNode
from lake_platform.settings import Settings

_HTTP_SECONDS = 3.0


@dataclass(frozen=True)
class Modules:
    """What the stack serves; tests put small stand-ins here."""

    definitions: str = "lake_platform.definitions"
    api_factory: str = "lake_platform.api.app:create_app"


@dataclass(frozen=True)
class Program:
    """One supervised process.

    `ready` answers at once. `after` names the programs that must be ready before this one starts.
    `answers` asks one that runs whether it still does something; where there is none, `ready` does.
    """

    name: str
    command: tuple[str, ...]
    address: str
    ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    stop_seconds: int = 20
    answers: Callable[[], bool] | None = None


def programs(
    settings: Settings, home: StackHome, node: KafkaNode | None, modules: Modules
) -> list[Program]:
    """All programs, in the order they start; they stop in the opposite order. `node` is our own
    broker, if there is to be one."""
    socket = home.code_server_socket
    ui = f"http://{settings.dagster_host}:{settings.dagster_port}"
    api = f"http://{settings.api_host}:{settings.api_port}"
    workspace = ("-w", str(home.workspace_file))
    return [
        *([_kafka(node)] if node else []),
        Program(
            "api",
            _api_command(settings, modules),
            api,
            lambda: _http_ok(f"{api}/health"),
            answers=lambda: http_answers(f"{api}/health"),
        ),
        Program(
            "code-server",
            _code_server_command(socket, modules),
            f"unix:{socket}",
            lambda: _pings(socket),
            answers=lambda: code_server_answers(socket),
        ),
        Program(
            "code-watch",
            _python("lake_platform.embedded.code_watch", str(home.root)),
            "",
            lambda: True,
            after=("code-server",),
        ),
        # The code server creates Dagster's databases; two programs doing so at once collide.
        Program(
            "dagster-webserver",
            _webserver_command(settings, workspace),
            ui,
            lambda: _http_ok(f"{ui}/server_info"),
            after=("code-server",),
        ),
        Program(
            "dagster-daemon",
            _python("dagster._daemon", "run", *workspace),
            "",
            lambda: True,
            after=("code-server", "dagster-webserver"),
            answers=lambda: daemons_beat(ui),
        ),
    ]


def _kafka(node: KafkaNode) -> Program:
    return Program(
        "kafka",
        tuple(node.command()),
        node.bootstrap,
        lambda: kafka.answers(node.bootstrap),
        stop_seconds=40,  # it closes its log segments, so the next start needs no recovery
    )


def _api_command(settings: Settings, modules: Modules) -> tuple[str, ...]:
    address = ("--host", settings.api_host, "--port", str(settings.api_port))
    quiet = ("--no-access-log", "--timeout-graceful-shutdown", "5")
    return _python("uvicorn", "--factory", modules.api_factory, *address, *quiet)


def _code_server_command(socket: Path, modules: Modules) -> tuple[str, ...]:
    where = ("--socket", str(socket), "--location-name", "lake_platform")
    return _python("dagster", "code-server", "start", "-m", modules.definitions, *where)


def _webserver_command(settings: Settings, workspace: tuple[str, ...]) -> tuple[str, ...]:
    address = ("-h", settings.dagster_host, "-p", str(settings.dagster_port))
    return _python("dagster_webserver", *address, *workspace)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _http_ok(url: str) -> bool:
    import httpx

    try:
        # trust_env: a proxy of the machine must not get requests for 127.0.0.1.
        return httpx.get(url, timeout=_HTTP_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _pings(socket: Path) -> bool:
    """Whether the code server answers; gRPC's health service, without importing dagster."""
    if not socket.exists():
        return False
    import grpc  # type: ignore[import-untyped]  # ships no types

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1.0)
        except grpc.FutureTimeoutError:
            return False
    return True
