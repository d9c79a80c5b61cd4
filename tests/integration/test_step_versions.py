"""Two versions of one JAR, of two datasets that are loaded by one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_platform.embedded.jars import ensure_jars
from tests.step_jars import build_jar

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]
_REPO = Path(__file__).parents[2]


def test_each_dataset_runs_its_own_version(jars_dir: Path, java_home: Path, tmp_path: Path) -> None:
    ensure_jars(jars_dir, ["spark"])
    (tmp_path / "jars").mkdir()
    build_jar(java_home, tmp_path / "jars" / "one.jar")
    build_jar(java_home, tmp_path / "jars" / "two.jar", {'"*"': '"#"'})
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.versions_client", str(tmp_path), str(jars_dir)],
        cwd=_REPO, env={**os.environ, "JAVA_HOME": str(java_home)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "each table by its own version" in done.stdout
