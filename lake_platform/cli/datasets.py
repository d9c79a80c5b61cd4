"""`lake datasets …`: the same as the API's /datasets, on the metastore itself."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from lake_platform import compose
from lake_platform.cli.asking import ENVELOPE_HELP, ask, tell_lost
from lake_platform.cli.mapping import show_registered
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.domain.dataset import Status
from lake_platform.domain.progress import NEVER, DatasetRecord
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.model import parse_dataset
from lake_platform.metastore.views import dataset_view, registration_view, schema_view, stats_view

app = typer.Typer(no_args_is_help=True, help="Register, show and change datasets.")
_MOMENTS = (
    "complete_as_of", "complete_through", "dumped_at", "loaded_at", "looked_at", "begins_at",
    "loss_at",
)  # fmt: skip
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]


@app.command("list")
def list_(home: Home = None, as_json: AsJson = False, retired: bool = False) -> None:
    """All datasets: status, lag, backlog."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        broken: dict[str, str] = {}
        records = shell.metastore.list_all(
            include_retired=retired, on_broken=lambda t, e: broken.update({t: str(e)})
        )
        progress = shell.metastore.all_progress()
        stats = [stats_view(r, progress[r.dataset.table], compose.clock()) for r in records]
        if as_json:
            rows = [dataset_view(r) | s for r, s in zip(records, stats, strict=True)]
            shell.show({"datasets": rows, "broken": broken})
            return
        shell.console.print(_overview(records, stats))
        for found in stats:
            for concern in found["concerns"]:
                shell.say(f"{found['table']}: {concern}")
        for name, why in broken.items():
            shell.say(f"broken definition {name}: {why}")


