"""`lake schema-demo`: one table through all that can happen to its schema, on real Kafka, Spark and
Hudi in a home of its own, of which nothing is left."""

from __future__ import annotations

import io
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.java import java_home
from lake_platform.embedded.ports import free_port
from lake_platform.embedded.schema_demo import STEPS, Step, create_topic, send
from lake_platform.errors import LakeError, SetupError
from lake_platform.settings import load_settings

app = typer.Typer()


@app.command("schema-demo")
def schema_demo() -> None:
    """Walk one table through all that can happen to its schema: new and wider columns, breaks and
    every resolution, re-drive, rebuild and swap. Minutes; leaves nothing behind."""
    # This output, whatever a command's is sent to.
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)
    began = time.monotonic()
    jars = load_settings().jars
    kafka, *_ = ensure_jars(jars, ["kafka", "spark"])
    with tempfile.TemporaryDirectory(prefix="lake-schema-demo-") as folder:
        home = Path(folder)
        console.print("starting Kafka; Spark starts with the first load")
        with (
            Broker(home / "kafka", jars=kafka.directory, java_home=java_home()) as broker,
            _environment(home, jars, broker.bootstrap),
            _logged(home / "spark.log"),
        ):
            create_topic(broker.bootstrap)
            for step in STEPS:
                _walk(step, broker.bootstrap, console)
    console.print(f"\nall {len(STEPS)} steps went as they should, {time.monotonic() - began:.0f} s")


def _walk(step: Step, bootstrap: str, console: Console) -> None:
    """Raises: SetupError when the command ends otherwise than the step says."""
    if step.title:
        console.print(f"\n== {step.title}")
    for value in step.send:
        console.print(f"   record  {value}")
    send(bootstrap, step.send)
    console.print(f"   $ {step.command}")
    code, said = _run(step.command, console)
    if step.said not in said:
        raise SetupError(f"the command was to say {step.said!r}")
    if bool(code) != step.refused:
        wanted = "be refused" if step.refused else "succeed"
        raise SetupError(f"the command was to {wanted}, and ended with exit code {code}")


def _run(command: str, console: Console) -> tuple[int, str]:
    """In this process, so that all commands share one Spark session. Returns the exit code, and
    what it said on one line."""
    from lake_platform.cli.main import app as lake

    said = _Said(console)
    with redirect_stdout(said), redirect_stderr(said):
        code: Any = lake(shlex.split(command)[1:], standalone_mode=False)
    said.flush()
    return code if isinstance(code, int) else 0, said.line


class _Said(io.StringIO):
    """Passes on what a command says line by line, less that no Dagster is there to be told."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console, self._rest, self.line = console, "", ""

    def write(self, text: str) -> int:
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in lines:
            self.line += f" {line.strip()}"
            if not line.startswith("note: "):
                self._console.print(f"     {line}".rstrip())
        return len(text)


@contextmanager
def _environment(home: Path, jars: Path, bootstrap: str) -> Iterator[None]:
    """What the commands read their settings from."""
    ours: Mapping[str, str] = {
        "LAKE_HOME": str(home),
        "LAKE_JARS_DIR": str(jars),
        "LAKE_KAFKA_BOOTSTRAP": bootstrap,
        "LAKE_DAGSTER_PORT": str(free_port()),  # nobody is there
        "COLUMNS": "110",
    }
    others = [n for n in os.environ if n.startswith("LAKE_") or n == "COLUMNS"]
    before = {name: os.environ.pop(name) for name in others}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What Spark's JVM writes to the error output goes to a file; it is shown when a step fails."""
    sys.stderr.flush()
    before = os.dup(2)
    with path.open("wb") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    except LakeError:
        os.write(before, path.read_bytes()[-4_000:])
        raise
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
