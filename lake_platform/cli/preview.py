"""`lake preview`: what a change would make of the newest raw, before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from lake_platform import benches, compose
from lake_platform.cli.datasets import pair, value_of
from lake_platform.cli.incidents import columns_of
from lake_platform.cli.mapping import safe
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.cli.try_home import engines_quiet, home_for_once
from lake_platform.domain.resolutions import RESOLUTIONS, Asked
from lake_platform.remote.runs import RemoteRuns
from lake_platform.remote.use_cases import plain

if TYPE_CHECKING:
    from lake_platform.trial.preview import Previewed, Question

app = typer.Typer()
_NUMBERS = (
    "records", "written", "deduplicated", "deleted", "dropped", "quarantined", "files",
)  # fmt: skip
_SHOWN_CHARS = 60


@app.command("preview")
def preview(
    table: Annotated[str, typer.Argument(help="Table name of the dataset.")],
    change: Annotated[
        list[str] | None,
        typer.Option(help="As lake rebuild takes it: field=JSON, or a hint; may be repeated."),
    ] = None,
    incident: Annotated[
        int | None, typer.Option(help="Instead of a change: resolve this incident.")
    ] = None,
    resolve: Annotated[
        str, typer.Option(metavar="RESOLUTION", help=f"One of {', '.join(RESOLUTIONS)}.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=RESOLUTION", help="For one change of the incident."),
    ] = None,
    always: Annotated[bool, typer.Option("--always", help="Also for all that comes.")] = False,
    windows: Annotated[int, typer.Option(help="So many of the newest hours of raw.")] = 3,
    max_mb: Annotated[int, typer.Option(min=1, help="Refuse more raw JSON than this.")] = 32,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What would a change make of the newest records? Nothing is changed.

    The newest windows of raw are loaded twice, with the definition as it is and
    as it would be, by the engines of production into a directory that is removed
    afterwards; then schema, numbers and rows are held side by side.

    \b
    lake preview orders --change 'columns.amount={"type": "string"}'
    lake preview orders --change 'primary_key=["id", "region"]' --windows 24
    lake preview orders --change 'transforms=[{"kind": "sql", "sql": "SELECT …"}]'
    lake preview orders --incident 7 --resolve rescue
    """
    from lake_platform.trial.preview import Question
    from lake_platform.trial.preview_view import preview_view

    changes = {n: value_of(text) for n, text in (pair("change", c) for c in change or ())}
    asked = Asked(resolve, columns_of(column or ()), always)
    question = Question(changes, incident, asked, windows, max_mb * 1_000_000)
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            told = plain(asked) | {"changes": changes, "incident": incident, "windows": windows}
            _show(shell, RemoteRuns(shell.api).preview(table, told | {"max_mb": max_mb}))
            return
        with engines_quiet() as (out, err), redirect_stdout(out), redirect_stderr(err):
            found = _previewed(shell, table, question, _teller(Console(file=err)))
            _show(shell, preview_view(found))


def _previewed(
    shell: Shell, table: str, question: Question, tell: Callable[[str], None]
) -> Previewed:
    from lake_platform.trial.preview import preview as run

    shell.metastore.get(table)
    with home_for_once() as once:
        at_work = benches.bench_settings(shell.settings, once.path)
        bench = benches.build_preview_bench(
            shell.settings, at_work, shell.metastore, compose.build_kafka(shell.settings)
        )
        return run(table, question, bench, tell)


def _teller(console: Console) -> Callable[[str], None]:
    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    return tell


def _show(shell: Shell, view: Mapping[str, Any]) -> None:
    """As `preview_view` has it."""
    if shell.as_json:
        shell.show(view)
        return
    for warning in view["warnings"]:
        shell.say(f"note: {warning}")
    for name, of in view["definition"].items():
        shell.say(f"{name}: {of['before']!r} becomes {of['after']!r}")
    shell.console.print(_sides(view))
    for name in ("before", "after"):
        _say_findings(shell, name, view[name])
    _say_rows(shell, view["rows"])
    shell.say(f"nothing was changed; to do it: {view['command']}")


def _sides(view: Mapping[str, Any]) -> Table:
    before, after = view["before"], view["after"]
    grid = Table("", Column("before", overflow="fold"), Column("after", overflow="fold"))
    for column in view["columns"]:
        cells = (column["before"] or "-", column["after"] or "-")
        grid.add_row(f"column {safe(column['name'])}", *map(safe, cells))
    for name in _NUMBERS:
        grid.add_row(name, str(before[name]), str(after[name]))
    return grid


def _say_findings(shell: Shell, name: str, side: Mapping[str, Any]) -> None:
    for change in side["schema_changes"]:
        shell.say(f"{name}: {safe(change)}")
    for path, example in side["rescued_by_path"].items():
        shell.say(f"{name}: {example['count']} values of {safe(path)} in _rescued{_as(example)}")
    for reason, example in side["quarantined_by_reason"].items():
        shell.say(f"{name}: {example['count']} records to quarantine: {reason}{_as(example)}")
    for broken in side["rules"]:
        shell.say(f"{name}: rule {broken['rule']} broken by {broken['rows']} rows")
    if side["stops"]:
        shell.say(f"{name}: stops: {safe(side['stops'])}")


def _as(example: Mapping[str, Any]) -> str:
    if example["offset"] is None:
        return ""
    where = f"p{example['partition']} offset {example['offset']}"
    return f", first {where}: {safe((example['value'] or '')[:_SHOWN_CHARS])}"


def _say_rows(shell: Shell, rows: Mapping[str, Any]) -> None:
    counts = ", ".join(
        f"{rows[kind]} {kind}" for kind in ("inserted", "updated", "deleted", "same")
    )
    shell.say(f"rows: {rows['before']} before, {rows['after']} after: {counts}")
    if rows["shown"]:
        shell.console.print(_pairs(rows["shown"]))


def _pairs(shown: Sequence[Mapping[str, Any]]) -> Table:
    wide = [Column(name, overflow="fold") for name in ("row", "column", "before", "after")]
    grid = Table(*wide)
    for one in shown:
        at = ", ".join(f"{n.removeprefix('_kafka_')} {_text(v)}" for n, v in one["at"].items())
        before, after = one["before"], one["after"]
        names = one["differing"] or list(before or after or {})[:3]
        for number, name in enumerate(names):
            known = f"{one['kind']}: {at}" if not number else ""
            cells = (_cell(before, name), _cell(after, name))
            grid.add_row(safe(known), safe(name), *map(safe, cells))
    return grid


def _cell(row: Mapping[str, Any] | None, name: str) -> str:
    return "no row" if row is None else _text(row.get(name))


def _text(value: Any) -> str:
    text = "NULL" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