@app.command("show")
def show(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """The definition, field by field."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _show_dataset(shell, shell.metastore.get(table))


@app.command("add")
def add(
    topic: Annotated[str | None, typer.Option(help="Kafka topic.")] = None,
    table: Annotated[str | None, typer.Option(help="Name of the lake table.")] = None,
    mode: Annotated[str | None, typer.Option(help="append or upsert.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="hudi or parquet.")] = None,
    primary_key: Annotated[
        list[str] | None, typer.Option("--primary-key", "--key", help="May be repeated.")
    ] = None,
    ordering_field: Annotated[str | None, typer.Option(help="Greatest value wins.")] = None,
    value_format: Annotated[
        str | None,
        typer.Option(help="json, or of a schema registry: avro, json_schema, protobuf, auto."),
    ] = None,
    envelope: Annotated[str | None, typer.Option(help=ENVELOPE_HELP)] = None,
    raw_from: Annotated[
        str | None, typer.Option(help="Dataset of the same topic whose raw the table is made of.")
    ] = None,
    partition_by: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    sql: Annotated[
        list[str] | None, typer.Option(help="A SELECT over `input`; may be repeated.")
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="Cron line (UTC) of phase 1.")] = None,
    max_lag_seconds: Annotated[int | None, typer.Option(help="Freshness limit.")] = None,
    domain: Annotated[str | None, typer.Option(help="Group of the assets.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the dataset.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="name=value; may be repeated.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="JSON with any field; - is stdin. Options win over it.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Register a topic as a lake table."""
    options = {
        "topic": topic,
        "table": table,
        "mode": mode,
        "format": format_,
        "primary_key": primary_key,
        "ordering_field": ordering_field,
        "value_format": value_format,
        "envelope": envelope,
        "raw_from": raw_from,
        "partition_by": partition_by,
        "transforms": [{"sql": step} for step in sql or ()],
        "schedule": schedule,
        "max_lag_seconds": max_lag_seconds,
        "domain": domain,
        "owner": owner,
        "tags": dict(pair("tag", item) for item in tag or ()),
    }
    given = {name: value for name, value in options.items() if value not in (None, [], {})}
    dataset = parse_dataset(read_json(file) | given)
    with open_shell(home, as_json=as_json, absent="make", over_api=True) as shell:
        done = shell.use_cases().register_dataset(dataset, shell.actor)
        for warning in done.warnings:
            shell.say(f"warning: {warning}")
        if as_json:
            shell.show(registration_view(done))
            return
        columns = schema_view(done.schema)
        shell.say(
            f"registered {dataset.table} from topic {dataset.topic}"
            + (f", schema version 1 with {len(columns['columns'])} columns" if columns else "")
        )
        show_registered(shell, dataset.table, done.mapped)


@app.command("set")
def set_(
    table: TableName,
    changes: Annotated[
        list[str],
        typer.Argument(
            help="field=value; JSON or text, quoted where text looks like JSON: owner='\"5\"'."
        ),
    ],
    version: Annotated[
        int | None, typer.Option(help="Refuse unless the dataset is at this version.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Change fields, e.g. `lake datasets set orders max_lag_seconds=600 owner=team`."""
    values = {name: value_of(text) for name, text in (pair("change", c) for c in changes)}
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        expected = shell.metastore.get(table).version if version is None else version
        told: list[str] = []
        record = shell.use_cases().change_dataset(table, values, expected, shell.actor, told.append)
        for text in told:
            shell.say(text)
        _show_fields(shell, dataset_view(record) | ({"schema_changes": told} if as_json else {}))


@app.command("pause")
def pause(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Stop both phases until resumed."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _show_status(shell, shell.use_cases().pause(table, shell.actor))


@app.command("resume")
def resume(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Go on with a paused dataset, or try again one whose loads failed in the same way."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _show_status(shell, shell.use_cases().resume(table, shell.actor))


@app.command("retire")
def retire(
    table: TableName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Stop both phases; files and history stay, the table name stays taken. Asks first."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if not yes:
            tell_lost(shell, table)
            ask(shell, f"retire {table}?")
        _show_status(shell, shell.use_cases().retire(table, shell.actor))


@app.command("unretire")
def unretire(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Take a retired dataset back: it goes on where it stood."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        _show_status(shell, shell.use_cases().unretire(table, shell.actor))


@app.command("schema")
def schema(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """All schema versions, the active columns, and open incidents; more: `lake schema`."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        versions = [schema_view(v) for v in shell.metastore.schema_versions(table)]
        incidents = shell.metastore.incidents(table, "OPEN")
        if as_json:
            shell.show({"table": table, "versions": versions, "open": [i.id for i in incidents]})
            return
        for version in versions:
            changes = "; ".join(version["changes"]) if version else ""
            shell.say(f"version {version and version['version']} {changes}".rstrip())
        active = schema_view(shell.metastore.active_schema(table))
        grid = Table("column", "type")
        for column in active["columns"] if active else ():
            grid.add_row(column["path"], column["type"])
        shell.console.print(grid)
        for incident in incidents:
            shell.say(f"incident {incident.id} is open: lake incidents show {incident.id}")


@app.command("stats")
def stats(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Progress, totals and lag."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        record = shell.metastore.get(table)
        found = stats_view(record, shell.metastore.progress(table), compose.clock())
        _show_fields(shell, found if as_json else found | _times(found))


def _times(found: dict[str, Any]) -> dict[str, str]:
    """Milliseconds since 1970 as people read them."""
    return {name: _time(found[name]) for name in _MOMENTS}


def _time(ms: int) -> str:
    if ms <= 0:
        return "never" if ms == NEVER else "-"
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat(" ", "seconds")


def _overview(records: list[DatasetRecord], stats: list[dict[str, Any]]) -> Table:
    names = [Column(name, overflow="fold") for name in ("table", "topic")]
    # What batches wrote: an upsert table has fewer rows.
    rest = ("mode", "format", "status", "lag", "backlog", "written")
    grid = Table(*names, *(Column(name, no_wrap=True) for name in rest))
    for record, found in zip(records, stats, strict=True):
        dataset = record.dataset
        grid.add_row(
            dataset.table,
            dataset.topic,
            dataset.mode,
            dataset.format,
            record.status.value,
            f"{found['lag_seconds']:.0f} s",
            str(found["backlog"]),
            str(found["records"]),
        )
    return grid


def _show_dataset(shell: Shell, record: DatasetRecord) -> None:
    _show_fields(shell, dataset_view(record))


def _show_fields(shell: Shell, found: dict[str, Any]) -> None:
    if shell.as_json:
        shell.show(found)
        return
    grid = Table("field", "value")
    for name, value in found.items():
        grid.add_row(name, value if isinstance(value, str) else json.dumps(value))
    shell.console.print(grid)


def _show_status(shell: Shell, record: DatasetRecord) -> None:
    if shell.as_json:
        shell.show(dataset_view(record))
    else:
        shell.say(f"{record.dataset.table} is {record.status.value}")
        if record.status is Status.BLOCKED:
            shell.say(f"see why: lake incidents list --table {record.dataset.table}")


def read_json(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        parsed = json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidFieldError("file", str(file), str(error), "give a JSON file") from None
    if not isinstance(parsed, dict):
        raise InvalidFieldError("file", str(file), "not a JSON object", "give one definition")
    return parsed


def pair(field: str, text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise InvalidFieldError(field, text, "not of the form name=value", "write name=value")
    return name, value


def value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
