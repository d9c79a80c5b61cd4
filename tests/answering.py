"""Servers that tests start: the wait for their first answer."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import httpx

_DEADLINE_SECONDS = 60.0


def wait_for_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until `url` answers well; fails with what the server wrote where it ends or never does."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}: {log.read_text()[-2000:]}")
