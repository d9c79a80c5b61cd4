"""From a secured broker to a sound table, by the shell and with secrets by reference; what is
missing or wrong is told with the setting or the right, and never with a secret."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.adapters.kafka import client
from lake_platform.cli.main import app
from lake_platform.errors import KafkaRefusedError
from lake_platform.settings import load_settings
from tests.secured_kafka import CLIENT_SECRET, PASSWORD, Acl, Authority, Secured

pytestmark = pytest.mark.stack
_RECORDS = 20
_DEADLINE_SECONDS = 20.0
Options = dict[str, str]


@dataclass(frozen=True)
class World:
    """`lake(...)` with the options that were set last."""

    secured: Secured
    topic: str
    patch: pytest.MonkeyPatch

    @property
    def rights(self) -> list[Acl]:
        """All that docs/operations.md lists."""
        return [
            ("TOPIC", self.topic, "READ", False),
            ("TOPIC", self.topic, "DESCRIBE_CONFIGS", False),
            ("GROUP", "lake-", "READ", True),
        ]

    def come_as(self, bootstrap: str, options: Options) -> None:
        self.patch.setenv("LAKE_KAFKA_BOOTSTRAP", bootstrap)
        self.patch.setenv("LAKE_KAFKA_OPTIONS", json.dumps(options))

    def send(self) -> None:
        producer = Producer({"bootstrap.servers": self.secured.broker.bootstrap, "log_level": 0})
        for n in range(_RECORDS):
            producer.produce(self.topic, json.dumps({"id": n}).encode(), partition=n % 2)
        assert producer.flush(_DEADLINE_SECONDS) == 0

    def lake(self, *command: str) -> Result:
        result = CliRunner().invoke(app, list(command))
        for secret in (PASSWORD, CLIENT_SECRET):
            assert secret not in result.output
        return result

    def add(self, table: str) -> Result:
        return self.lake(
            "datasets", "add", "--topic", self.topic, "--table", table, "--format", "parquet"
        )


@pytest.fixture
def world(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    (tmp_path / "client-secret").write_text(f"{CLIENT_SECRET}\n")
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = secured.admin
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(_DEADLINE_SECONDS)
    found = World(secured, topic, monkeypatch)
    found.send()
    secured.grant(found.rights)
    found.come_as(secured.sasl, secured.scram | {"sasl.password": "env:KAFKA_PASSWORD"})
    return found


def _until(result: Callable[[], Result], code: int) -> Result:
    """Rights that are given or taken hold a moment later."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (found := result()).exit_code != code and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found.exit_code == code, found.output
    return found


def _scram(world: World, home: Path) -> tuple[str, Options]:  # noqa: ARG001 - one form for all
    return world.secured.sasl, world.secured.scram | {"sasl.password": "env:KAFKA_PASSWORD"}


def _oidc(world: World, home: Path) -> tuple[str, Options]:
    secret = {"sasl.oauthbearer.client.secret": f"file:{home / 'client-secret'}"}
    return world.secured.sasl, world.secured.oidc | secret


def _certificate(world: World, home: Path) -> tuple[str, Options]:  # noqa: ARG001
    """The key itself by reference, and not only where it lies."""
    given = world.secured.certificate
    key = given.pop("ssl.key.location")
    return world.secured.mutual, given | {"ssl.key.pem": f"file:{key}"}


@pytest.mark.parametrize("way", [_scram, _oidc, _certificate])
def test_registered_dumped_loaded_and_audited(
    world: World, tmp_path: Path, way: Callable[[World, Path], tuple[str, Options]]
) -> None:
    world.come_as(*way(world, tmp_path))
    _until(lambda: world.add("orders"), 0)
    for command in (["dump", "orders"], ["load", "orders"]):
        assert (found := world.lake(*command)).exit_code == 0, found.output
    audited = world.lake("audit", "orders", "--deep", "--json")
    report = json.loads(audited.stdout)
    assert (report["verdict"], report["total"]["records"]) == ("sound", _RECORDS)
    stored = "".join(p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file())
    assert PASSWORD not in stored


