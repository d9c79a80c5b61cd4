"""`lake quarantine …`: records that fit no row, and how they come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from lake_platform import compose
from lake_platform.cli.again import TO_END, DryRun, TableName, Windows, applied, counted
from lake_platform.cli.mapping import safe
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.cli.started import say_run
from lake_platform.remote.forms import flat
from lake_platform.remote.runs import RemoteRuns, without_run

if TYPE_CHECKING:
    from lake_platform.load.quarantined import Group
    from lake_platform.load.redriven import Outcome

app = typer.Typer(no_args_is_help=True, help="Records that fit no row, and how they come back.")
Reasons = Annotated[
    list[str] | None,
    typer.Option("--reason", help="As `list` shows it, or short: null_key; may be repeated."),
]
Version = Annotated[int | None, typer.Option(help="Only what was judged by this schema version.")]
_SHOWN_CHARS = 300
_SHOWN_ROWS = 200


@app.command("list")
def list_(
    table: Annotated[str | None, typer.Argument(help="Only of this table.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """How many records of which reason, window and schema version; newest first."""
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        tables = [table] if table else [r.dataset.table for r in shell.metastore.list_all()]
        found: list[tuple[str, Group]] = []
        for name in tables:
            shell.metastore.get(name)
            found += [(name, group) for group in _groups(shell, name)]
        if as_json:
            shell.show({"groups": [{"table": name} | asdict(g) for name, g in found]})
            return
        if not found:
            shell.say("nothing is in quarantine")
            return
        grid = Table("table", "window", Column("reason", overflow="fold"), "schema", "records")
        for name, g in found[:_SHOWN_ROWS]:
            grid.add_row(name, g.window, safe(g.reason), str(g.schema_version), str(g.records))
        shell.console.print(grid)
        if len(found) > _SHOWN_ROWS:
            shell.say(f"the first {_SHOWN_ROWS} of {len(found)} lines; --json has all")
        records = sum(g.records for _, g in found)
        shell.say(f"{counted(records, 'record')}; see them: lake quarantine show {found[0][0]}")


def _groups(shell: Shell, table: str) -> Sequence[Group]:
    from lake_platform.load import quarantined

    if shell.api is None:
        return quarantined.look(compose.build_store(shell.settings), table).groups
    told = shell.api.get("quarantine", table, limit=1000)
    if not told["complete"]:
        shell.say(f"note: {table}: of the newest objects only; without LAKE_API_URL of all")
    return [flat(quarantined.Group, one) for one in told["groups"]]


@app.command("show")
def show(
    table: TableName,
    reason: Reasons = None,
    window: Windows = None,
    version: Version = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The records as they came: coordinates, reason, key and value; newest window first."""
    from lake_platform.load import quarantined

    wanted = quarantined.wanted(reason or (), window or (), version)
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        shell.metastore.get(table)
        if shell.api is not None:
            sent = {"reason": reason, "window": window, "version": version}
            told = shell.api.get("quarantine", table, "records", limit=min(limit, 1000), **sent)
            found = [flat(quarantined.QuarantinedRecord, one) for one in told["records"]]
        else:
            store = compose.build_store(shell.settings)
            found = list(islice(quarantined.records(store, table, wanted), limit))
        if as_json:
            shell.show({"table": table, "records": [asdict(r) for r in found]})
            return
        for r in found:
            shell.say(
                f"partition {r.partition} offset {r.offset}, window {r.window}, schema version "
                f"{r.schema_version}, raw commit {r.raw_commit}: {r.reason}"
            )
            shell.say(f"    key   {_cut(r.key)}")
            shell.say(f"    value {_cut(r.value)}{' (base64)' if r.encoded else ''}")
        if not found:
            shell.say(f"{table}: nothing of this is in quarantine")


