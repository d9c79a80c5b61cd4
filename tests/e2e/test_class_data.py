"""`lake jars --class-data`, and a session that does not start without what it made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_platform.embedded.jars import ensure_jars

_LAKE = [sys.executable, "-c", "from lake_platform.cli.main import app; app()"]


@pytest.mark.spark
@pytest.mark.deep
@pytest.mark.timeout(600)
def test_a_session_starts_with_what_was_made(tmp_path: Path, jars_dir: Path) -> None:
    ensure_jars(jars_dir, ["spark"])
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark").symlink_to(jars_dir / "spark")
    must = json.dumps({"spark.driver.extraJavaOptions": "-Xshare:on"})
    records = tmp_path / "records.ndjson"
    records.write_text('{"id": 1}\n')
    trial = ["try", str(records), "--format", "hudi", "--json"]

    before = _lake(tmp_path, *trial, LAKE_SPARK_CONF=must)
    assert before.returncode == 1  # the JVM has nothing to share

    made = json.loads(_lake(tmp_path, "jars", "--class-data", "--json").stdout)
    assert made["made"]
    assert Path(made["file"]).stat().st_size == made["size_bytes"]
    again = _lake(tmp_path, "jars", "--class-data")
    assert again.stdout.endswith("already there\n")

    after = _lake(tmp_path, *trial, LAKE_SPARK_CONF=must)
    assert after.returncode == 0, after.stderr[-4_000:]
    assert len(json.loads(after.stdout)["rows"]) == 1
    assert list(tmp_path.glob("lake-try-*")) == []


def _lake(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ, "LAKE_HOME": str(home), "LAKE_JARS_DIR": str(home / "jars"),
        "TMPDIR": str(home), **more,
    }  # fmt: skip
    return subprocess.run(
        [*_LAKE, *words], env=environ, capture_output=True, text=True, timeout=500, check=False
    )
