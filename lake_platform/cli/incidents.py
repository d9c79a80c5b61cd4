"""`lake incidents`: what broke, what can be done about it, and what was decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from lake_platform import compose
from lake_platform.cli.mapping import safe
from lake_platform.cli.rebuild import go_on, rebuilder_of
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell, time_text
from lake_platform.cli.started import show_anew
from lake_platform.domain.decisions import Decision
from lake_platform.domain.resolutions import RESOLUTIONS, Asked
from lake_platform.errors import InvalidFieldError
from lake_platform.load.held import Held, waits
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.resolving import Rebuilding
from lake_platform.metastore.views import incident_view
from lake_platform.remote.client import ApiClient
from lake_platform.remote.forms import flat
from lake_platform.remote.runs import RemoteRuns
from lake_platform.remote.use_cases import plain

app = typer.Typer(no_args_is_help=True, help="Breaks, and loads that keep failing.")
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]
OnlyTable = Annotated[str | None, typer.Option(help="Only of this table.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")]


@app.command("list")
def list_incidents(
    table: OnlyTable = None,
    every: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Limit = 100,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Open incidents, newest first."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        found = shell.metastore.incidents(table, None if every else "OPEN", limit)
        if as_json:
            shell.show({"incidents": [asdict(incident) for incident in found]})
            return
        grid = Table("id", "table", "kind", "status", "opened", "batch", "columns or reason")
        for i in found:
            what = i.reason or ", ".join(str(change["path"]) for change in i.changes)
            opened = time_text(i.opened_at)
            grid.add_row(str(i.id), i.table, i.kind, i.status, opened, i.batch, safe(what))
        shell.console.print(grid)


@app.command("show")
def show_incident(incident: int, home: Home = None, as_json: AsJson = False) -> None:
    """What broke, in which records, what waits meanwhile, and what can be done."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        found = shell.metastore.incident(incident)
        told = _view(shell, found)
        if as_json:
            shell.show(told)
            return
        resolved = f", {found.resolution} by {found.resolved_by}" if found.resolved_by else ""
        shell.say(
            f"incident {found.id} of {found.table}: {found.status}{resolved}, batch {found.batch}"
        )
        if found.reason:
            shell.say(found.reason)
            for sample in found.samples:
                shell.say(json.dumps(sample, ensure_ascii=False))
            shell.say(f"mend the cause, then try again: lake datasets resume {found.table}")
            return
        shell.console.print(_changes(found))
        for said in dict.fromkeys(c["registry"] for c in found.changes if "registry" in c):
            shell.say(said)
        for sample in found.samples:
            shell.say(json.dumps(sample, ensure_ascii=False))
        _say_what_waits(shell, told)
        _say_what_fits(shell, found, told["possible"])


