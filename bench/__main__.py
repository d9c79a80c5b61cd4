"""`python -m bench`: rows 1 to 8 of the performance table."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import report
from bench.rows import ROWS, Line, Plan, row_2
from bench.stage import open_stage

_REPO = Path(__file__).parent.parent
_QUICK_RECORDS = 50_000


def main(
    rows: Annotated[str, typer.Option(help="Rows to run.")] = "1,2,3,4,5,6,7,8",
    records: Annotated[
        int, typer.Option(min=1_000, help="Records of rows 1, 2 and 7, and at most of row 8.")
    ] = 1_000_000,
    load_records: Annotated[int, typer.Option(min=1_000, help="Records of rows 3 to 6.")] = 500_000,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs for each ratio.")] = 3,
    quick: Annotated[
        bool, typer.Option(help="50,000 records, one pair: a look, no result.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write all data.")
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="Rows that are not run are those in the file of --json.")
    ] = False,
    write: Annotated[bool, typer.Option(help="Write docs/performance.md.")] = False,
    work: Annotated[Path, typer.Option(help="Directory of the run, emptied.")] = Path(
        ".lake/bench"
    ),
) -> None:
    """Measures the platform against floors and against bare Spark, in pairs, audited."""
    chosen = sorted({int(r) for r in rows.split(",")})
    if unknown := [r for r in chosen if r not in {2, *ROWS}]:
        raise typer.BadParameter(f"no such row: {unknown}", param_hint="--rows")
    if quick:
        records, load_records, pairs = _QUICK_RECORDS, _QUICK_RECORDS, 1
    console = Console()
    setting = report.Setting(_command(), records, load_records, pairs)
    jars = Path(os.environ.get("LAKE_JARS_DIR", _REPO / ".lake" / "jars")).absolute()
    with (
        console.status("starting Kafka") as status,
        open_stage(work.absolute(), jars, records, load_records, status.update) as stage,
    ):
        plan = Plan(stage, pairs, rounds=3 if quick else 10)
        lines: list[Line] = []
        for row in chosen:
            found = _row(row, plan, lines)
            lines += found
            for line in found:
                console.print(f"row {line.row} {line.what}: {line.failed or line.numbers}")
    if keep and json_file and json_file.exists():
        lines = report.completed(lines, json.loads(json_file.read_text())["lines"])
    console.print(report.table(lines))
    if json_file:
        json_file.write_text(json.dumps(report.as_json(lines, setting), indent=1))
    if write:
        report.PAGE.write_text(report.page(lines, setting))
    if any(line.failed for line in lines):
        raise typer.Exit(1)


def _command() -> str:
    """As it was called, without the file that this machine keeps the data in."""
    words = sys.argv[1:]
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    return shlex.join(["python", "-m", "bench", *words])


def _row(row: int, plan: Plan, before: list[Line]) -> list[Line]:
    if row != 2:
        return ROWS[row](plan)
    # Memory is read off the dumps of row 1.
    return row_2(plan, [x for x in before if x.row == 1] or ROWS[1](plan))


typer.run(main)