@app.command("redrive")
def redrive(
    table: TableName,
    reason: Reasons = None,
    window: Windows = None,
    version: Version = None,
    rescued: Annotated[
        bool, typer.Option("--rescued", help="The values in _rescued instead.")
    ] = False,
    dry_run: DryRun = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Give records in quarantine another try, by today's definition and schema.

    What is fit now goes where it belongs, what is not stays. The raw commits that hold the records
    are applied again as a whole: the rows that are there stay as they are, and older ones never
    overwrite newer ones. Done twice it changes nothing. Over the API a Dagster run does it.
    """
    from lake_platform.load import quarantined
    from lake_platform.load.redrive import Redrive, plan

    wanted = quarantined.wanted(reason or (), window or (), version)
    quarantined.check_rescued(wanted, rescued=rescued)
    with open_shell(home, as_json=as_json, over_api=True) as shell:
        if shell.api is not None:
            asked = {"reasons": reason, "windows": window, "version": version, "rescued": rescued}
            told = RemoteRuns(shell.api).redrive(table, asked | {"dry_run": dry_run})
            _told_plan(shell, told)
            if told["run_id"]:
                say_run(shell, table, told)
            if as_json:
                shell.show({"dry_run": dry_run} | (without_run(told) if dry_run else told))
            return
        ports = compose.build_ports(shell.settings, shell.metastore)
        limits = compose.build_limits(shell.settings)
        if dry_run:
            found = plan(table, ports.store, ports.metastore, limits, wanted, rescued=rescued)
            _told_plan(shell, found.to_dict())
            if as_json:
                shell.show({"dry_run": True} | found.to_dict())
            return
        drive = Redrive(table, ports, limits, wanted, rescued=rescued)
        _told_plan(shell, drive.plan.to_dict())
        done = applied(shell, drive.run(), drive.plan.batches, drive.plan.records)
        _told_outcome(shell, drive.outcome, rescued=rescued)
        if as_json:
            shell.show({"dry_run": False} | drive.outcome.to_dict() | {"applied": done})


def _told_plan(shell: Shell, found: Mapping[str, Any]) -> None:
    """As `Plan.to_dict` has it."""
    table = found["table"]
    for group in found["groups"][:_SHOWN_ROWS]:
        shell.say(_group(group))
    for group in found["unreadable"][:_SHOWN_ROWS]:
        shell.say(f"{_group(group)}: stay, no definition makes a JSON object of them")
    for group in found["expired"][:_SHOWN_ROWS]:
        shell.say(
            f"{_group(group)}: stay, raw retention removed their raw objects; produce them again "
            f"from what `lake quarantine show {table}` has"
        )
    for path, values in found["rescued"].items():
        shell.say(f"{counted(values, 'value')} of {path} in _rescued")
    if uncounted := found["uncounted_batches"]:
        shell.say(
            f"{counted(uncounted, 'batch', 'batches')} of which it was not counted what they "
            f"rescued are applied again, too"
        )
    if not found["raw_commits"]:
        shell.say(f"{table}: nothing to apply again")
        return
    shell.say(
        f"{table}: {found['records_to_read']} records to read in "
        f"{counted(found['batches'], 'batch', 'batches')}"
    )
    if found["to_end"]:
        shell.say(TO_END)


def _told_outcome(shell: Shell, outcome: Outcome, *, rescued: bool) -> None:
    for fate in outcome.fates if not rescued else ():
        stayed = sum(fate.stayed.values())
        shell.say(f"{fate.reason}: {fate.came_back} came back, {stayed} stayed")
        for why, records in fate.stayed.items():
            shell.say(f"    {records}: {why}")
        if fate.waiting:
            shell.say(f"    {fate.waiting} were not tried")
    for path, values in outcome.rescued.items() if rescued else ():
        shell.say(f"{path}: {values} values are in _rescued")


def _group(group: Mapping[str, Any]) -> str:
    return (
        f"{counted(group['records'], 'record')} of {group['window']}, schema version "
        f"{group['schema_version']}: {group['reason']}"
    )


def _cut(text: str | None) -> str:
    """What came may have anything in it, also what a terminal obeys."""
    if text is None:
        return "null"
    cut = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
