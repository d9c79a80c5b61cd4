"""`lake catalog …`: tables in AWS Glue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from lake_platform import readers
from lake_platform.catalog.drift import Difference, Drift, drift_view
from lake_platform.catalog.service import CatalogService, Outcome
from lake_platform.catalog.sync import Synced
from lake_platform.cli.asking import ask
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.remote.forms import flat

app = typer.Typer(no_args_is_help=True, help="Tables in AWS Glue: check, sync, drop.")
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]


@app.command("check")
def check(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Compare lake, metastore and Glue, column by column. Changes nothing.

    Exit code 0: they agree, or what differs waits for the next load. Exit code 1: they do not.
    """
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        found, address = _drift(shell, table)
        if as_json:
            shell.show(drift_view(table, found))
        else:
            _show_drift(shell, table, found, address)
    if found is not None and not found.sound:
        raise typer.Exit(1)


@app.command("sync")
def sync(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Bring Glue to what the table has now. Writes nothing to the table; may be repeated."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        done = _synced(shell, table)
        if as_json:
            shell.show(asdict(done))
        else:
            _show_sync(shell, done)


@app.command("drop")
def drop(
    table: TableName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take the table out of Glue. Its files stay; the next load of a dataset with catalog=glue
    brings it back. Asks first."""
    with open_shell(home, as_json=as_json) as shell:
        service = _service(shell)
        if not yes:
            shell.metastore.get(table)
            ask(shell, f"drop {table} from {service.catalog.address}?")
        names = service.drop(table)
        if as_json:
            shell.show({"table": table, "dropped": names})
        else:
            shell.say(f"dropped {', '.join(names)}" if names else "it was not there")


def _service(shell: Shell) -> CatalogService:
    return readers.build_catalog(shell.settings, shell.metastore)


def _drift(shell: Shell, table: str) -> tuple[Drift | None, str]:
    """And where the catalog is."""
    if shell.api is None:
        service = _service(shell)
        return service.check(table), service.catalog.address
    told = shell.api.get("datasets", table, "catalog")
    differences = tuple(flat(Difference, one) for one in told["differences"])
    found = Drift(differences, tuple(told["notes"])) if told["loaded"] else None
    return found, told["address"]


def _synced(shell: Shell, table: str) -> Outcome:
    if shell.api is None:
        return _service(shell).sync(table)
    told = shell.api.ask("POST", ("datasets", table, "catalog", "sync"))
    return flat(Outcome, told | {"entries": [flat(Synced, one) for one in told["entries"]]})


def _show_sync(shell: Shell, done: Outcome) -> None:
    if done.made_database:
        shell.say(f"made {done.address}")
    if not done.entries:
        shell.say(f"{done.table}: nothing is loaded yet, there is no table")
    for entry in done.entries:
        shell.say(f"{entry.name}: {entry.action}{_counts(entry)}")
        for change in entry.changes:
            shell.say(f"  {change}")
    for note in done.notes:
        shell.say(f"note: {note}")


def _counts(entry: Synced) -> str:
    counts = {"added": entry.added, "updated": entry.updated, "dropped": entry.dropped}
    told = [f"{n} {what}" for what, n in counts.items() if n]
    return f", partitions: {', '.join(told)}" if told else ""


def _show_drift(shell: Shell, table: str, found: Drift | None, address: str) -> None:
    if found is None:
        shell.say(f"{table}: nothing is loaded yet, there is no table")
        return
    if found.differences:
        grid = Table("where", "what", "lake", "metastore", "Glue", "")
        for d in found.differences:
            waits = "comes with the next load" if d.waits else ""
            grid.add_row(d.place, d.what, d.lake, d.metastore, d.catalog, waits)
        shell.console.print(grid)
    for note in found.notes:
        shell.say(f"note: {note}")
    if found.sound:
        shell.say(f"{table}: lake, metastore and {address} agree")
    else:
        shell.say(f"{table}: they do not agree; bring Glue to the lake: lake catalog sync {table}")
