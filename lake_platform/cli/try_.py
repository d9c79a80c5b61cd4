"""`lake try`: a topic on the bench, without Kafka or stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from typer.core import TyperCommand

from lake_platform import compose
from lake_platform.cli.try_home import (
    OutOfTime,
    OutOfTimeError,
    at_most,
    check_out,
    engines_quiet,
    home_for_once,
    keep,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.errors import InvalidFieldError, LakeError
from lake_platform.settings import Settings, load_settings
from lake_platform.trial.acts import Act, read_acts
from lake_platform.trial.definition import dataset_of
from lake_platform.trial.records import check_file

if TYPE_CHECKING:
    from lake_platform.trial.report import Report
    from lake_platform.trial.trial import Trial

app = typer.Typer()
_ORDERED = ("batch", "act")
_META = "lake.steps"
_PANEL = "Definition (flags win over --definition)"


class _InOrder(TyperCommand):
    """Keeps the order in which `--batch` and `--act` stand on the command line: the parsed values
    have it within each of them only."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        left = {name: iter(values.get(name) or ()) for name in _ORDERED}
        ctx.meta[_META] = [(p.name, Path(next(left[p.name]))) for p in order if p.name in left]
        return list(super().parse_args(ctx, args))


@app.command("try", cls=_InOrder)
def try_(
    ctx: typer.Context,
    records: Annotated[
        Path, typer.Argument(metavar="FILE", help="Records, one a line; plain or gzip. Batch 1.")
    ],
    batch: Annotated[  # noqa: ARG001 - see _InOrder
        list[Path] | None,
        typer.Option(metavar="FILE", help="More records, loaded after what stands before it."),
    ] = None,
    act: Annotated[  # noqa: ARG001
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Operations, done after what stands before it: a JSON list, or one a line. "
            '{"op":"add_column","name":"at","type":"timestamp"}, {"op":"drop_column","name":…}, '
            '{"op":"change","fields":{…}}, {"op":"load"}, {"op":"replay"} (all windows, or '
            '"windows":[…]), {"op":"pause"}, {"op":"resume"}.',
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--records",
            help='Each line is a whole record: {"key":…, "value":…, "headers":…, "partition":…, '
            '"timestamp":ms}. "value":null is a tombstone; "value_text" or "value_bytes" '
            "(base64) instead of value give its exact bytes.",
        ),
    ] = False,
    definition: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="A definition as JSON, or definitions/*.py; --table picks one of several.",
        ),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Table name; else the file's.", rich_help_panel=_PANEL)
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Topic name; else the table's.", rich_help_panel=_PANEL)
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="append (default) or upsert.", rich_help_panel=_PANEL)
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="hudi (default) or parquet, which is faster.", rich_help_panel=_PANEL
        ),
    ] = None,
    primary_key: Annotated[
        list[str] | None,
        typer.Option("--primary-key", "--key", help="May be repeated.", rich_help_panel=_PANEL),
    ] = None,
    ordering_field: Annotated[
        str | None, typer.Option(help="Greatest value wins.", rich_help_panel=_PANEL)
    ] = None,
    partition_by: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", rich_help_panel=_PANEL)
    ] = None,
    sql: Annotated[
        list[str] | None,
        typer.Option(help="A SELECT over `input`; may be repeated.", rich_help_panel=_PANEL),
    ] = None,
    delete_when: Annotated[
        str | None, typer.Option(help="SQL condition that deletes by key.", rich_help_panel=_PANEL)
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Any other field; JSON or text.", rich_help_panel=_PANEL
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the table's files there; empty or new.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, all rows.")] = False,
    at_most_seconds: Annotated[
        float, typer.Option(help="End it after so long: an engine may hang.", min=1)
    ] = 300.0,
    home: Annotated[
        Path | None,
        typer.Option(help="Where jars are (LAKE_HOME, else .lake); nothing is written."),
    ] = None,
) -> None:
    """Try a definition on records in files: no Kafka, no stack, nothing left behind.

    Runs what production runs: the checks of registration, dump to raw, scan, decode, the real
    engine. Shows the schema, what each batch changed, quarantine with reasons, incidents, and the
    rows as an engine reads them that did not write them.

    FILE is the first batch and registers the dataset; --batch and --act follow in the order they
    stand in. Blank lines are skipped; a line that is no JSON is a record and goes to quarantine.

    Exit code 0: all applied. 3: something waits (BLOCKED, or a load that stopped). 1: an error (bad
    input, registration refused, an engine failed, or another engine cannot read the table). What
    --act asks for and is refused is shown and changes no exit code.

    lake try orders.ndjson --mode upsert --primary-key id --batch more.ndjson --act add.json
    """
    flags = {
        "table": table, "topic": topic, "mode": mode, "format": format_,
        "primary_key": primary_key, "ordering_field": ordering_field, "partition_by": partition_by,
        "transforms": [{"sql": step} for step in sql or ()], "delete_when": delete_when,
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    given |= dict(_assigned(text) for text in field or ())
    steps = _steps(ctx.meta[_META], whole)
    check_file(records, whole=whole)
    if out is not None:
        check_out(out)
    dataset = dataset_of(given, definition, records)
    run = _Run(dataset, [(records, []), *steps], whole, as_json, at_most_seconds, out)
    raise typer.Exit(run.carried_out(load_settings(home)))


def _assigned(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise InvalidFieldError("field", text, "not of the form name=value", "write name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


_Planned = tuple[Path, list[Act]]


def _steps(ordered: Sequence[tuple[str, Path]], whole: bool) -> list[_Planned]:
    """All files are looked at before anything runs; a batch has no operations."""
    steps: list[_Planned] = []
    for kind, path in ordered:
        if kind == "act":
            steps.append((path, read_acts(path)))
        else:
            check_file(path, whole=whole)
            steps.append((path, []))
    return [s for s, (kind, _) in zip(steps, ordered, strict=True) if kind == "batch" or s[1]]


class _Run:
    def __init__(
        self,
        dataset: Dataset,
        steps: list[_Planned],
        whole: bool,
        as_json: bool,
        seconds: float,
        out: Path | None,
    ) -> None:
        self._dataset, self._steps, self._whole = dataset, steps, whole
        self._as_json, self._seconds, self._out = as_json, seconds, out
        self._doing = "registration"

    def carried_out(self, settings: Settings) -> int:
        with engines_quiet() as (out, err), home_for_once() as home:
            at_work = compose.bench_settings(settings, home)
            console = Console(file=out, markup=False, highlight=False, emoji=False)
            report = self._tried(at_work, home, console, err)
            if self._out is not None:
                keep(home / "storage" / table_prefix(self._dataset.table), self._out)
            if self._as_json:
                out.write(json.dumps(report.to_dict(), default=str) + "\n")
            else:
                self._show(console, report)
            return report.exit_code

    def _show(self, console: Console, report: Report) -> None:
        from lake_platform.cli.try_show import show_report

        show_report(console, report)

    def _tried(self, settings: Settings, home: Path, console: Console, err: TextIO) -> Report:
        from lake_platform.cli.try_show import SHOWN_ROWS
        from lake_platform.trial.report import Report, finish
        from lake_platform.trial.trial import Trial

        trial = Trial(compose.build_bench(settings), self._dataset)
        try:
            with at_most(self._seconds, home, err):
                self._all_steps(trial, console)
                self._doing = "reading the table"
                return finish(trial, None if self._as_json else SHOWN_ROWS)
        except OutOfTime:
            late: Exception = OutOfTimeError(self._seconds, self._doing)
            if trial.steps and not trial.steps[-1].error:
                trial.steps[-1].error = late
            return Report(trial, errors=[late])
        except LakeError as error:  # refused by registration, or a line that is no record
            return Report(trial, errors=[error])

    def _all_steps(self, trial: Trial, console: Console) -> None:
        from lake_platform.cli.try_show import show_step

        for path, acts in self._steps:
            self._doing = str(path)
            if not acts:
                done = [trial.batch_file(path, whole=self._whole)]
            else:
                done = []
                for act in acts:
                    self._doing = f"{act.source} ({act.op})"
                    done.append(trial.act(act))
            if not self._as_json:
                for step in done:
                    show_step(console, step)
