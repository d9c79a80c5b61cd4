"""`lake schema check`: the verdict a load would give, for a producer's CI."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from lake_platform import benches
from lake_platform.cli.mapping import grid, safe
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.cli.try_home import engines_quiet, home_for_once
from lake_platform.errors import InvalidFieldError

if TYPE_CHECKING:
    from lake_platform.settings import Settings
    from lake_platform.trial.check import Checked

_SHOWN_CHARS = 80


def add_to(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    table: Annotated[str, typer.Argument(help="Table name of the dataset.")],
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Records, one a line; plain or gzip (see lake try)."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the producer means to send, as JSON.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--records", help="Each line of --sample is a whole record.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What would a load make of these records? Nothing is written.

    The records go through the scan and the schema check of a load, against the
    schema the table has now. Each change is shown with its verdict, how many
    records show it, and the first one.

    --schema takes {"a.b[].c": "long", …}, a JSON Schema with one type for each
    property, {"type": "struct", "fields": […]}, or what GET
    /datasets/<table>/schema answers. Records of these types are checked.

    Exit code 0: it fits, or the changes are automatic. 3: the table would be
    BLOCKED, or stop for too many records in quarantine. 1: an error. Where the
    dataset has steps, Spark looks at what they make of the sample.
    """
    if (sample is None) == (schema is None):
        raise InvalidFieldError(
            "sample", str(sample or ""), "give either --sample or --schema", "name one file"
        )
    with (
        open_shell(home, as_json=as_json, over_api=True) as shell,
        engines_quiet() as (out, err),
        redirect_stdout(out),
        redirect_stderr(err),
        home_for_once() as once,
    ):
        at_work = benches.bench_settings(shell.settings, once.path)
        found = _checked(shell, at_work, table, sample, schema, whole=whole)
        _show(shell, found)
    raise typer.Exit(found.exit_code)


def _checked(
    shell: Shell, at_work: Settings, table: str, sample: Path | None, schema: Path | None,
    *, whole: bool,
) -> Checked:  # fmt: skip
    from lake_platform.trial.check import check as run
    from lake_platform.trial.declared import read_schema, records_of
    from lake_platform.trial.records import check_file, read_records

    if sample is not None:
        check_file(sample, whole=whole)
    records = (
        records_of(read_schema(schema)) if schema else read_records(Path(sample or ""), whole=whole)
    )
    bench = benches.build_check_bench(at_work, steps=True)
    with shell.console.status(f"checking against {table}"):
        return run(table, shell.metastore, bench, records)


def _show(shell: Shell, found: Checked) -> None:
    from lake_platform.trial.check_view import checked_view, said

    if shell.as_json:
        shell.show(checked_view(found))
        return
    version = f"schema version {found.before.version}" if found.before else "no schema yet"
    shell.say(f"{found.dataset.table}: {found.records} records against {version}")
    if found.mapped:
        shell.console.print(grid((1, m) for m in found.mapped))
    if found.changes:
        shell.console.print(_changes(found))
    for path, shown in found.rescued:
        shell.say(f"{shown.count} values of {path} would be in _rescued, line {shown.line} first")
    for name, broken in found.broken.items():
        first = safe(broken.samples[0]["value"])
        policy = broken.condition.policy
        shell.say(f"rule {name} ({policy}): broken by {broken.rows} rows, as {first}")
    for reason, shown in found.quarantined:
        shell.say(f"{shown.count} to quarantine: {reason}, line {shown.line} first")
        shell.say(f"    {safe(shown.text[:_SHOWN_CHARS])}")
    if found.steps is not None:
        shell.say(f"what the steps make of it was not looked at: {found.steps}")
    shell.say(said(found))


def _changes(found: Checked) -> Table:
    wide = [Column(name, overflow="fold") for name in ("column", "before", "after")]
    made = Table(*wide, "verdict", "records", "line", Column("as in", overflow="fold"))
    for change, shown in found.changes:
        count, line = (str(n) if n is not None else "" for n in (shown.count, shown.line))
        cells = (change.path, change.before, change.after)
        first = safe(shown.text[:_SHOWN_CHARS])
        made.add_row(*map(safe, cells), change.verdict, count, line, first)
    return made
