"""`lake jars`: fetch and check the jars of Kafka and Spark."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lake_platform.embedded.jars import DEFAULT_SETS, SetReport, ensure_jars
from lake_platform.settings import Settings, load_settings

app = typer.Typer()


@app.command("jars")
def jars(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="kafka, spark, connect or s3; may be repeated."),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Directory of all local state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    class_data: Annotated[
        bool,
        typer.Option(
            "--class-data",
            help="Only make the archive of class data with which local Spark sessions start in "
            "little more than half the time: a minute, 170 MB.",
        ),
    ] = False,
    relock: Annotated[
        bool, typer.Option("--relock", help="Maintainers: resolve anew, rewrite jars.lock.")
    ] = False,
) -> None:
    """Fetch the jars of Kafka and Spark, each checked against its locked sha256."""
    console = Console(stderr=as_json)
    if relock:
        _relock(console)
        return
    settings = load_settings(home)
    if class_data:
        _make_class_data(settings, as_json)
        return
    root = settings.jars
    reports = []
    for name in sets or DEFAULT_SETS:
        started = time.monotonic()
        [report] = ensure_jars(root, [name], on_fetch=lambda n, c: _fetching(console, n, c))
        console.print(_line(report, time.monotonic() - started), highlight=False)
        reports.append(report)
    if as_json:
        typer.echo(json.dumps([_as_json(report) for report in reports]))


def _make_class_data(settings: Settings, as_json: bool) -> None:
    from lake_platform import class_data
    from lake_platform.cli.try_home import engines_quiet, home_for_once

    started = time.monotonic()
    archive = class_data.made(settings)
    with engines_quiet() as (out, err):
        console = Console(file=err if as_json else out, highlight=False)
        if fresh := archive is None:
            console.print("class data: loading small tables, archiving what the JVM made of it ...")
            with home_for_once() as home:
                archive = class_data.make(settings, home.path)
        size = archive.stat().st_size
        done = f"made in {time.monotonic() - started:.0f} s" if fresh else "already there"
        console.print(f"class data: {size / 1e6:.0f} MB, {done}")
        if as_json:
            out.write(json.dumps({"file": str(archive), "size_bytes": size, "made": fresh}) + "\n")


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