@pytest.mark.parametrize(
    ("missing", "command", "told"),
    [
        (0, ["dump", "orders"], "Read on the topic {topic}"),
        (2, ["dump", "orders"], "Read on the group lake-platform-reader"),
        (0, ["audit", "orders", "--deep"], "Read on the topic {topic}"),
        (1, ["audit", "orders", "--deep"], "DescribeConfigs on the topic {topic}"),
        (2, ["audit", "orders", "--deep"], "Read on the group lake-platform-audit"),
    ],
)
def test_a_right_that_is_missing_is_named(
    world: World, missing: int, command: list[str], told: str
) -> None:
    _until(lambda: world.add("orders"), 0)
    if command[0] == "audit":
        assert world.lake("dump", "orders").exit_code == 0
        assert world.lake("load", "orders").exit_code == 0
    rights = world.rights
    del rights[missing]
    world.secured.grant(rights)

    def again() -> Result:
        if command[0] == "dump":
            world.send()  # what was read before the right was gone is not read again
        return world.lake(*command)

    said = _until(again, 1).output
    assert "User:lake has not the right " + told.format(topic=world.topic) in said
    assert "kafka-acls --bootstrap-server" in said
    world.secured.grant(world.rights)
    _until(lambda: world.lake(*command), 0)


def test_without_any_right_nothing_is_registered(world: World) -> None:
    world.secured.grant([])
    said = _until(lambda: world.add("orders"), 1).output
    assert f"has not the right Read on the topic {world.topic}" in said
    assert json.loads(world.lake("datasets", "list", "--json").stdout)["datasets"] == []


def test_what_does_not_let_us_in_is_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes the time of a request that nobody answers."""
    monkeypatch.setattr(client, "_TIMEOUT_SECONDS", 2.0)
    secured = world.secured
    stranger = Authority(tmp_path / "stranger", "stranger")
    certificate, key = stranger.certificate("lake")
    scram, mutual = secured.scram, secured.certificate
    cases: list[tuple[str, Options, tuple[str, ...]]] = [
        (secured.sasl, scram | {"sasl.password": "canary-wrong"}, ("sasl.password",)),
        (secured.sasl, scram | {"ssl.ca.location": str(stranger.file)}, ("ssl.ca.location",)),
        (secured.sasl, scram | {"sasl.mechanism": "PLAIN"}, ("sasl.mechanism", "SCRAM-SHA-512")),
        (secured.sasl, {}, ("security.protocol",)),
        (
            secured.sasl,
            secured.oidc | {"sasl.oauthbearer.client.secret": "canary-wrong"},
            (".client.secret",),
        ),
        (
            secured.mutual,
            mutual | {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)},
            ("ssl.certificate.location",),
        ),
        (secured.broker.bootstrap, scram, ("security.protocol",)),
    ]
    for bootstrap, options, told in cases:
        world.come_as(bootstrap, options)
        result = world.add("orders")
        assert result.exit_code == 1
        for words in (*told, "LAKE_KAFKA_OPTIONS", bootstrap, "nothing was changed"):
            assert words in result.output
        assert "canary" not in result.output


def test_a_password_that_is_changed_holds_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret is read for each connection: rotation needs no restart."""
    monkeypatch.setattr(client, "_TIMEOUT_SECONDS", 2.0)
    given = tmp_path / "password"
    given.write_text("not-yet")
    world.come_as(world.secured.sasl, world.secured.scram | {"sasl.password": f"file:{given}"})
    kafka = compose.build_kafka(load_settings())
    with pytest.raises(KafkaRefusedError):
        kafka.describe(world.topic)
    given.write_text(PASSWORD)
    assert sum(map(len, kafka.describe(world.topic).ranges.values())) == _RECORDS
