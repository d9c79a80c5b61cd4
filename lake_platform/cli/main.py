"""The `lake` command: one sub-application per area; an error is one sentence and exit code 1."""

from __future__ import annotations

import sys
from typing import Any

import structlog
import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from lake_platform.cli import (
    again,
    alerts,
    audit,
    catalog,
    code,
    compact,
    datasets,
    demo,
    incidents,
    jars,
    operations,
    phases,
    preview,
    quarantine,
    query,
    rebuild,
    schema,
    schema_check,
    schema_ddl,
    schema_demo,
    stack,
    try_,
)
from lake_platform.errors import LakeError, NotOverApiError


class _Named(TyperCommand):
    """Says which command cannot work over the API."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NotOverApiError as error:
            path = f"lake {ctx.command_path.partition(' ')[2]}"
            raise NotOverApiError(error.url, path) from None


class _OneSentence(TyperGroup):
    """Errors raised on purpose are shown without a traceback; everything else keeps its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LakeError as error:
            # Plain text: offsets such as [5, 9) are no markup, and commands must stay in one line.
            Console(stderr=True).print(
                f"error: {error}", markup=False, highlight=False, soft_wrap=True
            )
            raise typer.Exit(1) from None


def log_to_stderr(*_: Any) -> structlog.PrintLogger:
    """Looks at `sys.stderr` when it writes: tests and shells put others in its place."""
    return structlog.PrintLogger(sys.stderr)


app = typer.Typer(cls=_OneSentence, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def lake() -> None:
    """Kafka topics to complete, correct and fresh lake tables."""
    # stdout is the answer's, which may be JSON.
    structlog.configure(logger_factory=log_to_stderr)


_PARTS = (
    stack, demo, schema_demo, code, phases, again, try_, preview, rebuild, compact, audit,
    operations, jars,
)  # fmt: skip
schema_check.add_to(schema.app)
schema.app.registered_commands.extend(schema_ddl.app.registered_commands)
datasets.app.registered_commands.extend(query.app.registered_commands)
for part in (module.app for module in _PARTS):
    app.registered_commands.extend(part.registered_commands)
app.add_typer(datasets.app, name="datasets")
app.add_typer(schema.app, name="schema")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(operations.gaps, name="gaps")
app.add_typer(incidents.app, name="incidents")
app.add_typer(alerts.app, name="alerts")
app.add_typer(catalog.app, name="catalog")
_GROUPS = (app, *(group.typer_instance for group in app.registered_groups))
for command in (c for group in _GROUPS if group for c in group.registered_commands):
    if command.cls in (None, TyperCommand):
        command.cls = _Named
