"""A trial on a terminal: each step as it ends, then schema, quarantine, incidents and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lake_platform.domain.casts import lost_lines
from lake_platform.domain.own_columns import PLACE
from lake_platform.trial.report import ERROR, WAITS, Report
from lake_platform.trial.steps import Step

SHOWN_ROWS = 20
_SHOWN_CHARS = 60
_COUNTS = ("written", "deduplicated", "deleted", "dropped", "quarantined")


def show_step(console: Console, step: Step) -> None:
    """One line for what came of it, one for each schema change, one for an error."""
    told = step.to_dict()
    what = json.dumps(step.operation, ensure_ascii=False) if step.operation else step.source
    counts = told["counts"]
    said = f"{what}: {step.outcome}"
    if step.kind == "batch":
        said += f", {step.sent} record{'' if step.sent == 1 else 's'} sent"
    if step.loads:
        parts = [f"{counts[name]} {name}" for name in _COUNTS if counts[name]]
        said += f"; {counts['records']} loaded: {', '.join(parts) or 'nothing'}"
    _say(console, said)
    for change in told["changes"]:
        _say(console, f"    {change['text']}")
    for path, count in told["rescued_by_path"].items():
        _say(console, f"    {count} values of {path} are in _rescued: they do not fit the column")
    for line in lost_lines(step.lost):
        _say(console, f"    {line}")
    for broken in told["rules"]:
        first = broken["samples"][0]["value"]
        policy, rows = broken["policy"], broken["rows"]
        _say(console, f"    rule {broken['rule']} ({policy}): broken by {rows} rows, as {first}")
    if told["error"]:
        _say(console, f"    {told['error']['message']}")


def show_report(console: Console, report: Report) -> None:
    told = report.to_dict()
    for warning in told["warnings"]:
        _say(console, f"warning: {warning}")
    _schema(console, told["schema"])
    _quarantine(console, told["quarantine"])
    for incident in told["incidents"]:
        _incident(console, incident)
    for check in told["checks"]:
        if not check["passed"]:
            _say(console, f"check {check['name']} fails: {check['message']}")
    _rows(console, report, told)
    for error in told["errors"]:
        _say(console, f"error: {error['message']}")
    _say(console, _verdict(told))


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)


def _schema(console: Console, schema: dict[str, Any] | None) -> None:
    if schema is None:
        return
    grid = Table(
        "path in the record", "column", "type", "rule", title=f"schema version {schema['version']}"
    )
    rules = {m["column"]: m for m in schema["mapping"] if "alias" not in m["rules"]}
    for column in schema["columns"]:
        found = rules.get(column["column"]) if column["source"] else None
        why = f"{', '.join(found['rules'])}: {found['reason']}" if found else ""
        source = column["source"] or ("" if column["column"] == "_rescued" else "(step)")
        grid.add_row(source, column["column"], column["type"], why)
    for m in schema["mapping"]:
        if not m["column"] or "alias" in m["rules"]:
            grid.add_row(m["source"], m["column"] or "(none yet)", m["type"], m["reason"])
    console.print(grid)


def _quarantine(console: Console, records: list[dict[str, Any]]) -> None:
    if not records:
        return
    grid = Table("line", "reason", "key", "value", title=f"{len(records)} in quarantine")
    for r in records[:SHOWN_ROWS]:
        value = "(tombstone)" if r["tombstone"] else r["value_text"]
        shown = f"base64 {r['value_bytes']}" if value is None else value
        where = _line(r["source"], r["line"])
        grid.add_row(where, r["reason"], _cut(r["key"] or r["key_bytes"] or ""), _cut(shown))
    console.print(grid)
    _more(console, len(records))


def _incident(console: Console, incident: dict[str, Any]) -> None:
    _say(console, f"incident {incident['id']}: {incident['status']}, batch {incident['batch']}")
    if incident["reason"]:
        _say(console, f"    {incident['reason']}")
    if incident["changes"]:
        grid = Table("column", "change", "before", "after", "records")
        for change in incident["changes"]:
            records = str(change.get("records", ""))
            grid.add_row(change["path"], change["kind"], change["before"], change["after"], records)
        console.print(grid)
    for said in dict.fromkeys(c["registry"] for c in incident["changes"] if "registry" in c):
        _say(console, f"    {said}")
    for sample in incident["samples"][:5]:
        _say(console, f"    as in {json.dumps(sample, ensure_ascii=False)}")


def _rows(console: Console, report: Report, told: dict[str, Any]) -> None:
    """Each with the line it came from; without the coordinates that tell it."""
    rows = told["rows"]
    if not rows:
        _say(console, "no row in the table")
        return
    columns = [name for name in rows[0] if name not in PLACE]
    title = f"{told['rows_total']} rows, read by {told['rows_read_by']}"
    grid = Table("line", *columns, title=title)
    for row in rows[:SHOWN_ROWS]:
        origin = report.trial.feed.origin(*(row.get(name, -1) for name in PLACE))
        line = _line(*origin) if origin else ""
        grid.add_row(line, *(_cut(_text(row[name])) for name in columns))
    console.print(grid)
    _more(console, told["rows_total"])


def _line(source: str, line: int) -> str:
    return f"{Path(source).name}:{line}"


def _more(console: Console, total: int) -> None:
    if total > SHOWN_ROWS:
        _say(console, f"the first {SHOWN_ROWS} of {total}; --json shows all")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isprintable() and value else json.dumps(value)
    return "NULL" if value is None else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _verdict(told: dict[str, Any]) -> str:
    if told["exit_code"] == WAITS:
        return "something waits: raw keeps it, the table stands still"
    if told["exit_code"] == ERROR:
        return "not sound: see the errors above"
    apart = len(told["quarantine"])
    return f"all applied, {apart} of it to quarantine" if apart else "all applied"
