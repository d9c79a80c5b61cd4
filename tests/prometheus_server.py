"""A real Prometheus and Alertmanager for tests, from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lake_platform.embedded.ports import free_port

_PACKAGES = ("prometheus", "prometheus-alertmanager")
_PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager")
_DEADLINE_SECONDS = 60.0


def ensure(root: Path) -> Mapping[str, str]:
    """The programs by name: those installed, else from the packages, fetched once (30 MB) and
    unpacked, not installed. Skips the test where they cannot be had."""
    installed = {name: shutil.which(name) for name in _PROGRAMS}
    if all(installed.values()):
        return {name: str(path) for name, path in installed.items()}
    home = root / "prometheus-debian"
    if not home.is_dir():
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            pytest.skip("no Prometheus to test with: it is not installed, and this is no Debian")
        fresh = root / f".prometheus-{os.getpid()}"
        fresh.mkdir(parents=True)
        try:
            # Lists of its own: those of the machine may be old or not there, and are not ours.
            (fresh / "lists" / "partial").mkdir(parents=True)
            own = ("-o", f"Dir::State::Lists={fresh / 'lists'}", "-o", f"Dir::Cache={fresh}")
            _run(fresh, "apt-get", *own, "update")
            _run(fresh, "apt-get", *own, "download", *_PACKAGES)
            for package in fresh.glob("*.deb"):
                _run(fresh, "dpkg", "-x", package.name, "in")
            _unroot(fresh / "in" / "usr" / "bin" / "prometheus-alertmanager")
            (fresh / "in").rename(home)
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", "") or str(error)
            pytest.skip(f"no Prometheus to test with: {said.strip()[-300:]}")
        finally:
            shutil.rmtree(fresh)
    return {name: str(home / "usr" / "bin" / name) for name in _PROGRAMS}


def _unroot(program: Path) -> None:
    """Debian's reads its templates below /usr/share, where only an installed one has them. In a
    path of the same length, relative to where we start it, it finds those beside it."""
    there = b"/usr/share/prometheus/alertmanager"
    program.write_bytes(program.read_bytes().replace(there, there[1:] + b"/"))


def _run(cwd: Path, *command: str) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=120)


@contextmanager
def watching(
    programs: Mapping[str, str], home: Path, rules: Path, target: str, hook: str
) -> Iterator[str]:
    """Prometheus scrapes `target` (host:port) all the time; Alertmanager tells `hook`. Gives the
    URL of Prometheus."""
    alertmanager, prometheus = free_port(), free_port()
    (home / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]\n"
    )
    (home / "prometheus.yml").write_text(
        "global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}\n"
        f"rule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: lake, static_configs: [{{targets: ['{target}']}}]}}]\n"
        "alerting: {alertmanagers: [{static_configs: "
        f"[{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
    )
    with ExitStack() as stack:
        stack.enter_context(
            _server(
                home / "alertmanager.log", alertmanager, programs["prometheus-alertmanager"],
                f"--config.file={home / 'alertmanager.yml'}",
                f"--storage.path={home / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=",
            )
        )  # fmt: skip
        stack.enter_context(
            _server(
                home / "prometheus.log", prometheus, programs["prometheus"],
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )  # fmt: skip
        yield f"http://127.0.0.1:{prometheus}"


@contextmanager
def _server(log: Path, port: int, *command: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=Path(command[0]).parents[2])
    try:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not _ready(port):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).is_success
    except httpx.HTTPError:
        return False
