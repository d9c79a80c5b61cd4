"""A plain Parquet table is tried without Spark: only what it needs is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CODE = """
import sys
from typer.testing import CliRunner
from lake_platform.cli.main import app
done = CliRunner().invoke(app, ["try", {file!r}, "--format", "parquet", "--json"])
assert done.exit_code == 0, done.output
print(*[m for m in ("pyspark", "py4j", "hudi", "duckdb", "boto3", "httpx") if m in sys.modules])
"""


def test_nothing_heavy_is_imported_for_a_plain_parquet_table(tmp_path: Path) -> None:
    file = tmp_path / "r.ndjson"
    file.write_text('{"id":1,"at":[1,null]}\n')
    code = _CODE.format(file=str(file))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout == "\n", done.stderr
