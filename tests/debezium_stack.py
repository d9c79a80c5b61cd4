"""A real source database and a real connector: PostgreSQL, and Debezium in Kafka Connect."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake_platform.embedded.ivy import Coordinate, Ivy, RepositoryUnreachableError
from lake_platform.embedded.ports import free_port

_KAFKA, _DEBEZIUM = "4.3.1", "3.6.1.Final"
_JARS = (
    f"org.apache.kafka:connect-runtime:{_KAFKA}",
    f"org.apache.kafka:connect-json:{_KAFKA}",
    f"io.debezium:debezium-connector-postgres:{_DEBEZIUM}",
    "org.slf4j:slf4j-simple:1.7.36",  # as the client's slf4j-api is
)
_DEADLINE_SECONDS = 120.0


def wait_for(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@dataclass(frozen=True)
class Database:
    port: int
    log: Path

    def run(self, *statements: str) -> None:
        """In one transaction each."""
        self._psql("-q", *(part for one in statements for part in ("-c", one)))

    def rows(self, query: str) -> list[dict[str, Any]]:
        sql = f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) r"
        found: list[dict[str, Any]] = json.loads(self._psql("-At", "-c", sql))
        return found

    def _psql(self, *arguments: str) -> str:
        command = [
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "lake", "-v", "ON_ERROR_STOP=1",
            *arguments, "postgres",
        ]  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def database(directory: Path) -> Iterator[Database]:
    """PostgreSQL with logical decoding. Skips the test where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or shutil.which("psql") is None:
        pytest.skip("no PostgreSQL is installed")
    programs, port, log = found[-1].parent, free_port(), directory / "postgres.log"
    home = directory / "postgres"
    home.mkdir()
    as_user: Mapping[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses root
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        for above in (*directory.parents, directory):
            if above.stat().st_uid == 0 and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
    data = home / "data"
    made = [str(programs / "initdb"), "-D", str(data), "-U", "lake", "--auth=trust"]
    subprocess.run(made, check=True, capture_output=True, cwd="/", **as_user)
    command = [
        str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(home),
        "-c", "listen_addresses=127.0.0.1", "-c", "wal_level=logical", "-c", "fsync=off",
    ]  # fmt: skip
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, cwd="/", **as_user)
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    try:
        wait_for(
            lambda: subprocess.run(ready, check=False).returncode == 0,
            lambda: f"PostgreSQL did not come up: {log.read_text()[-2000:]}",
        )
        yield Database(port, log)
    finally:
        server.terminate()
        server.wait(30)


def connect_jars(jars_dir: Path, java_home: Path) -> Path:
    """Fetched once, 40 MB. Skips the test where they cannot be fetched."""
    home = jars_dir / f"debezium-{_DEBEZIUM}"
    if not home.is_dir():
        fresh = jars_dir / f".debezium-{os.getpid()}"
        ivy = Ivy(java_home, fresh / "ivy", os.environ)
        wanted = [Coordinate.parse(text) for text in _JARS]
        try:
            ivy.retrieve(wanted, fresh / "jars", transitive=True)
        except RepositoryUnreachableError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            pytest.skip(f"no connector to test with: {error}")
        (fresh / "jars").rename(home)
        shutil.rmtree(fresh)
    return home


@dataclass
class Connector:
    """Debezium in a worker of its own; `stop` and `start` keep what it noted."""

    jars: Path
    java_home: Path
    directory: Path
    bootstrap: str
    database: Database
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    _worker: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "connect.log"

    def start(self, converter: Mapping[str, str]) -> None:
        port = free_port()
        worker = {
            "bootstrap.servers": self.bootstrap, "listeners": f"http://127.0.0.1:{port}",
            "offset.storage.file.filename": str(self.directory / "offsets"),
            "offset.flush.interval.ms": "1000", "plugin.discovery": "only_scan",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            **converter,
        }  # fmt: skip
        connector = {
            "name": self.name,
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1", "database.port": str(self.database.port),
            "database.user": "lake", "database.password": "none", "database.dbname": "postgres",
            "plugin.name": "pgoutput", "topic.prefix": self.name, "slot.name": self.name,
            "publication.name": self.name, "schema.include.list": "public",
            "publication.autocreate.mode": "filtered", "errors.max.retries": "0",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.partitions": "1", **self.options,
        }  # fmt: skip
        files = []
        for name, options in (("worker", worker), ("connector", connector)):
            files.append(self.directory / f"{name}.properties")
            files[-1].write_text("".join(f"{k}={v}\n" for k, v in options.items()))
        command = [
            str(self.java_home / "bin" / "java"), "-Xmx384m", "-cp", f"{self.jars}/*",
            "org.apache.kafka.connect.cli.ConnectStandalone", *map(str, files),
        ]  # fmt: skip
        with self.log.open("ab") as out:
            self._worker = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.directory)
        status = f"http://127.0.0.1:{port}/connectors/{self.name}/status"
        wait_for(lambda: self._runs(status), self._told)

    def _told(self) -> str:
        return f"no connector: {self.log.read_text()[-4000:]}"

    def _runs(self, url: str) -> bool:
        assert self._worker is not None
        assert self._worker.poll() is None, self.log.read_text()[-4000:]
        try:
            told = httpx.get(url, timeout=2)
        except httpx.HTTPError:
            return False
        if not told.is_success:
            return False
        states = [task["state"] for task in told.json()["tasks"]]
        assert "FAILED" not in states, told.text
        return bool(states) and set(states) == {"RUNNING"}

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait(60)
            self._worker = None
