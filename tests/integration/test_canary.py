"""Canary secrets in every setting that may hold one: whatever is done with them, and whatever
fails, no output, log, reply, metric, event, run config or file of the home has them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from lake_platform.adapters.kafka import client as kafka
from lake_platform.adapters.spark.session import started
from lake_platform.api.app import create_app
from lake_platform.cli.main import app
from lake_platform.errors import EngineError
from tests.api.conftest import LOCAL
from tests.secured_kafka import CANARY, PASSWORD, Secured

pytestmark = pytest.mark.stack
_SECONDS = 20.0
_AT_MS = 1_709_598_600_000  # 2024-03-05 00:30 UTC
TOKEN = f"{CANARY}-token"
WRONG = f"{CANARY}-wrong"
_NOBODY = "http://127.0.0.1:1"


def _secrets() -> dict[str, dict[str, str] | str]:
    """By setting, as literals. Nothing answers where they would be used, but for Kafka."""
    return {
        "REGISTRY_URL": f"http://u:{CANARY}-url@127.0.0.1:1",
        "REGISTRY_OPTIONS": {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.token": f"{CANARY}-bearer",
            "bearer.auth.logical.cluster": "a", "bearer.auth.identity.pool.id": "b",
        },
        "API_TOKENS": {"ann:admin": TOKEN},
        "SPARK_CONF": {"spark.hadoop.fs.s3a.secret.key": f"{CANARY}-spark"},
        "ALERT_WEBHOOK_URL": f"{_NOBODY}/{CANARY}-hook",
        "ALERT_WEBHOOK_TOKEN": f"{CANARY}-hook-token",
        "ALERT_SLACK_URL": f"{_NOBODY}/{CANARY}-slack",
        "ALERT_SMTP_PASSWORD": f"{CANARY}-mail",
    }  # fmt: skip


@dataclass
class World:
    """Collects what is said."""

    secured: Secured
    home: Path
    elsewhere: Path
    topic: str
    patch: pytest.MonkeyPatch
    by_reference: bool
    said: list[str] = field(default_factory=list)

    def put(self, name: str, value: dict[str, str] | str) -> None:
        """The setting; with each secret in a file of its own, and a reference in its place."""
        if isinstance(value, dict):
            text = json.dumps({n: self._placed(v) for n, v in value.items()})
        else:
            text = value if "://" in value and "@" in value else self._placed(value)
        self.patch.setenv(f"LAKE_{name}", text)

    def _placed(self, value: str) -> str:
        if not self.by_reference or CANARY not in value:
            return value
        path = self.elsewhere / uuid.uuid4().hex
        path.write_text(value)
        return f"file:{path}"

    def come_with(self, password: str) -> None:
        self.put("KAFKA_OPTIONS", self.secured.scram | {"sasl.password": password})

    def lake(self, *command: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(command))
        self.said.append(f"{command}: {result.output}")
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.output

    def materialize(self, asset: str, *, code: int) -> str:
        """In a process as Dagster's runs are, with its instance in the home."""
        arguments = ["asset", "materialize", "--select", f'key:"{asset}"']
        arguments += ["--partition-range", "2024-03-05-00:00...2024-03-05-01:00"]
        dagster = Path(sys.executable).with_name("dagster")
        done = subprocess.run(
            [str(dagster), *arguments, "-m", "lake_platform.definitions"],
            env=os.environ | {"DAGSTER_HOME": str(self.home / "dagster")},
            capture_output=True, text=True, timeout=200, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask_api(self) -> None:
        bodies = {"topic": self.topic, "table": "by_api", "format": "parquet"}
        with TestClient(create_app(), base_url=LOCAL, raise_server_exceptions=False) as client:
            for headers in ({}, {"authorization": f"Bearer {TOKEN}"}, {"authorization": WRONG}):
                for method, path, body in (
                    ("GET", "/health", None), ("GET", "/metrics", None),
                    ("GET", "/datasets", None), ("GET", "/datasets/orders/stats", None),
                    ("GET", "/datasets/none", None), ("GET", "/audit", None),
                    ("POST", "/datasets", bodies),
                    ("POST", "/datasets", bodies | {"table": "avro", "value_format": "avro"}),
                    ("POST", "/datasets", bodies | {"kafka_options": {"sasl.password": WRONG}}),
                    ("POST", "/gaps", {"table": "orders"}),
                    ("POST", "/replays", {"table": "orders", "all": True}),
                    ("PATCH", "/datasets/orders", {"version": 1, "sasl.password": WRONG}),
                ):  # fmt: skip
                    reply = client.request(method, path, json=body, headers=headers)
                    self.said.append(f"{method} {path}: {reply.text} {reply.headers}")

    def check(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        printed = capfd.readouterr()
        for text in (*self.said, caplog.text, printed.out, printed.err):
            assert CANARY not in text
        for path in self.home.rglob("*"):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), path


@pytest.fixture(params=[False, True], ids=["literal", "by reference"])
def world(
    request: pytest.FixtureRequest,
    secured: Secured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "dagster").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.setattr(kafka, "_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setenv("LAKE_HOME", str(home))
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")
    monkeypatch.setenv("LAKE_KAFKA_BOOTSTRAP", secured.sasl)
    monkeypatch.setenv("LAKE_ALERT_EMAIL_TO", "a@example.org")
    monkeypatch.setenv("LAKE_ALERT_EMAIL_FROM", "b@example.org")
    monkeypatch.setenv("LAKE_ALERT_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("LAKE_ALERT_SMTP_PORT", "1")
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = secured.admin
    kept = {"retention.ms": "-1"}  # the records are old, so that their window is a fixed one
    admin.create_topics([NewTopic(topic, 1, 1, config=kept)])[topic].result(_SECONDS)
    secured.grant(
        [
            ("TOPIC", topic, "READ", False),
            ("TOPIC", topic, "DESCRIBE_CONFIGS", False),
            ("GROUP", "lake-", "READ", True),
        ]
    )
    producer = Producer({"bootstrap.servers": secured.broker.bootstrap, "log_level": 0})
    for n in range(5):
        producer.produce(topic, json.dumps({"id": n}).encode(), timestamp=_AT_MS)
    assert producer.flush(_SECONDS) == 0
    made = World(secured, home, elsewhere, topic, monkeypatch, bool(request.param))
    for name, value in _secrets().items():
        made.put(name, value)
    made.come_with(PASSWORD)
    yield made


def test_canaries_sing_nowhere(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    add = ["datasets", "add", "--topic", world.topic, "--format", "parquet"]
    world.lake(*add, "--table", "orders")
    for command in ("dump", "load", "audit"):
        world.lake(command, "orders", "--json")
    world.lake("datasets", "list")
    world.lake("datasets", "stats", "orders", "--json")
    world.lake("audit-log", "--json")
    world.lake("status", code=1)
    assert "RUN_SUCCESS" in world.materialize("raw/orders", code=0)
    world.ask_api()
    assert "does not let us in" not in "\n".join(world.said)

    # What fails: alerts, the registry, a wrong password, the storage, the metastore.
    world.lake("alerts", "test", code=1)
    world.lake(*add, "--table", "avro", "--value-format", "avro", code=1)
    world.come_with(WRONG)
    for words in (
        [*add, "--table", "more"], ["dump", "orders"], ["audit", "orders", "--deep"],
    ):  # fmt: skip
        assert "sasl.password" in world.lake(*words, code=1)
    assert "does not let us in" in world.materialize("raw/orders", code=1)
    world.ask_api()
    assert "sasl.password" in world.lake("datasets", "stats", "orders")  # the last error
    world.come_with(PASSWORD)
    storage = {
        "aws_access_key_id": f"{CANARY}-id", "aws_secret_access_key": f"{CANARY}-key",
        "endpoint": _NOBODY, "region": "eu-west-1",
    }  # fmt: skip
    world.put("STORAGE_OPTIONS", storage)
    world.patch.setenv("LAKE_STORAGE_URL", "s3://bucket/lake")
    world.lake("dump", "orders", code=1)
    world.lake("audit", "orders", code=1)
    world.put("METASTORE_URL", f"postgresql://u:{CANARY}-db@127.0.0.1:1/lake")
    world.lake("datasets", "list", code=1)
    world.check(caplog, capfd)


@pytest.mark.parametrize("text", [f"refused {CANARY}", f"sc://h:1/;token={CANARY};x=y"])
def test_the_token_of_a_spark_connect_server(text: str) -> None:
    def build() -> None:
        raise RuntimeError(text)

    remote = f"sc://h:1/;token={CANARY};user_id=ann"
    with pytest.raises(EngineError, match="Spark at sc://h:1 did not start") as caught:
        started(build, "local", remote, {})  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__
