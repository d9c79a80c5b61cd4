"""`lake schema …`: the columns of a table, where they come from, and how they came to be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from lake_platform.cli.mapping import grid, safe
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell, time_text
from lake_platform.domain.exported import as_yaml
from lake_platform.domain.mapping import summary
from lake_platform.domain.schema import RESCUED, columns
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.columns import Described, compare, describe, export
from lake_platform.metastore.views import described_view, schema_view

app = typer.Typer(no_args_is_help=True, help="Columns, where they come from, and their versions.")
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]


@app.command("show")
def show(
    table: TableName,
    version: Annotated[
        str | None, typer.Option(help="A schema version; the active one otherwise.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Every column: where in the record it comes from, by which rule, and why."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        found = describe(shell.metastore, table, None if version is None else _number(version))
        if as_json:
            shell.show({"table": table} | described_view(found))
        elif found is None:
            shell.say(f"{table} has no schema yet: its topic is empty")
        else:
            _show(shell, table, found)


@app.command("history")
def history(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Each schema version: when, by whom, what changed."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        versions = shell.metastore.schema_versions(table)
        if as_json:
            shell.show({"table": table, "versions": [schema_view(v) for v in versions]})
            return
        if not versions:
            shell.say(f"{table} has no schema yet: its topic is empty")
            return
        made = Table("version", "status", "at (UTC)", "who", Column("changes", overflow="fold"))
        for v in versions:
            changes = "\n".join(v.changes) or ("registered" if v.version == 1 else "")
            at = time_text(v.created_at)
            made.add_row(str(v.version), v.status, at, v.actor or "not noted", safe(changes))
        shell.console.print(made)


@app.command("diff")
def diff(
    table: TableName,
    before: Annotated[str, typer.Argument(metavar="A", help="A schema version.")],
    after: Annotated[
        str | None, typer.Argument(metavar="[B]", help="Another; the active one otherwise.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What is different in version B: added, widened, gone, other spellings and names."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        old, new, found = compare(
            shell.metastore, table, _number(before), None if after is None else _number(after)
        )
        if as_json:
            changes = [asdict(difference) for difference in found]
            versions = {"from": old.version, "to": new.version}
            shell.show({"table": table} | versions | {"changes": changes})
            return
        shell.say(f"{table}, schema version {old.version} to {new.version}")
        if not found:
            shell.say("no difference")
            return
        made = Table("what", "of", *(Column(n, overflow="fold") for n in ("column", "from", "to")))
        for d in found:
            made.add_row(d.what, d.of, *map(safe, (d.column, d.before, d.after)))
        shell.console.print(made)


@app.command("export")
def export_(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """The columns as hints (YAML), by which a rebuild gives the same names and types."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        version, found = export(shell.metastore, table)
        if as_json:
            shell.show({"table": table, "version": version.version, "columns": found})
            return
        typer.echo(f"# Columns of {table}, schema version {version.version}. Only what differs")
        typer.echo("# from what the rules give by themselves: all other names and types follow.")
        typer.echo(as_yaml(found))


def _show(shell: Shell, table: str, found: Described) -> None:
    version = found.version
    shell.say(f"{table}, schema version {version.version} ({version.status})")
    if told := summary(m for _, m in found.lines):
        shell.say(f"columns: {told}")
    # An element of an array says nothing that its array does not, unless a rule is about it.
    lines = [line for line in found.lines if line[1].path[-1] is not None or line[1].rules]
    shell.console.print(grid(lines, versions=True))
    for field in version.source.fields:
        if field.type == RESCUED:
            shell.say(f"{field.name}: JSON text with what of a record fits no column, by its place")
    if found.transformed:
        shell.say("these columns are the steps' input; the table's own:")
        made = Table(*(Column(name, overflow="fold") for name in ("column", "type")))
        for path, kind in columns(version.columns):
            made.add_row(path, str(kind))
        shell.console.print(made)


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:20]):
        return int(text[:20])
    raise InvalidFieldError(
        "version", text, "not a schema version", "give a whole number from 1 up, as in 3"
    )
