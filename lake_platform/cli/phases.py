"""`lake dump` and `lake load`: the two phases of one dataset in this shell, without Dagster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lake_platform import compose
from lake_platform.cli.shell import AsJson, Home, open_shell

app = typer.Typer()
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]


@app.command("dump")
def dump(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Phase 1: read the topic up to its end of now into raw objects."""
    from lake_platform.dump.dump import dump as run

    done: list[dict[str, Any]] = []
    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        for commit in run(table, ports, compose.build_limits(shell.settings)):
            backlog = shell.metastore.progress(table).backlog
            size = commit.raw_bytes / 1e6
            shell.say(
                f"slice {commit.seq}: {commit.records} records, {size:.1f} MB, "
                f"{len(commit.windows)} windows, {backlog} records to go"
            )
            done.append({"seq": commit.seq, "records": commit.records, "bytes": commit.raw_bytes})
        if as_json:
            shell.show({"table": table, "slices": done})
        elif not done:
            shell.say(f"{table}: nothing new in the topic")


@app.command("load")
def load(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Phase 2: apply the raw commits that wait to the table. Starts Spark when there are any."""
    from lake_platform.load.load import load as run

    done: list[dict[str, Any]] = []
    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        for result in run(table, ports, compose.build_limits(shell.settings)):
            balance = result.applied.balance
            shell.say(
                f"batch {result.applied.batch}: {balance.records} records, {balance.written} "
                f"written, {balance.deduplicated} deduplicated, {balance.deleted} deleted, "
                f"{balance.dropped} dropped, {balance.quarantined} quarantined, "
                f"{result.seconds:.1f} s"
            )
            for change in result.changes:
                shell.say(f"    {change}")
            done.append(result.applied.to_dict() | {"seconds": result.seconds})
        if as_json:
            shell.show({"table": table, "batches": done})
        elif not done:
            shell.say(f"{table}: nothing waits to be loaded")