@app.command("resolve")
def resolve(
    incident: int,
    resolution: Annotated[
        str, typer.Argument(metavar="[RESOLUTION]", help=f"One of {', '.join(RESOLUTIONS)}.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=RESOLUTION", help="For one change; can be given again."),
    ] = None,
    always: Annotated[
        bool, typer.Option("--always", help="Also for all that comes, not only what is held.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come of it, change nothing.")
    ] = False,
    table: Annotated[str, typer.Option(help="Of new_table: its name, instead of <table>_2.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Swap a table that is made anew in without asking.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say what becomes of a change that broke a table; the next load goes on with it.

    \b
    rescue       the value goes to the column _rescued, its own column is NULL
    quarantine   the record waits in quarantine
    reject       the record is dropped, and counted
    drop_column  the column is no longer loaded
    retry        the cause is mended elsewhere: look again

    These change the column's type, so the table is made anew of its raw:

    \b
    widen        a number that holds both
    text         text; numbers and booleans as theirs
    json         the text of any value, as the records have it

    And for all changes together:

    \b
    new_table    this table ends here; another one begins with what waits
    """
    asked = Asked(resolution, columns_of(column or ()), always, table)
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        use_cases = shell.use_cases()
        if dry_run and shell.api is not None:
            _say_ahead(shell, incident, _ahead(shell.api, incident, asked))
            return
        if dry_run:
            ports = compose.build_ports(shell.settings, shell.metastore)
            limits = compose.build_limits(shell.settings)
            would = compose.build_look_ahead(ports, limits, use_cases)(incident, asked)
            _say_ahead(shell, incident, would)
            return
        if (anew := use_cases.rebuilding(incident, asked)) is not None:
            _rebuild(shell, anew, yes=yes)
            return
        if shell.api is not None and yes:
            answer = RemoteRuns(shell.api).resolve(incident, plain(asked))
            if "run_id" in answer:
                show_anew(shell, answer, swap=True)
                return
            found = flat(Incident, answer)
        else:
            found = use_cases.resolve_incident(incident, asked, shell.actor)
        told = _view(shell, found)
        if as_json:
            shell.show(told)
            return
        status = shell.metastore.get(found.table).status
        shell.say(f"incident {found.id} of {found.table}: {found.resolution}; {status}")
        if new := shell.metastore.progress(found.table).continued_in:
            shell.say(f"table {new} goes on from here: load it with lake load {new}")
            return
        shell.say(f"the next load applies {_amount(told['held'])}")


@app.command("decisions")
def decisions(
    table: TableName,
    end: Annotated[
        int | None, typer.Option(help="End one for always; what raw has by now keeps it.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What was decided of values that broke a table, and for which raw commits it holds."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        shell.metastore.get(table)
        if end is not None:
            shell.use_cases().end_decision(table, end, shell.actor)
        found = shell.metastore.decisions(table)
        if as_json:
            shell.show({"table": table, "decisions": [asdict(d) for d in found]})
        elif not found:
            shell.say(f"{table}: nothing was decided")
        else:
            shell.console.print(_decided(found))


def _rebuild(shell: Shell, anew: Rebuilding, *, yes: bool) -> None:
    from lake_platform.rebuild.resolving import begin

    if shell.as_json and not yes:
        raise InvalidFieldError(
            "json", True, "leaves nobody to ask about the swap", "give --yes besides"
        )
    rebuilder = rebuilder_of(shell)
    begun = begin(rebuilder, anew, shell.actor)
    go_on(shell, rebuilder, anew.table, begun, yes=yes)


def _view(shell: Shell, found: Incident) -> dict[str, Any]:
    if shell.api is not None:
        return shell.api.get("incidents", str(found.id))
    store = shell.metastore
    held = waits(found.table, store, compose.build_store(shell.settings))
    record, progress = store.get(found.table), store.progress(found.table)
    return incident_view(found, record, progress, held, compose.clock())


def columns_of(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        path, equals, resolution = text.rpartition("=")
        if not equals:
            raise InvalidFieldError("column", text, "no PATH=RESOLUTION", "give n=rescue")
        found[path] = resolution
    return found


def _changes(found: Incident) -> Table:
    grid = Table(
        Column("column", overflow="fold"), "change", "before", Column("after", overflow="fold"),
        "records", "share", "first at",
    )  # fmt: skip
    for change in found.changes:
        first = change.get("first")
        share = change.get("share")
        grid.add_row(
            safe(change["path"]), change["kind"], change["before"], safe(change["after"]),
            str(change.get("records", "")), "" if share is None else f"{share:.1%}",
            f"p{first['partition']} offset {first['offset']}" if first else "",
        )  # fmt: skip
    return grid


def _say_what_waits(shell: Shell, told: Mapping[str, Any]) -> None:
    loss = told["time_to_data_loss_seconds"]
    read = "Kafka has no limit, or all of it was read" if loss is None else f"{loss / 3600:.1f} h"
    shell.say(f"held: {_amount(told['held'])}; kept in raw until the table has them")
    shell.say(f"phase 1 goes on; until unread records age out of Kafka: {read}")
    if told["owner"]:
        shell.say(f"owner: {told['owner']}")


def _say_what_fits(shell: Shell, found: Incident, possible: Mapping[str, Sequence[str]]) -> None:
    for path, fitting in possible.items():
        shell.say(f"{path}: {' | '.join(fitting)}")
    if possible:
        shell.say(f"try one: lake incidents resolve {found.id} RESOLUTION --dry-run")


def _ahead(api: ApiClient, incident: int, asked: Asked) -> Held:
    body = plain(asked) | {"dry_run": True}
    return flat(Held, api.ask("POST", ("incidents", str(incident), "resolve"), body)["would"])


def _say_ahead(shell: Shell, incident: int, would: Held) -> None:
    if shell.as_json:
        shell.show({"incident": incident, "dry_run": True, "would": asdict(would)})
        return
    shell.say(f"of {_amount(asdict(would))}:")
    shell.say(f"  {would.rows} rows, {would.deletes} deletes, {would.dropped} records dropped")
    for path, count in would.rescued.items():
        shell.say(f"  {count} values of {path} rescued")
    for reason, count in would.quarantined.items():
        shell.say(f"  {count} records in quarantine: {reason}")
    for change in would.changes:
        shell.say(f"  {change}")
    if would.stops:
        shell.say(f"  then it stops again: {would.stops}")
    if would.not_looked_at:
        shell.say(f"  {would.not_looked_at} raw commits behind that were not looked at")


def _decided(found: Sequence[Decision]) -> Table:
    grid = Table("id", Column("column", overflow="fold"), "decided", "raw commits", "by", "at")
    for d in found:
        held = f"{d.first_seq} to {'now on' if d.last_seq is None else d.last_seq}"
        grid.add_row(str(d.id), safe(d.path), d.action, held, d.actor, time_text(d.decided_at))
    return grid


def _amount(held: Mapping[str, Any]) -> str:
    return f"{held['commits']} raw commits, {held['records']} records"
