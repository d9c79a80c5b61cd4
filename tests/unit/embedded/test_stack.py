"""The stack's own bookkeeping: left-over processes, settings, logs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xmlrpc.client import Fault

import psutil
import pytest

from lake_platform.cli.logs import Followed
from lake_platform.embedded import leftovers
from lake_platform.embedded import stack as stack_module
from lake_platform.embedded.ports import free_port
from lake_platform.embedded.programs import Program
from lake_platform.embedded.stack import Stack, tail
from lake_platform.embedded.supervisor import Supervisor
from lake_platform.settings import load_settings

Spawn = Callable[..., subprocess.Popen[bytes]]
# Says when it is ready, so that no test depends on how fast a process starts.
_SLEEP = "print(flush=True); import time; time.sleep(300)"
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _SLEEP


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[bytes]] = []

    def start(home: Path, code: str = _SLEEP) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={leftovers.MARKER: str(home)},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_processes_of_this_home_are_ended(tmp_path: Path, spawn: Spawn) -> None:
    ours, other = spawn(tmp_path / "a"), spawn(tmp_path / "ab")
    assert [process.pid for process in leftovers.find(tmp_path / "a")] == [ours.pid]
    ended = leftovers.end(tmp_path / "a")
    assert len(ended) == 1
    assert f"(pid {ours.pid})" in ended[0]
    assert not psutil.pid_exists(ours.pid)
    assert other.poll() is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, spawn: Spawn) -> None:
    process = spawn(tmp_path, _STUBBORN)
    leftovers.end(tmp_path, grace_seconds=0.2)
    assert not psutil.pid_exists(process.pid)


def test_nothing_to_stop_is_no_error(tmp_path: Path) -> None:
    assert Stack(load_settings(tmp_path / "never")).stop() == []


def test_status_of_a_stack_that_never_ran(tmp_path: Path) -> None:
    stack = Stack(load_settings(tmp_path))
    assert {part.state for part in stack.status()} == {"STOPPED"}
    assert stack.problem() is None


def test_a_killed_supervisor_is_told(tmp_path: Path, spawn: Spawn) -> None:
    spawn(tmp_path)
    assert "1 processes were left behind" in str(Stack(load_settings(tmp_path)).problem())


def test_chosen_ports_are_found_by_other_commands(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"spark_memory": "3g", "api_port": 1}')
    port = free_port()
    stack = Stack(load_settings(tmp_path).model_copy(update={"api_port": port}))
    stack.write_settings()
    found = load_settings(tmp_path)
    assert (found.api_port, found.spark_memory) == (port, "3g")
    assert json.loads((tmp_path / "settings.json").read_text())["dagster_port"] == 13000


@pytest.mark.parametrize("bootstrap", ["broker.example:9092", "127.0.0.1:1,127.0.0.1:2"])
def test_with_a_kafka_elsewhere_all_but_kafka_is_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bootstrap: str
) -> None:
    jars: list[str] = []
    launched: list[str] = []
    environ: dict[str, str] = {}

    def launch(_self: Supervisor, programs: list[Program], given: dict[str, str]) -> None:
        launched.extend(program.name for program in programs)
        environ.update(given)

    monkeypatch.setattr(stack_module, "java_home", lambda _environ: tmp_path)
    monkeypatch.setattr(stack_module, "ensure_jars", lambda _root, sets, **_: jars.extend(sets))
    monkeypatch.setattr(Supervisor, "launch", launch)
    ports = {"api_port": free_port(), "dagster_port": free_port()}
    settings = load_settings(tmp_path).model_copy(update={"kafka_bootstrap": bootstrap} | ports)
    stack = Stack(settings)
    stack.prepare({})
    assert launched[0] == "api"
    assert "kafka" not in launched
    assert jars == ["spark"]
    assert environ["LAKE_KAFKA_BOOTSTRAP"] == bootstrap
    assert "kafka" not in [part.name for part in stack.status()]


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert tail(log, 5) == ""
    log.write_text("".join(f"line {number}\n" for number in range(1_000)))
    assert tail(log, 2) == "line 998\nline 999"


def test_a_followed_log_survives_rotation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("old\n")
    with contextlib.closing(Followed(path)) as log:
        with path.open("a") as stream:
            stream.write("one\ntw")
        assert log.new_lines() == ["one"]
        with path.open("a") as stream:
            stream.write("o\n")
        path.rename(tmp_path / "x.log.1")
        assert log.new_lines() == ["two"]
        path.write_text("three\n")
        assert log.new_lines() == ["three"]


def test_a_supervisor_that_is_ending_already_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(load_settings(tmp_path))
    stack.home.create()

    def ends(*_: object) -> None:
        raise Fault(6, "SHUTDOWN_STATE")

    monkeypatch.setattr(Supervisor, "_call", ends)
    assert not stack.running
    assert stack.stop() == []
