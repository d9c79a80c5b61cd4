"""`lake schema add`, `drop`, `widen`, `rename` and `alias`: columns by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from lake_platform import compose
from lake_platform.cli.mapping import safe
from lake_platform.cli.rebuild import ended, go_on, rebuilder_of
from lake_platform.cli.schema import TableName
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.cli.started import show_anew
from lake_platform.domain.mapping import share_text
from lake_platform.domain.progress import SchemaVersion
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.altering import Altering
from lake_platform.metastore.views import schema_view
from lake_platform.remote.client import ApiClient
from lake_platform.remote.runs import RemoteRuns

if TYPE_CHECKING:
    from lake_platform.evolution.proposals import Proposal

app = typer.Typer()
ColumnPath = Annotated[str, typer.Argument(metavar="COLUMN", help="As in amount, or o.items[].n.")]
Yes = Annotated[
    bool, typer.Option("--yes", help="Swap a table that is made anew in without asking.")
]


@app.command("add")
def add(
    table: TableName,
    name: Annotated[str, typer.Argument(help="The key that records will have.")],
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="As long, or decimal(12,2).")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """ADD COLUMN: nullable, loaded from the next batch on."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _told(shell, table, shell.use_cases().add_column(table, name, kind, shell.actor))


@app.command("drop")
def drop(
    table: TableName,
    name: Annotated[str, typer.Argument(metavar="COLUMN")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """DROP COLUMN: no longer loaded; rows that have values keep them, and `add` brings it back."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _told(shell, table, shell.use_cases().drop_column(table, name, shell.actor))


@app.command("widen")
def widen(
    table: TableName,
    column: ColumnPath,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="A wider one.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """A wider type for a column: int to long, float to double, a decimal to a larger one."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _told(shell, table, shell.use_cases().widen_column(table, column, kind, shell.actor))


@app.command("rename")
def rename(
    table: TableName,
    column: ColumnPath,
    name: Annotated[str, typer.Argument(help="The new name, without what it is inside of.")],
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Another name for a column, for all rows: the table is made anew of its raw and swapped in."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            _asked(shell, shell.api, table, column, {"name": name}, yes=yes)
        elif not ended(shell, rebuilder_of(shell), table):
            _rebuild(shell, shell.use_cases().renaming(table, column, name), yes=yes)


@app.command("alias")
def alias(
    table: TableName,
    column: ColumnPath,
    key: Annotated[str, typer.Argument(help="The key that records have for it as well.")],
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Another key of the records for a column, as after a producer renamed it. Where rows have the
    key in a column of its own, the table is made anew of its raw and swapped in."""
    from lake_platform.rebuild.altering import in_place

    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            _asked(shell, shell.api, table, column, {"alias": key}, yes=yes)
            return
        if ended(shell, rebuilder_of(shell), table):
            return
        use_cases = shell.use_cases()
        asked = use_cases.aliasing(table, column, key)
        if not in_place(use_cases, asked, shell.actor):
            _rebuild(shell, asked, yes=yes)
        else:
            _aliased(shell, table, column, key, new=bool(asked.changes))


@app.command("proposals")
def proposals(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Which new columns may be old ones whose key was renamed, and what speaks for it; from the
    records of raw around the time they came."""
    from lake_platform.evolution.proposals import Proposal
    from lake_platform.rebuild.proposals import proposals as look
    from lake_platform.remote.forms import flat

    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            told = shell.api.get("datasets", table, "schema", "proposals")["proposals"]
            found = [flat(Proposal, one) for one in told]
        else:
            found = look(table, shell.metastore, compose.build_store(shell.settings))
        if as_json:
            shell.show({"table": table, "proposals": [asdict(p) for p in found]})
        elif not found:
            shell.say(f"{table}: no new column looks like an old one under another key")
        else:
            shell.console.print(_proposals(found))
            for p in found:
                command = shlex.join([table, p.column, p.key])
                shell.say(f"if {p.key} is {p.column}: lake schema alias {command}")


def _proposals(found: Sequence[Proposal]) -> Table:
    wide = [Column(name, overflow="fold") for name in ("column", "new key")]
    made = Table(*wide, "version", "score", "had it", "gone since", "have the new", "same values")
    for p in found:
        shares = (share_text(n) for n in (p.before, p.gone, p.since, p.same_values))
        names = map(safe, (p.column, p.key))
        made.add_row(*names, str(p.version), f"{p.score:.2f}", *shares)
    return made


def _told(shell: Shell, table: str, version: SchemaVersion) -> None:
    if shell.as_json:
        shell.show({"table": table, "schema": schema_view(version)})
        return
    shell.say(f"{table}: schema version {version.version}, from the next batch on")
    for change in version.changes:
        shell.say(f"    {change}")


def _aliased(shell: Shell, table: str, column: str, key: str, *, new: bool) -> None:
    if shell.as_json:
        shell.show({"table": table, "column": column, "key": key, "state": "alias"})
    else:
        also = "means it from the next batch on" if new else "means it already"
        shell.say(f"{table}: {column}: key {key} {also}")


def _asked(
    shell: Shell, api: ApiClient, table: str, column: str, asked: dict[str, str], *, yes: bool
) -> None:
    """Over the API, where a Dagster run makes the table anew."""
    told = RemoteRuns(api).alter(table, column, asked, swap=yes)
    if "run_id" in told:
        show_anew(shell, told, swap=yes)
    else:
        _aliased(shell, table, column, asked["alias"], new=bool(told["changes"]))


def _rebuild(shell: Shell, asked: Altering, *, yes: bool) -> None:
    if shell.as_json and not yes:
        raise InvalidFieldError(
            "json", True, "leaves nobody to ask about the swap", "give --yes besides"
        )
    rebuilder = rebuilder_of(shell)
    begun = rebuilder.begin(asked.table, asked.changes, shell.actor)
    go_on(shell, rebuilder, asked.table, begun, yes=yes)
