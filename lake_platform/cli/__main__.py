"""`python -m lake_platform.cli`: the `lake` command."""

from lake_platform.cli.main import app

app(prog_name="lake")
