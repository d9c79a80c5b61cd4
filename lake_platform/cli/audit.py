"""`lake audit`: whether every record is in exactly one place, counted by code that wrote none."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from lake_platform import compose
from lake_platform.audit.report import AuditReport, Counts
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell

app = typer.Typer()
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]
Window = Annotated[
    str | None, typer.Option(help="Only this hour (UTC) in the report, as in 2026-11-24-03:00.")
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        help="Read the data itself: the whole topic, every raw object, the table, quarantine.",
    ),
]
_SHOWN = 200  # windows; --json has all


@app.command("audit")
def audit(
    table: TableName,
    window: Window = None,
    deep: Deep = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Count lost, duplicated and alien records, per hour and in total. Changes nothing.

    Without --deep: the table's own counts and offset sums against the digests of the raw log; no
    topic and no raw object is read. What digests cannot decide (upserts, SQL steps that leave
    records out) is marked "needs --deep".

    With --deep: topic, raw, table and quarantine are read and compared record by record; what
    Kafka has aged out is taken from raw, and listed as not provable.

    The table is read by another engine than the one that wrote it (hudi-rs, Arrow), from a local
    disk or S3 with the platform's own settings. What does not fit about 1 GB of memory goes to a
    temporary directory (TMPDIR).

    Exit code 0: nothing is wrong; raw commits that wait to be loaded are pending, not lost. Exit
    code 1: records are lost, duplicated or alien, something is damaged, or no audit was possible.
    """
    from lake_platform.audit.auditor import audit as run

    with open_shell(home, as_json=as_json) as shell:
        sources = compose.build_audit_sources(shell.settings, shell.metastore)
        report = run(table, sources, deep=deep, window=window)
        if as_json:
            shell.show(report.to_dict())
        else:
            _show(shell, report)
    if not report.sound:
        raise typer.Exit(1)


def _show(shell: Shell, report: AuditReport) -> None:
    shell.console.print(_grid(report))
    if len(report.lines) > _SHOWN:
        shell.say(f"the first {_SHOWN} of {len(report.lines)} windows; --json has all")
    for finding in report.findings:
        where = f"partition {finding.partition} offset {finding.offset}"
        shell.say(f"{finding.kind} in {finding.place}: {where}, window {finding.window}")
    for problem in report.problems:
        shell.say(f"damaged: {problem.text}")
    for part in report.unprovable:
        shell.say(
            f"not provable: partition {part.partition} [{part.start}, {part.end}): {part.why}"
        )
    for gap in report.gaps:
        shell.say(
            f"accepted gap: partition {gap.partition} [{gap.start}, {gap.end}) by {gap.accepted_by}"
        )
    for line in report.undecided[:_SHOWN]:
        shell.say(f"needs --deep: {line.window}: {line.undecided}")
    for note in report.notes:
        shell.say(f"note: {note}")
    shell.say(_verdict(report))


def _grid(report: AuditReport) -> Table:
    """Narrow enough for 80 columns."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("window", no_wrap=True)
    for name in ("records", "table", "bad", "dropped", "pending", "l/d/a", "raw l/d/a"):
        grid.add_column(name, justify="right")
    grid.add_column("verdict")
    grid.caption = "l/d/a: lost, duplicated, alien; bad: in quarantine"
    for line in report.lines[:_SHOWN]:
        grid.add_row(line.window, *_cells(line.counts), line.verdict)
    grid.add_section()
    grid.add_row("total", *_cells(report.total), report.verdict)
    return grid


def _cells(c: Counts) -> list[str]:
    numbers = [c.records, c.table, c.quarantined, c.dropped + c.filtered, c.pending]
    wrong = f"{c.lost}/{c.duplicated}/{c.alien}"
    return [*map(str, numbers), wrong, f"{c.raw_lost}/{c.raw_duplicated}/{c.raw_alien}"]


def _verdict(report: AuditReport) -> str:
    total, how = report.total, "deep" if report.deep else "from digests"
    counted = f"{total.lost} lost, {total.duplicated} duplicated, {total.alien} alien"
    behind = f"; {report.backlog} records wait in Kafka" if report.backlog else ""
    return (
        f"{report.table}: {report.verdict} ({how}): {counted}, {total.pending} pending of "
        f"{total.records} records, raw commits {report.applied} of {report.head} applied{behind}"
    )
