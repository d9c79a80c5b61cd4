"""`lake up` for real: Kafka, the API and Dagster, killed and restarted, gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lake_platform.embedded import leftovers
from lake_platform.embedded.home import StackHome
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.kafka import answers
from lake_platform.embedded.ports import free_port
from lake_platform.embedded.stack import JAR_SETS
from tests.sampling import sampled

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
_PARTS = {"kafka", "api", "code-server", "code-watch", "dagster-webserver", "dagster-daemon"}
_TOPIC = "kept"


class Shell:
    """Runs `lake` as a user does: a process of its own, everything in one home."""

    def __init__(self, home: Path, jars_dir: Path) -> None:
        self.home = home
        self.ports = {name: free_port() for name in ("kafka", "api", "dagster")}
        self.environ = os.environ | {"LAKE_HOME": str(home), "LAKE_JARS_DIR": str(jars_dir)}

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['kafka']}"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from lake_platform.cli.main import app; app()", *arguments]

    def lake(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            self.command(*arguments),
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, *arguments: str) -> str:
        ports = [word for name, port in self.ports.items() for word in _option(name, port)]
        return self.lake("up", *ports, *arguments)

    def pids(self) -> dict[str, int]:
        done = subprocess.run(
            self.command("status", "--json"),
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return {part["name"]: part["pid"] for part in json.loads(done.stdout)}

    def left(self) -> list[psutil.Process]:
        return leftovers.find(self.home)


def _option(name: str, port: int) -> tuple[str, str]:
    return f"--{name}-port", str(port)


@pytest.fixture
def shell(tmp_path: Path, jars_dir: Path) -> Iterator[Shell]:
    ensure_jars(jars_dir, JAR_SETS)
    shell = Shell(tmp_path / "home", jars_dir)
    yield shell
    leftovers.end(shell.home, grace_seconds=0)


def _eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def _write(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(_TOPIC, value)
    assert producer.flush(30) == 0


def _read(bootstrap: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "r", "log_level": 0})
    first, end = consumer.get_watermark_offsets(TopicPartition(_TOPIC, 0), timeout=30)
    consumer.assign([TopicPartition(_TOPIC, 0, first)])
    messages = consumer.consume(end - first, timeout=30) if end > first else []
    consumer.close()
    return [message.value() or b"" for message in messages]


def _addresses(processes: list[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }


def _child(pid: int, word: str) -> psutil.Process:
    children = psutil.Process(pid).children(recursive=True)
    return next(child for child in children if word in " ".join(child.cmdline()))


def _second_stack_is_refused(shell: Shell, home: Path) -> None:
    second = Shell(home, Path(shell.environ["LAKE_JARS_DIR"]))
    port = shell.ports["kafka"]
    said = " ".join(second.lake("up", "--kafka-port", str(port), expect=1).split())
    assert f"port {port} for Kafka is taken by java (pid " in said
    assert "lake up --kafka-port <port>" in said
    assert second.left() == []


def _frozen_parts_are_told(shell: Shell, pids: dict[str, int]) -> None:
    """A process that is there is no answer."""

    def answering() -> set[str]:
        done = subprocess.run(
            shell.command("status", "--json"), env=shell.environ, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        states = {part["name"]: part["state"] for part in json.loads(done.stdout)}
        assert set(states.values()) <= {"RUNNING", "NOT ANSWERING"}
        assert done.returncode == int("NOT ANSWERING" in states.values())
        return {name for name, state in states.items() if state == "RUNNING"}

    assert answering() == _PARTS
    code = _child(pids["code-server"], "grpc").pid
    some = {"kafka": pids["kafka"], "api": pids["api"], "code-server": code,
            "dagster-daemon": pids["dagster-daemon"]}  # fmt: skip
    for pid in some.values():
        os.kill(pid, signal.SIGSTOP)
    try:
        assert answering() == _PARTS - set(some)
        said = shell.lake("status", expect=1)
        assert f"kafka (pid {pids['kafka']}) runs and does not answer: lake logs kafka" in said
    finally:
        for pid in some.values():
            os.kill(pid, signal.SIGCONT)
    _eventually(lambda: answering() == _PARTS, "all answer again")


def test_the_stack_survives_kills_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.lake("status", expect=1)
    said = shell.up("--detach")
    assert "all ready" in said
    assert "cannot load" not in said
    pids = shell.pids()
    assert set(pids) == _PARTS
    assert all(pids.values())
    assert "already running" in shell.lake("up")
    _second_stack_is_refused(shell, tmp_path / "second")
    assert shell.pids() == pids
    # Java shows an IPv4 address as an IPv6 one; both name this machine only.
    assert _addresses(shell.left()) <= {"127.0.0.1", "::ffff:127.0.0.1"}

    admin = AdminClient({"bootstrap.servers": shell.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(_TOPIC, 1, 1)])[_TOPIC].result(30)
    del admin
    _write(shell.bootstrap, b"before the kill")

    _frozen_parts_are_told(shell, pids)

    os.kill(pids["kafka"], signal.SIGKILL)
    _eventually(lambda: shell.pids()["kafka"] not in {0, pids["kafka"]}, "Kafka is back")
    _eventually(lambda: answers(shell.bootstrap), "Kafka answers")
    assert _read(shell.bootstrap) == [b"before the kill"]

    # The proxy lives on when only the process with the code dies: supervisord cannot see it.
    _child(pids["code-server"], "grpc").kill()
    _eventually(
        lambda: shell.pids()["code-server"] not in {0, pids["code-server"]}, "code server is back"
    )

    assert "kafka" in shell.lake("down")
    assert shell.left() == []
    assert "nothing runs" in shell.lake("down")

    shell.lake("up", "--detach")  # the ports are remembered
    assert _read(shell.bootstrap) == [b"before the kill"]
    supervisor = int((StackHome(shell.home).run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    _eventually(lambda: not any(shell.pids().values()), "supervisord is gone")
    assert shell.left() != []
    assert "java" in shell.lake("down")
    assert shell.left() == []


@pytest.mark.parametrize("times", sampled([1, 2], 2))
def test_ctrl_c_leaves_nothing(shell: Shell, times: int) -> None:
    ports = [word for name, port in shell.ports.items() for word in _option(name, port)]
    process = subprocess.Popen(
        shell.command("up", *ports),
        env=shell.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        # Once in the middle of the start, once when all is up.
        if ("ready" in line and times == 1) or "Ctrl-C stops" in line:
            break
    assert shell.left() != [], output
    process.send_signal(signal.SIGINT)
    if times == 2:
        for line in process.stdout:
            if "stopping" in line:
                break
        process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert shell.left() == []
    assert ("killed" if times == 2 else "stopped: ") in output + rest
    assert process.returncode == (0 if times == 2 else 1)
