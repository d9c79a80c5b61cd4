"""What a command over the API says of the Dagster run that does the work: the command does not wait
for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lake_platform.cli.shell import Shell
from lake_platform.errors import InvalidFieldError
from lake_platform.remote.client import ApiClient
from lake_platform.remote.runs import RemoteRuns, run_of


def say_run(shell: Shell, table: str, told: Mapping[str, Any]) -> None:
    run = run_of(told)
    shell.say(f"{table}: started the Dagster job {run.job}, run {run.run_id}; watch it at")
    shell.say(f"    {run.run_url}")


def show_anew(shell: Shell, told: Mapping[str, Any], *, swap: bool) -> None:
    """Of a run that makes the table anew. There is nobody to ask when it comes to the swap."""
    table = told["table"]
    if shell.as_json:
        shell.show({"state": "started", **told})
        return
    say_run(shell, table, told)
    if swap:
        shell.say(f"{table}: swapped in by the run once it is sound")
    else:
        shell.say(
            f"{table}: the rebuilt table will wait; swap it in: lake rebuild {table} --yes; drop "
            f"it: lake rebuild {table} --abort"
        )


def rebuild(
    shell: Shell, api: ApiClient, table: str, changes: Mapping[str, Any], *, swap: bool, audit: bool
) -> None:
    if audit:
        raise InvalidFieldError(
            "audit", True, "a rebuild over the API holds nothing against the topic",
            f"leave it out, or run it where the platform is: lake audit {table} --deep after it",
        )  # fmt: skip
    told = RemoteRuns(api).rebuild(table, changes, swap=swap)
    show_anew(shell, told, swap=swap)


def abort(shell: Shell, api: ApiClient, table: str) -> None:
    told = RemoteRuns(api).abort(table)
    if told is None and shell.as_json:
        shell.show({"table": table, "state": "none", "comparison": None})
    elif told is None:
        shell.say(f"{table}: is not being rebuilt")
    elif shell.as_json:
        shell.show({"state": "started", **told})
    else:
        say_run(shell, table, told)
        shell.say(f"{table}: the rebuilt table is dropped by the run, the live one is as it was")
