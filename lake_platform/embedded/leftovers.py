"""Find and end the processes of one stack, and only those.

Every process of a stack carries `LAKE_STACK_HOME=<home>` in its environment and hands it to its
children, so run workers, Spark JVMs and what a killed supervisord left behind are found too. Pid
files could not do that: pids are reused, and children of children are in none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

MARKER = "LAKE_STACK_HOME"


def find(home: Path) -> list[psutil.Process]:
    """Living processes of the stack in `home`, oldest first."""
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _belongs(process, home):
            found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def end(home: Path, *, grace_seconds: float = 10.0) -> list[str]:
    """SIGTERM, then SIGKILL, until none is left; returns `name (pid n)` of each.

    A process may start another while it ends, so the search is repeated.
    """
    ended: list[str] = []
    while processes := find(home):
        ended += [_title(process) for process in processes]
        if grace_seconds > 0:
            _signal(processes, kill=False)
            _, processes = psutil.wait_procs(processes, timeout=grace_seconds)
        _signal(processes, kill=True)
        psutil.wait_procs(processes, timeout=5.0)
    return ended


def wait_gone(process: psutil.Process, deadline: float) -> bool:
    """Wait for one process until `deadline` (`time.monotonic()`)."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except psutil.TimeoutExpired:
        return False
    return True


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        return (
            process.environ().get(MARKER) == os.fspath(home)
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False


def _signal(processes: Sequence[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        try:
            process.kill() if kill else process.terminate()
        except psutil.NoSuchProcess:
            continue


def _title(process: psutil.Process) -> str:
    try:
        return f"{process.name()} (pid {process.pid})"
    except psutil.Error:
        return f"pid {process.pid}"
