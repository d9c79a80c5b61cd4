"""`lake jars`: fetch and check the jars of Kafka and Spark."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lake_platform.embedded.jars import DEFAULT_SETS, SetReport, ensure_jars
from lake_platform.settings import load_settings

app = typer.Typer()


@app.command("jars")
def jars(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="kafka, spark, connect or s3; may be repeated."),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Directory of all local state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    relock: Annotated[
        bool, typer.Option("--relock", help="Maintainers: resolve anew, rewrite jars.lock.")
    ] = False,
) -> None:
    """Fetch the jars of Kafka and Spark, each checked against its locked sha256."""
    console = Console(stderr=as_json)
    if relock:
        _relock(console)
        return
    root = load_settings(home).jars
    reports = []
    for name in sets or DEFAULT_SETS:
        started = time.monotonic()
        [report] = ensure_jars(root, [name], on_fetch=lambda n, c: _fetching(console, n, c))
        console.print(_line(report, time.monotonic() - started), highlight=False)
        reports.append(report)
    if as_json:
        typer.echo(json.dumps([_as_json(report) for report in reports]))


def _relock(console: Console) -> None:
    from lake_platform import embedded
    from lake_platform.embedded.relock import relock

    target = Path(embedded.__path__[0]) / "jars.lock"
    for name, count in relock(target).items():
        console.print(f"{name}: {count} jars locked", highlight=False)


def _fetching(console: Console, name: str, count: int) -> None:
    console.print(f"{name}: fetching {_count(count)} ...", highlight=False)


def _line(report: SetReport, seconds: float) -> str:
    size = f"{_count(report.jars)}, {report.size_bytes / 1e6:.0f} MB"
    done = f"fetched and checked in {seconds:.0f} s" if report.fetched else "already there"
    return f"{report.name}: {size}, {done}"


def _as_json(report: SetReport) -> dict[str, object]:
    return {
        "set": report.name,
        "directory": str(report.directory),
        "jars": report.jars,
        "size_bytes": report.size_bytes,
        "fetched": report.fetched,
    }


def _count(jars: int) -> str:
    return "1 jar" if jars == 1 else f"{jars} jars"
