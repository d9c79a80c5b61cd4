"""`lake compact`: what maintenance does every hour, by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from lake_platform import compose
from lake_platform.cli.shell import AsJson, Home, open_shell

app = typer.Typer()


@app.command("compact")
def compact(
    table: Annotated[str, typer.Argument(help="Table name of the dataset.")],
    after: Annotated[int, typer.Option(min=1, help="Only when so many commits wait for it.")] = 1,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Merge the log files of a Hudi table into its base files; rows stay as they are."""
    from lake_platform.maintain.compaction import compact_table

    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        found = compact_table(table, ports, compose.build_limits(shell.settings), after)
        commits, why = (found.commits, found.put_off) if found else (0, "")
        if as_json:
            shell.show({"table": table, "commits": commits, "put_off": why})
        elif why:
            shell.say(f"{table}: {commits} commits wait for compaction: {why}")
        else:
            shell.say(
                f"{table}: {commits} commits compacted" if found else f"{table}: nothing to compact"
            )
