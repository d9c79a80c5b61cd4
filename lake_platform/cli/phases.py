"""`lake dump`, `lake load` and `lake ingest`: the two phases of one dataset in this shell, one by
one or at once, without Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_platform import compose
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.domain.bundle import Ports
from lake_platform.domain.casts import lost_lines
from lake_platform.domain.offsets import RawCommit
from lake_platform.errors import NoRecordYetError

if TYPE_CHECKING:
    from lake_platform.load.results import LoadResult

app = typer.Typer()
TableName = Annotated[str, typer.Argument(help="Table name of the dataset.")]


@app.command("dump")
def dump(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Phase 1: read the topic up to its end of now into raw objects."""
    from lake_platform.dump.dump import dump as run

    done: list[dict[str, Any]] = []
    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        for commit in run(table, ports, compose.build_limits(shell.settings)):
            done.append(_told_slice(shell, table, commit))
        if as_json:
            shell.show({"table": table, "slices": done})
        elif not done:
            shell.say(f"{table}: nothing new in the topic")


@app.command("load")
def load(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Phase 2: apply the raw commits that wait to the table. Starts Spark when there are any."""
    from lake_platform.load.load import load as run

    done: list[dict[str, Any]] = []
    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        for result in run(table, ports, compose.build_limits(shell.settings)):
            done.append(_told_batch(shell, result))
        if done:
            _compact(table, ports, shell)
        if as_json:
            shell.show({"table": table, "batches": done, "waits": _waits(shell, table)})
        elif not done:
            shell.say(_waits(shell, table) or f"{table}: nothing waits to be loaded")


@app.command("ingest")
def ingest(table: TableName, home: Home = None, as_json: AsJson = False) -> None:
    """Both phases at once: dump the topic up to its end of now, and apply what is dumped meanwhile.
    Starts Spark when there is anything."""
    from lake_platform.ingest.ingest import ingest as run

    slices: list[dict[str, Any]] = []
    batches: list[dict[str, Any]] = []
    with open_shell(home, as_json=as_json) as shell:
        ports = compose.build_ports(shell.settings, shell.metastore)
        for done in run(table, ports, compose.build_limits(shell.settings)):
            if isinstance(done, RawCommit):
                slices.append(_told_slice(shell, table, done))
            else:
                batches.append(_told_batch(shell, done))
        if batches:
            _compact(table, ports, shell)
        if as_json:
            waits = _waits(shell, table)
            shell.show({"table": table, "slices": slices, "batches": batches, "waits": waits})
        elif not batches:
            nothing = f"{table}: nothing new in the topic, and nothing waits to be loaded"
            if said := _waits(shell, table) or (None if slices else nothing):
                shell.say(said)


def _waits(shell: Shell, table: str) -> str | None:
    """Why what is there is not loaded, though nothing is wrong."""
    progress = shell.metastore.progress(table)
    waits = progress.load_error_kind == NoRecordYetError.__name__
    return progress.load_error if waits else None


def _told_slice(shell: Shell, table: str, commit: RawCommit) -> dict[str, Any]:
    backlog = shell.metastore.progress(table).backlog
    shell.say(
        f"slice {commit.seq}: {commit.records} records, {commit.raw_bytes / 1e6:.1f} MB, "
        f"{len(commit.windows)} windows, {backlog} records to go"
    )
    return {"seq": commit.seq, "records": commit.records, "bytes": commit.raw_bytes}


def _told_batch(shell: Shell, result: LoadResult) -> dict[str, Any]:
    balance = result.applied.balance
    shell.say(
        f"batch {result.applied.batch}: {balance.records} records, {balance.written} "
        f"written, {balance.deduplicated} deduplicated, {balance.deleted} deleted, "
        f"{balance.dropped} dropped, {balance.quarantined} quarantined, "
        f"{result.seconds:.1f} s"
    )
    for change in result.changes:
        shell.say(f"    {change}")
    for path, count in result.rescued.items():
        why = "have no column" if path.endswith("*") else "do not fit the column"
        shell.say(f"    {count} values of {path} are in _rescued: they {why}")
    for line in lost_lines(result.lost):
        shell.say(f"    {line}")
    for name in result.dropped_columns:
        shell.say(
            f"    column {name} is dropped, NULL in new rows: no record had it for as long as "
            f"absent_for says"
        )
    for name, broken in result.broken.items():
        first = broken.samples[0]["value"] if broken.samples else ""
        policy = broken.condition.policy
        shell.say(f"    rule {name} ({policy}): broken by {broken.rows} rows, as {first}")
    for path, values in result.passed_over.items():
        shell.say(f"    {path}: {values} values left out: a hint drops them, or no step uses them")
    more = {
        "seconds": result.seconds,
        "rescued": dict(result.rescued),
        "passed_over": dict(result.passed_over),
        "lost_by_cast": {name: lost.to_dict() for name, lost in result.lost.items()},
        "rules": [b.to_dict() for b in result.broken.values()],
        "dropped_columns": list(result.dropped_columns),
    }
    return result.applied.to_dict() | more


def _compact(table: str, ports: Ports, shell: Shell) -> None:
    """After the last batch, which has not to wait for it; the session is warm."""
    from lake_platform.load.plan import is_pending
    from lake_platform.maintain.compaction import compact_table

    dataset = shell.metastore.get(table).dataset
    if is_pending(dataset, ports, shell.metastore.progress(table).applied_seq):
        return
    found = compact_table(table, ports, compose.build_limits(shell.settings))
    if found and not found.put_off:
        shell.say(f"{table}: {found.commits} commits compacted")
