"""`lake rebuild`: a table made anew of its raw, under another definition, and swapped in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lake_platform import compose
from lake_platform.cli import started
from lake_platform.cli.datasets import pair, read_json, value_of
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.domain.progress import DatasetRecord
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    InvalidFieldError,
    RebuildStoppedError,
)
from lake_platform.metastore.code_files import datasets_in_file
from lake_platform.metastore.model import dataset_to_dict, parse_dataset

if TYPE_CHECKING:
    from lake_platform.load.results import LoadResult
    from lake_platform.rebuild.comparison import Comparison
    from lake_platform.rebuild.rebuild import Begun, Rebuilder

app = typer.Typer()
_TRIES, _WAIT_SECONDS = 12, 5
_NUMBERS = ("rows", "keys", "quarantined", "deduplicated", "deleted", "dropped")


@app.command("rebuild")
def rebuild(
    table: Annotated[str, typer.Argument(help="Table name of the dataset.")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            help="field=JSON or text, as primary_key='[\"id\"]', or a hint, as "
            'columns.amount=\'{"type": "string"}\' (null takes it away); may be repeated.'
        ),
    ] = None,
    definition: Annotated[
        Path | None, typer.Option(help="The whole definition, a .py of definitions or JSON.")
    ] = None,
    swap: Annotated[
        bool, typer.Option(help="With --no-swap the rebuilt table is made and compared only.")
    ] = True,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Hold the rebuilt table against the topic before the swap."),
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Drop what was rebuilt.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Swap without asking.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a table anew of its raw under another definition, beside the live one, compare the two
    and swap it in. Called again it goes on where it was.

    Over the API a Dagster run does it, and nobody is asked: with --yes it is swapped in once it is
    sound, else it waits.
    """
    changes = dict(_change(text) for text in change or ())
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is None and as_json and swap and not (yes or abort):
            raise InvalidFieldError(
                "json", True, "leaves nobody to ask about the swap",
                "give --yes or --no-swap besides",
            )  # fmt: skip
        changes = _definition(shell, definition, table) | changes
        if shell.api is not None and abort:
            started.abort(shell, shell.api, table)
            return
        if shell.api is not None:
            started.rebuild(shell, shell.api, table, changes, swap=swap and yes, audit=audit)
            return
        rebuilder = rebuilder_of(shell)
        if abort:
            _abort(shell, rebuilder, table)
        elif not ended(shell, rebuilder, table):
            _run(shell, rebuilder, table, changes, swap=swap, yes=yes, audit=audit)


def _run(
    shell: Shell, rebuilder: Rebuilder, table: str, changes: Mapping[str, Any],
    *, swap: bool, yes: bool, audit: bool,
) -> None:  # fmt: skip
    begun = rebuilder.begin(table, changes, shell.actor)
    go_on(shell, rebuilder, table, begun, swap=swap, yes=yes, audit=audit)


def go_on(
    shell: Shell, rebuilder: Rebuilder, table: str, begun: Begun,
    *, swap: bool = True, yes: bool, audit: bool = False,
) -> None:  # fmt: skip
    """From its beginning to the end, with all that is to be seen on the way."""
    _show_begun(shell, table, begun)
    for result in rebuilder.build(table):
        _show_batch(shell, begun, result)
    found = rebuilder.compare(table)
    _show(shell, found)
    if audit:
        _audit(shell, begun)
    swap = swap and (yes or bool(found.problems) or _wanted(table))
    if not swap:
        then = f"swap it in: lake rebuild {table}; drop it: lake rebuild {table} --abort"
        _told(shell, table, "built", f"{table}: the rebuilt table waits; {then}", found)
        return
    record = _swapped(shell, rebuilder, table)
    shell.use_cases().notify(table)
    _told(
        shell, table, "swapped",
        f"{table}: swapped in, definition version {record.version}, {record.status.value}", found,
    )  # fmt: skip


def ended(shell: Shell, rebuilder: Rebuilder, table: str) -> bool:
    """Whether a swap of before was left, and is done now."""
    if not rebuilder.end_left(table):
        return False
    shell.use_cases().notify(table)
    _told(shell, table, "swapped", f"{table}: the swap that was under way is done")
    return True


