"""`lake up`, `lake down`, `lake status`, `lake logs`."""

from __future__ import annotations

import typer

app = typer.Typer()
