"""The demo as a newcomer runs it, small: every process real, the end counted by another engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.ports import free_port

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.timeout(900)]
LAKE = [sys.executable, "-c", "from lake_platform.cli.main import app; app()"]


@pytest.fixture
def environ(tmp_path: Path, jars_dir: Path) -> Iterator[dict[str, str]]:
    """A stack of its own: home, ports; stopped at the end whatever happened."""
    ensure_jars(jars_dir, ["kafka", "spark"])
    env = {
        **os.environ,
        "LAKE_HOME": str(tmp_path / "home"),
        "LAKE_JARS_DIR": str(jars_dir),
        "LAKE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        "LAKE_API_PORT": str(free_port()),
        "LAKE_DAGSTER_PORT": str(free_port()),
    }
    yield env
    subprocess.run([*LAKE, "down"], env=env, check=True, timeout=120)
    assert _processes(env) == [], "lake down left processes behind"


def test_demo_loses_and_doubles_nothing(environ: dict[str, str]) -> None:
    done = _demo(environ).communicate(timeout=600)[0]
    assert "flights: lost 0, duplicated 0" in done
    assert "weather: lost 0, duplicated 0" in done
    assert "quarantined" in done
    stats = _get(environ, "/datasets/weather/stats")
    assert (stats["quarantined"], stats["status"], stats["backlog"]) == (5, "LIVE", 0)
    metrics = httpx.get(f"http://127.0.0.1:{environ['LAKE_API_PORT']}/metrics", timeout=30).text
    for name in ("records_ingested", "records", "lag_seconds", "breaking_schema_change"):
        assert f'\n{name}{{dataset="flights"}}' in metrics


@pytest.mark.deep
def test_demo_survives_kill_9_of_worker_and_spark(environ: dict[str, str]) -> None:
    demo = _demo(environ)
    killed = [_kill(demo, environ, is_spark) for is_spark in (_spark, _worker, _spark)]
    done = demo.communicate(timeout=600)[0]
    assert killed[0], "the demo ended before Spark was there to be killed"
    assert "flights: lost 0, duplicated 0" in done
    assert "weather: lost 0, duplicated 0" in done
    assert demo.returncode == 0


def _demo(environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*LAKE, "demo", "--records", "6000"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _kill(
    demo: subprocess.Popen[str], environ: dict[str, str], wanted: Callable[[str], bool]
) -> bool:
    """kill -9 of the first matching process once it is at work; False when the demo ended first."""
    deadline = time.monotonic() + 300
    while demo.poll() is None and time.monotonic() < deadline:
        for process in _processes(environ):
            try:
                # At work: it has used some CPU, so it dies in the middle of something.
                busy = sum(process.cpu_times()[:2]) > 3
                if wanted(" ".join(process.cmdline())) and busy:
                    process.send_signal(signal.SIGKILL)
                    process.wait(30)
                    return True
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)
    return False


def _spark(command: str) -> bool:
    return "SparkSubmit" in command


def _worker(command: str) -> bool:
    return "spawn_main" in command or "execute_run" in command


def _processes(environ: dict[str, str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("LAKE_HOME") == environ["LAKE_HOME"]
            # A zombie has no command line, which raises NoSuchProcess too.
            if ours and "lake_platform.cli.main" not in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _get(environ: dict[str, str], path: str) -> dict[str, object]:
    answer = httpx.get(f"http://127.0.0.1:{environ['LAKE_API_PORT']}{path}", timeout=30)
    found: dict[str, object] = json.loads(answer.text)
    return found