def rebuilder_of(shell: Shell) -> Rebuilder:
    from lake_platform.rebuild.rebuild import Rebuilder

    ports = compose.build_ports(shell.settings, shell.metastore)
    limits = compose.build_limits(shell.settings)
    return Rebuilder(shell.metastore, ports, limits, shell.use_cases().check_on)


def _audit(shell: Shell, begun: Begun) -> None:
    """Raises: RebuildStoppedError."""
    from lake_platform.audit.auditor import audit

    shadow = begun.rebuild.shadow
    sources = compose.build_audit_sources(shell.settings, shell.metastore)
    report = audit(shadow.table, sources, deep=True)
    counts = report.total
    said = f"{counts.lost} lost, {counts.duplicated} duplicated, {counts.alien} alien"
    if not report.sound:
        raise RebuildStoppedError(
            shadow.rebuild_of, f"its audit says {report.verdict}: {said}",
            "the rebuilt table must not be swapped in",
        )  # fmt: skip
    shell.say(f"audit of the rebuilt table: {report.verdict} ({said})")


def _swapped(shell: Shell, rebuilder: Rebuilder, table: str) -> DatasetRecord:
    """Waits a minute for a load of the live table. Raises: as `Rebuilder.swap`."""
    for left in reversed(range(_TRIES)):
        try:
            return rebuilder.swap(table)
        except (BatchClaimedError, CommitRaceError) as error:
            shell.say(f"{table}: not swapped yet: {error}")
            if not left:
                raise
            time.sleep(_WAIT_SECONDS)
    raise AssertionError("unreachable")


def _abort(shell: Shell, rebuilder: Rebuilder, table: str) -> None:
    dropped = rebuilder.abort(table, shell.actor)
    what = "the rebuilt table is dropped, the live one is as it was"
    _told(
        shell, table, "aborted" if dropped else "none",
        f"{table}: {what if dropped else 'is not being rebuilt'}",
    )  # fmt: skip


def _wanted(table: str) -> bool:
    return typer.confirm(
        f"Swap it in? Readers of lake/{table}/ find no whole table until it is done", err=True
    )


def _show_begun(shell: Shell, table: str, begun: Begun) -> None:
    for warning in begun.warnings:
        shell.say(f"warning: {warning}")
    how = "goes on" if begun.resumed else "begins"
    shell.say(f"{table}: rebuild {how}, {begun.commits} raw commits, beside the live table")
    for name, (before, after) in begun.changes.items():
        shell.say(f"    {name}: {before!r} becomes {after!r}")


def _show_batch(shell: Shell, begun: Begun, result: LoadResult) -> None:
    balance = result.applied.balance
    shell.say(
        f"raw commit {result.applied.applied} of {begun.commits}: {balance.records} records, "
        f"{balance.written} written, {balance.quarantined} quarantined, {result.seconds:.1f} s"
    )
    for path, count in result.rescued.items():
        shell.say(f"    {count} values of {path} are in _rescued: they do not fit the column")


def _show(shell: Shell, found: Comparison) -> None:
    grid = Table("", "live", "rebuilt")
    before, after = asdict(found.before), asdict(found.after)
    for name in ("upto", *_NUMBERS):
        label = "raw commits up to" if name == "upto" else name
        grid.add_row(label, str(before[name]), str(after[name]))
    for column in found.columns:
        grid.add_row(f"column {column.name}", column.before or "-", column.after or "-")
    shell.console.print(grid)


def _told(shell: Shell, table: str, state: str, text: str, found: Comparison | None = None) -> None:
    if shell.as_json:
        comparison = None if found is None else asdict(found)
        shell.show({"table": table, "state": state, "comparison": comparison})
    else:
        shell.say(text)


def _change(text: str) -> tuple[str, Any]:
    name, value = pair("change", text)
    return name, value_of(value)


def _definition(shell: Shell, file: Path | None, table: str) -> dict[str, Any]:
    """With the hash of each function that is a step."""
    if file is None:
        return {}
    pinned = shell.use_cases().pinned
    if file.suffix != ".py":
        return dataset_to_dict(pinned(parse_dataset(read_json(file))))
    directory = shell.settings.definitions_dir
    inside = file.absolute().is_relative_to(directory.absolute())
    held = datasets_in_file(file, table, directory if inside else None)
    found = [d for d in held if d.table == table]
    if not found:
        raise InvalidFieldError(
            "definition", str(file), f"has no dataset of table {table}", "give the file that has it"
        )
    return dataset_to_dict(pinned(found[0]))
