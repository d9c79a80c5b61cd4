"""`lake gaps`, `lake audit-log`: what operators look at and decide."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from lake_platform import compose
from lake_platform.cli.shell import AsJson, Home, open_shell, time_text

gaps = typer.Typer(no_args_is_help=True, help="Offsets Kafka no longer had.")
app = typer.Typer()
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]
OnlyTable = Annotated[str | None, typer.Option(help="Only of this table.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")]


@gaps.command("list")
def list_gaps(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Gaps that were accepted."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        shell.metastore.get(table)
        found = shell.metastore.accepted_gaps(table)
        if as_json:
            shell.show({"table": table, "accepted": [asdict(gap) for gap in found]})
            return
        grid = Table("partition", "from", "to (exclusive)", "accepted by")
        for gap in found:
            grid.add_row(str(gap.partition), str(gap.start), str(gap.end), gap.accepted_by)
        shell.console.print(grid)


@gaps.command("accept")
def accept(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Give up the offsets Kafka no longer has; the next dump goes on behind them."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        found = shell.use_cases().accept_gap(
            table, compose.build_missing_ranges(ports), shell.actor
        )
        if as_json:
            shell.show({"table": table, "accepted": [asdict(gap) for gap in found]})
            return
        for gap in found:
            shell.say(f"partition {gap.partition}: gave up offsets [{gap.start}, {gap.end})")
        if not found:
            shell.say(f"{table}: no offset is missing")


@app.command("audit-log")
def audit_log(
    table: OnlyTable = None, limit: Limit = 100, home: Home = None, as_json: AsJson = False
) -> None:
    """Who changed what, newest first."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        found = shell.metastore.audit_log(table, limit)
        if as_json:
            shell.show({"entries": [asdict(entry) for entry in found]})
            return
        grid = Table("at", "who", "what", "table", "after")
        for e in found:
            grid.add_row(time_text(e.at), e.actor, e.action, e.table, json.dumps(e.after))
        shell.console.print(grid)
