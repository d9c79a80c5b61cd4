"""Whatever ends a trial, its home and its processes are gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from lake_platform.cli.try_home import Once, OutOfTime, at_most, check_out, home_for_once, keep
from lake_platform.errors import InvalidFieldError

_CHILD = """
import signal, subprocess, sys, time
from lake_platform.cli import try_home
with try_home.home_for_once() as once:
    home = once.path
    (home / "file").write_text("x")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(home, child.pid, flush=True)
    {body}
"""
_STUCK = """
    try_home._GRACE_SECONDS = 0.1
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as native code that never returns
    with try_home.at_most(0.1, once, sys.stderr):
        time.sleep(600)
"""
_AGAIN = """
    clear = try_home.Once.clear
    def interrupted(once):
        signal.raise_signal(signal.SIGINT)
        clear(once)
    try_home.Once.clear = interrupted
    time.sleep(600)
"""


def _run(body: str) -> tuple[subprocess.Popen[str], Path, int]:
    code = _CHILD.format(body=body.strip())
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    home, pid = process.stdout.readline().split()
    return process, Path(home), int(pid)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)],
)
def test_signal_leaves_nothing_behind(number: signal.Signals, code: int) -> None:
    process, home, child = _run("time.sleep(600)")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert not home.exists()
    assert not psutil.pid_exists(child)


def test_a_second_ctrl_c_does_not_stop_the_cleaning() -> None:
    process, home, child = _run(_AGAIN)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert not home.exists()
    assert not psutil.pid_exists(child)


def test_native_code_that_never_returns_ends_with_its_process() -> None:
    process, home, child = _run(_STUCK)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "--at-most-seconds" in said
    assert not home.exists()
    assert not psutil.pid_exists(child)


def test_limit_is_raised_past_except_exception(tmp_path: Path) -> None:
    def engine() -> None:
        try:
            threading.Event().wait(60)
        except Exception:  # as an engine's boundary does
            pytest.fail("taken for an error of its own")

    with pytest.raises(OutOfTime), at_most(0.05, Once(tmp_path, frozenset()), sys.stderr):
        engine()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_home_and_what_was_started_are_gone() -> None:
    before = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with home_for_once() as once:
            inside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        assert not once.path.exists()
        assert inside.poll() is not None
        assert before.poll() is None  # not one of ours
    finally:
        before.kill()
        before.wait()


def test_table_is_kept_in_an_empty_directory_only(tmp_path: Path) -> None:
    table, out = tmp_path / "table", tmp_path / "out" / "deep"
    (table / ".hoodie").mkdir(parents=True)
    (table / ".hoodie" / "hoodie.properties").write_text("x")
    check_out(out)
    keep(table, out)
    assert (out / ".hoodie" / "hoodie.properties").read_text() == "x"
    with pytest.raises(InvalidFieldError, match="is not empty"):
        check_out(out)
    with pytest.raises(InvalidFieldError, match="is a file"):
        check_out(out / ".hoodie" / "hoodie.properties")
    keep(tmp_path / "never written", tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
