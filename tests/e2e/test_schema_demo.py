"""`lake schema-demo` as a newcomer runs it: every step ends as it says, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.schema_demo import STEPS

_LAKE = [sys.executable, "-c", "from lake_platform.cli.main import app; app()"]


@pytest.mark.stack
@pytest.mark.deep
@pytest.mark.timeout(900)
def test_every_step_goes_as_it_says(tmp_path: Path, jars_dir: Path) -> None:
    ensure_jars(jars_dir, ["kafka", "spark"])
    environ = {**os.environ, "LAKE_JARS_DIR": str(jars_dir), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*_LAKE, "schema-demo"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"
    assert f"all {len(STEPS)} steps went as they should" in done.stdout
    assert list(tmp_path.glob("lake-schema-demo-*")) == []
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in _words(p)]
    assert left == []


def _words(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())
