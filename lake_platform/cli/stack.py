"""`lake up`, `lake down`, `lake status`: the embedded stack from the shell."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lake_platform.cli.logs import logs
from lake_platform.embedded.stack import NOT_ANSWERING, PartStatus, Stack
from lake_platform.settings import Settings, load_settings

app = typer.Typer()
app.command("logs")(logs)

HomeOption = Annotated[
    Path | None, typer.Option(help="Directory of all local state (LAKE_HOME, else .lake).")
]
_WATCH_SECONDS = 2.0


@app.command("up")
def up(
    home: HomeOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything is ready.")
    ] = False,
    kafka_port: Annotated[int | None, typer.Option(help="Port of the Kafka broker.")] = None,
    api_port: Annotated[int | None, typer.Option(help="Port of the API.")] = None,
    dagster_port: Annotated[int | None, typer.Option(help="Port of the Dagster UI.")] = None,
) -> None:
    """Start Kafka (unless LAKE_KAFKA_BOOTSTRAP names one elsewhere), the API and Dagster on this
    machine; Ctrl-C stops them."""
    console = Console()
    stored = load_settings(home)
    if Stack(stored).running:
        console.print(f"already running in {stored.home}; `lake down` stops it", highlight=False)
        show_urls(console, Stack(stored))
        return
    stack = Stack(_with_ports(stored, kafka_port, api_port, dagster_port))
    if not run(stack, console, os.environ, detach=detach):
        raise typer.Exit(1)


@app.command("down")
def down(home: HomeOption = None) -> None:
    """Stop everything `lake up` started; data stays."""
    console = Console()
    stack = Stack(load_settings(home))
    started = time.monotonic()
    stopped = stack.stop()
    if not stopped:
        console.print(f"nothing runs in {stack.home.root}", highlight=False)
        return
    seconds = time.monotonic() - started
    console.print(f"stopped in {seconds:.0f} s: {', '.join(stopped)}", highlight=False)


@app.command("status")
def status(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """State, pid, uptime and address of every part; exit code 1 if one does not run or answer."""
    stack = Stack(load_settings(home))
    parts = stack.asked()
    if as_json:
        typer.echo(json.dumps([asdict(part) for part in parts]))
    else:
        console = Console()
        console.print(_table(parts))
        for part in parts:
            if part.state == NOT_ANSWERING:
                console.print(
                    f"{part.name} (pid {part.pid}) runs and does not answer: "
                    f"lake logs {part.name}; `lake down` and `lake up` start it anew",
                    style="yellow", markup=False, highlight=False, soft_wrap=True,
                )  # fmt: skip
        _show_problem(console, stack)
    if not all(part.running for part in parts):
        raise typer.Exit(1)


def run(stack: Stack, console: Console, environ: Mapping[str, str], *, detach: bool) -> bool:
    """Start the stack; unless `detach`, stay until Ctrl-C and stop it. False: interrupted early.

    Whatever goes wrong while starting, nothing is left running.
    """
    ready = False
    try:
        with interruptible(stack, console):
            try:
                _start(stack, console, environ)
                ready = True
                show_urls(console, stack)
                _show_problem(console, stack)
                if not detach:
                    console.print("Ctrl-C stops everything; see also: lake status, lake logs")
                    _watch(stack, console)
            except Exception:
                if stack.launched:
                    stack.stop()
                raise
    except KeyboardInterrupt:
        return ready
    return ready


@contextlib.contextmanager
def interruptible(stack: Stack, console: Console) -> Iterator[None]:
    """Ctrl-C, a SIGTERM or a closed terminal stops what `stack` launched; one more kills it.

    Raises:
        KeyboardInterrupt: was stopped so.
    """
    interrupts = _Interrupts(stack)
    # SIGINT too: a shell starts background jobs with it ignored.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield
    except KeyboardInterrupt:
        if stack.launched:  # else what runs there, if anything, is not ours to stop
            console.print("\nstopping (Ctrl-C again kills)", highlight=False)
            stopped = stack.stop()
            ended = f"stopped: {', '.join(stopped) or 'nothing ran'}"
            console.print("killed" if interrupts.killed else ended, highlight=False)
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Interrupts:
    """The first signal interrupts. Each later one kills where it arrives: raised, it could meet
    any line of the stopping, and what still runs would be left behind."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._interrupted = False
        self.killed = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt
        if self._stack.launched:
            self.killed = True
            self._stack.kill()


def show_urls(console: Console, stack: Stack) -> None:
    for name, url in stack.urls.items():
        console.print(f"  {name:<9} {url}", highlight=False)


def _show_problem(console: Console, stack: Stack) -> None:
    if problem := stack.problem():
        console.print(problem, style="yellow", markup=False, highlight=False)


def _with_ports(
    settings: Settings, kafka_port: int | None, api_port: int | None, dagster_port: int | None
) -> Settings:
    chosen: dict[str, object] = {}
    if kafka_port is not None:
        chosen["kafka_bootstrap"] = f"127.0.0.1:{kafka_port}"
    if api_port is not None:
        chosen["api_port"] = api_port
    if dagster_port is not None:
        chosen["dagster_port"] = dagster_port
    return settings.model_copy(update=chosen)


def _start(stack: Stack, console: Console, environ: Mapping[str, str]) -> None:
    def fetching(name: str, count: int) -> None:
        console.print(f"  {name:<18} fetching {count} jars", highlight=False)

    def ready(name: str, seconds: float) -> None:
        console.print(f"  {name:<18} [green]ready[/green] {seconds:5.1f} s", highlight=False)

    started = time.monotonic()
    console.print(f"starting in {stack.home.root}", highlight=False)
    with console.status("waiting") as spinner:

        def waiting(names: list[str]) -> None:
            seconds = time.monotonic() - started
            spinner.update(f"waiting for {', '.join(names)}  {seconds:.0f} s")

        stack.prepare(environ, fetching)
        stack.start(ready, waiting)
    console.print(f"all ready in {time.monotonic() - started:.0f} s", highlight=False)


def _watch(stack: Stack, console: Console) -> None:
    """Report what died and came back, until everything was stopped from elsewhere."""
    pids = {part.name: part.pid for part in stack.status()}
    stopped = threading.Event()  # never set: its wait ends at once on a signal
    while not stopped.wait(_WATCH_SECONDS):
        if not stack.running:
            console.print("the stack was stopped from elsewhere")
            stack.stop()
            return
        for part in stack.status():
            if part.running and part.pid != pids[part.name]:
                pids[part.name] = part.pid
                console.print(f"{part.name} had ended and was started again", highlight=False)
            elif part.state == "FATAL" and pids[part.name]:
                pids[part.name] = 0
                console.print(f"[red]{part.name} keeps failing[/red]: lake logs {part.name}")


def _table(parts: list[PartStatus]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("part", "state", "pid", "up", "address"):
        table.add_column(column)
    for part in parts:
        colour = "green" if part.running else "red"
        uptime = _duration(part.uptime_seconds) if part.running else ""
        table.add_row(
            part.name,
            f"[{colour}]{part.state}[/{colour}]",
            str(part.pid or ""),
            uptime,
            part.address,
        )
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"
