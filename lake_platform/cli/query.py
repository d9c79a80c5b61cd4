"""`lake datasets query`: a SELECT on one table, answered on this machine."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from lake_platform import readers
from lake_platform.cli.shell import AsJson, Home, Shell, open_shell
from lake_platform.errors import InvalidFieldError

if TYPE_CHECKING:
    from lake_platform.query.engine import Answer

app = typer.Typer()


@app.command("query")
def query(
    table: Annotated[
        str, typer.Argument(help="Table name of the dataset; so it is called in SQL.")
    ],
    sql: Annotated[str, typer.Argument(help="One SELECT, in DuckDB's SQL; - is stdin.")],
    limit: Annotated[int, typer.Option(help="Most rows of the answer; 0: all.")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Ask a table, e.g. `lake datasets query orders "SELECT count(*) FROM orders"`.

    Reads what is committed now, without Spark: DuckDB over the Parquet files, for Hudi over what
    hudi-rs reads of them (its columns in question are read whole). The SQL sees this table alone:
    no files, no network, nothing it could change. More: docs/query.md.
    """
    from lake_platform.query.engine import query as ask

    if as_csv and as_json:
        raise InvalidFieldError("--csv", True, "--json is given too", "give one of them")
    text = sys.stdin.read() if sql == "-" else sql
    with open_shell(home, as_json=as_json or as_csv) as shell:
        dataset = shell.metastore.get(table).dataset
        answer = ask(dataset, readers.build_readable(shell.settings, dataset), text, limit)
        if as_json:
            shell.show(asdict(answer))
        elif as_csv:
            _write_csv(answer)
        else:
            shell.console.print(_grid(answer))
        _say(shell, answer, limit)


def _say(shell: Shell, answer: Answer, limit: int) -> None:
    for note in answer.notes:
        shell.say(f"note: {note}")
    if answer.cut:
        shell.say(f"the first {limit} rows; there are more: --limit N, 0 for all")
    elif not shell.as_json:
        shell.say("1 row" if len(answer.rows) == 1 else f"{len(answer.rows)} rows")


def _grid(answer: Answer) -> Table:
    grid = Table(*(Column(name, overflow="fold") for name in answer.columns))
    for row in answer.rows:
        grid.add_row(*map(_cell, row))
    return grid


def _write_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(answer.columns)
    writer.writerows([_cell(v, "") for v in row] for row in answer.rows)


def _cell(value: Any, null: str = "NULL") -> str:
    if value is None:
        return null
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
