"""What is asked before something stops, and what is told with the question."""

from __future__ import annotations

import typer

from lake_platform import compose
from lake_platform.cli.shell import Shell
from lake_platform.domain.retiring import lost_by_retiring

ENVELOPE_HELP = "Of change events: debezium, canal, maxwell, ogg, dms or auto."


def tell_lost(shell: Shell, table: str) -> None:
    """What a dataset loses by being retired."""
    record, progress = shell.metastore.get(table), shell.metastore.progress(table)
    incidents = shell.metastore.incidents(table, "OPEN")
    for told in lost_by_retiring(record, progress, len(incidents), compose.clock()):
        shell.say(told)


def ask(shell: Shell, question: str) -> None:
    """Ends the command with exit code 1 unless the answer is yes."""
    try:
        typer.confirm(question, abort=True, err=True)
    except typer.Abort:
        shell.say("nothing was changed; --yes does it without asking")
        raise typer.Exit(1) from None
