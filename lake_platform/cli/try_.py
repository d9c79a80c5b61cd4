"""`lake try`: a topic on the bench, without Kafka or stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lake_platform.cli.asking import ENVELOPE_HELP
from lake_platform.cli.try_code import code_settings, steps_of
from lake_platform.cli.try_home import check_out
from lake_platform.cli.try_run import Planned, Run
from lake_platform.errors import InvalidFieldError
from lake_platform.settings import load_settings
from lake_platform.trial.acts import read_acts
from lake_platform.trial.definition import dataset_of
from lake_platform.trial.records import check_file
from lake_platform.trial.schema_files import format_of, schema_text

app = typer.Typer()
_ORDERED = ("batch", "act")
_META = "lake.steps"
_MADE = ("sql", "step")
_META_MADE = "lake.transforms"
_PANEL = "Definition (flags win over --definition)"


class _InOrder(TyperCommand):
    """Keeps the order in which `--batch` and `--act`, `--sql` and `--step` stand on the command
    line: the parsed values have it within each of them only."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        left = {name: iter(values.get(name) or ()) for name in _ORDERED}
        ctx.meta[_META] = [(p.name, Path(next(left[p.name]))) for p in order if p.name in left]
        made = {name: iter(values.get(name) or ()) for name in _MADE}
        ctx.meta[_META_MADE] = [(p.name, next(made[p.name])) for p in order if p.name in made]
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
            help="Operations of the API, done after what stands before it.",
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--records",
            help="Each line is a whole record, not its value only.",
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
        str | None,
        typer.Option(
            help="append, or upsert (the default with --envelope).", rich_help_panel=_PANEL
        ),
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
    sql: Annotated[  # noqa: ARG001
        list[str] | None,
        typer.Option(help="A SELECT over `input`; may be repeated.", rich_help_panel=_PANEL),
    ] = None,
    step: Annotated[  # noqa: ARG001
        list[str] | None,
        typer.Option(
            metavar="JSON",
            rich_help_panel=_PANEL,
            help="A step of any kind, as in a definition; may be repeated, in order with --sql.",
        ),
    ] = None,
    schema_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="Avro, JSON or .proto schema of the records; the n-th for batch n.",
        ),
    ] = None,
    envelope: Annotated[
        str | None, typer.Option(help=ENVELOPE_HELP, rich_help_panel=_PANEL)
    ] = None,
    value_format: Annotated[
        str | None,
        typer.Option(
            help="With --schema-file: avro, json_schema, protobuf or auto; else as the file is.",
            rich_help_panel=_PANEL,
        ),
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

    Runs what production runs: the checks of registration, dump to raw, scan,
    decode and the real engine, in a temporary home. Shows the schema, what each
    batch changed, quarantine with reasons, incidents, and the rows as an engine
    reads them that did not write them.

    lake try orders.ndjson --mode upsert --primary-key id \\
      --batch more.ndjson --act add.json --batch late.ndjson

    FILE is the first batch and registers the dataset; --batch and --act follow
    in the order they stand in. Blank lines are skipped. A line that is no JSON
    is a record like any other and goes to quarantine.

    With --schema-file the records are JSON, as the platform makes of messages
    in a schema registry's format, and columns are what the schema declares.

    A JAR that --step names by its file need not be allowed, nor its sha256 be
    given: --step '{"kind":"jar","jar":"a.jar","functions":{"masked":"a.Mask"}}'

    With --records each line is a whole record,
      {"key":"k", "value":{…}, "headers":{…}, "partition":0, "timestamp":ms}
    where "value":null is a tombstone, and "value_text" or "value_bytes"
    (base64) instead of "value" give its exact bytes. A line of another form is
    an error with file and line.

    Operations of --act, a JSON list or one a line:
      {"op":"add_column","name":"at","type":"timestamp"}
      {"op":"drop_column","name":"at"}
      {"op":"widen_column","name":"qty","type":"long"}
      {"op":"rename_column","name":"cust","to":"customer"}
      {"op":"alias","column":"id","key":"id2"}
      {"op":"change","fields":{"max_quarantine_ratio":0.5}}
      {"op":"resolve","resolution":"rescue"} of a BLOCKED table, then a load; also
        "columns":{"n":"reject"} for each change, "always":true
      {"op":"replay"} of all windows, or of "windows":["2026-11-01-10:00"]
      {"op":"load"}  {"op":"compact"}  {"op":"pause"}  {"op":"resume"}

    Exit code 0: all applied. 3: something waits (BLOCKED, or a load that
    stopped). 1: an error: bad input, registration refused, an engine failed, or
    another engine cannot read the table. What --act asks for and is refused is
    shown and changes no exit code. The form of --json: docs/try.md.
    """
    made, folders = steps_of(ctx.meta[_META_MADE])
    settings = code_settings(load_settings(home), definition, folders)
    flags = {
        "table": table, "topic": topic, "mode": mode, "format": format_,
        "primary_key": primary_key, "ordering_field": ordering_field, "partition_by": partition_by,
        "transforms": made, "delete_when": delete_when, "envelope": envelope,
        "value_format": value_format,
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    given |= dict(_assigned(text) for text in field or ())
    steps = _steps(ctx.meta[_META], whole)
    check_file(records, whole=whole)
    if out is not None:
        check_out(out)
    texts = [schema_text(path) for path in schema_file or ()]
    found = format_of(schema_file[0], texts[0]) if schema_file else ""
    if found:
        given.setdefault("value_format", found)
    dataset = dataset_of(given, definition, records, settings.definitions_dir)
    if found and dataset.value_format not in ("json", "auto", found):
        raise InvalidFieldError(
            "value_format", dataset.value_format, f"{schema_file and schema_file[0]} is {found}",
            f"give {found}, or leave it out",
        )  # fmt: skip
    if (dataset.value_format == "json") == bool(texts):
        raise InvalidFieldError(
            "value_format", dataset.value_format,
            "is plain JSON" if texts else "needs the schemas of a registry, and here is none",
            "leave out --schema-file" if texts else "give --schema-file, and records as JSON",
        )  # fmt: skip
    run = Run(dataset, [(records, []), *steps], whole, as_json, at_most_seconds, out, texts)
    raise typer.Exit(run.carried_out(settings))


def _assigned(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise InvalidFieldError("field", text, "not of the form name=value", "write name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _steps(ordered: Sequence[tuple[str, Path]], whole: bool) -> list[Planned]:
    """All files are looked at before anything runs; a batch has no operations."""
    steps: list[Planned] = []
    for kind, path in ordered:
        if kind == "act":
            steps.append((path, read_acts(path)))
        else:
            check_file(path, whole=whole)
            steps.append((path, []))
    return [s for s, (kind, _) in zip(steps, ordered, strict=True) if kind == "batch" or s[1]]
