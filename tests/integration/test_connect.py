"""`SPARK_REMOTE`: the same code through a real Spark Connect server.

Spark Connect 3.5 has no setting for the address and listens on every interface without
authentication. It is started for this one test only, on a free port, for seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.adapters.spark.session import session_config
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.ports import free_port
from lake_platform.embedded.stack import tail
from tests.step_jars import build_jar, compiler

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]
_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_REPO = Path(__file__).parents[2]


@pytest.fixture
def server(jars_dir: Path, java_home: Path, tmp_path: Path) -> Iterator[str]:
    ensure_jars(jars_dir, ["spark", "connect"])
    port = free_port()
    config = session_config("local[2]", "1g", jars_dir)
    connect = next((jars_dir / "connect").glob("*.jar"))
    config["spark.driver.extraClassPath"] += os.pathsep + str(connect)
    config["spark.connect.grpc.binding.port"] = str(port)
    options = [part for name, value in config.items() for part in ("--conf", f"{name}={value}")]
    import pyspark

    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    log = tmp_path / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                "bash",
                str(submit),
                "--master",
                "local[2]",
                "--class",
                _SERVER,
                *options,
                str(connect),
            ],
            env={**os.environ, "JAVA_HOME": str(java_home)},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        _wait(process, log, port)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_both_phases_run_over_spark_connect(
    server: str, tmp_path: Path, java_home: Path
) -> None:  # fmt: skip
    command = [sys.executable, "-m", "tests.integration.connect_client", str(tmp_path), server]
    if compiler(java_home):
        (tmp_path / "jars").mkdir()
        build_jar(java_home, tmp_path / "jars" / "example.jar")
    done = subprocess.run(
        command,
        cwd=_REPO,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "both phases over Spark Connect" in done.stdout


def _wait(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    import socket

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, tail(log, 30)
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"Spark Connect did not listen on {port}:\n{tail(log, 30)}")
