"""`lake replay`: applied windows once more. What it shares with `lake quarantine redrive`: batch by
batch, with progress, and an end by Ctrl-C that the next run goes on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_platform import compose
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.cli.started import say_run
from lake_platform.remote.runs import RemoteRuns, without_run

if TYPE_CHECKING:
    from lake_platform.load.results import LoadResult

app = typer.Typer()
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]
Windows = Annotated[
    list[str] | None,
    typer.Option("--window", help="An hour (UTC), as in 2026-11-24-03:00; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")]
_INTERRUPTED = 130


@app.command("replay")
def replay(
    table: TableName,
    window: Windows = None,
    first: Annotated[str | None, typer.Option("--from", help="The first hour of a range.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last hour, included.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that was ever applied.")] = False,
    dry_run: DryRun = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Apply windows again from raw, by today's definition and schema.

    Rows are replaced, never added, and older rows never overwrite newer ones: where the table was
    right before it is the same afterwards. Starts Spark where a load does. Over the API a Dagster
    run does it.
    """
    from lake_platform.load.load import load
    from lake_platform.load.plan import runnable
    from lake_platform.load.replaying import plan, span

    asked = span(window or (), first, last, every=every)
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            given = {"windows": window, "from": first, "to": last, "all": every}
            told = RemoteRuns(shell.api).replay(table, given | {"dry_run": dry_run})
            _say_plan(shell, told)
            if not dry_run:
                say_run(shell, table, told)
            if as_json and dry_run:
                shell.show(without_run(told) | {"dry_run": True, "applied": []})
            elif as_json:
                shell.show(told | {"dry_run": False})
            return
        ports = compose.build_ports(shell.settings, shell.metastore)
        limits = compose.build_limits(shell.settings)
        found = plan(table, ports.store, ports.metastore, limits, asked)
        _say_plan(shell, asdict(found))
        if not dry_run:
            runnable(table, ports.metastore)
        results = () if dry_run else load(table, ports, limits, found.windows, replay=True)
        done = applied(shell, results, found.batches, found.records)
        if as_json:
            shell.show(asdict(found) | {"dry_run": dry_run, "applied": done})


def _say_plan(shell: Shell, found: Mapping[str, Any]) -> None:
    windows = found["windows"]
    shell.say(
        f"{found['table']}: {counted(len(windows), 'window')} from {windows[0]} to "
        f"{windows[-1]}, {found['records']} records to read in "
        f"{counted(found['batches'], 'batch', 'batches')}"
    )
    if found["to_end"]:
        shell.say(TO_END)


TO_END = "later records delete, so all behind the first batch is applied again, too"


def counted(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def applied(
    shell: Shell, results: Iterable[LoadResult], batches: int, records: int
) -> list[dict[str, Any]]:
    """Tells each batch as it is applied; `batches` and `records` are those there are to do."""
    done: list[dict[str, Any]] = []
    read = 0
    try:
        for result in results:
            balance = result.applied.balance
            read += balance.records
            share = f"{100 * read // records} %" if records else ""
            shell.say(
                f"batch {len(done) + 1} of {max(batches, len(done) + 1)} ({share}): "
                f"{balance.records} records, {balance.written} rows written, "
                f"{balance.deduplicated} deduplicated, {balance.deleted} deleted, "
                f"{balance.dropped} dropped, {balance.quarantined} quarantined, "
                f"{result.seconds:.1f} s"
            )
            done.append(result.applied.to_dict() | {"rescued": dict(result.rescued)})
    except KeyboardInterrupt:
        shell.say(
            f"stopped after {counted(len(done), 'batch', 'batches')}; the table is sound, and the "
            f"same command goes on with the rest"
        )
        raise typer.Exit(_INTERRUPTED) from None
    return done
