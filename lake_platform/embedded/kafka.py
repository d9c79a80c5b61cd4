"""A single-node Kafka (KRaft) on 127.0.0.1: its files, its command line, when it is ready.

`lake up` supervises it; tests start it directly with `Broker` (broker.py).
"""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lake_platform.embedded.java import java_binary
from lake_platform.embedded.ports import HOST, is_listening
from lake_platform.errors import KafkaUnavailableError, SetupError

MAX_MESSAGE_BYTES = (10 << 20) + (64 << 10)  # a 10 MiB record, its key, headers and framing
_RETENTION_DAYS = 30
_FORMAT_TIMEOUT_SECONDS = 60.0

_LOG4J = """\
status = warn
shutdownHook = disable
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


@dataclass(frozen=True)
class KafkaNode:
    """One broker: where it keeps its files and on which ports it listens."""

    directory: Path
    jars: Path
    java_home: Path
    port: int
    controller_port: int
    heap: str = "512m"
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def properties_file(self) -> Path:
        return self.directory / "server.properties"

    def prepare(self) -> None:
        """Write the configuration; format the data directory the first time.

        The cluster id stays over restarts, and so do data, topics and offsets; ports may change.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.properties_file.write_text(
            "".join(f"{key}={value}\n" for key, value in self.properties().items())
        )
        (self.directory / "log4j2.properties").write_text(_LOG4J)
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def properties(self) -> dict[str, str]:
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://{HOST}:{self.controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            # A fixed voter list, not `--standalone`: it lets the controller port change.
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",  # 50 are for clusters; each costs start-up time
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # After a kill -9 the broker may register again only once its old session is over (9 s).
            "broker.heartbeat.interval.ms": "1000",
            "broker.session.timeout.ms": "5000",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.hours": str(_RETENTION_DAYS * 24),
            "message.max.bytes": str(MAX_MESSAGE_BYTES),
            "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        }
        return settings | dict(self.overrides)

    def command(self) -> list[str]:
        """The broker's command line; it runs in the foreground and stops on SIGTERM."""
        return [*self._java(), f"-Xmx{self.heap}", "kafka.Kafka", str(self.properties_file)]

    def _java(self) -> list[str]:
        return [
            java_binary(self.java_home),
            *("-cp", f"{self.jars}/*"),
            f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}",
            # Kafka's own start script sets it too: no window for a broker without a display.
            "-Djava.awt.headless=true",
        ]

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--config", str(self.properties_file)]
        done = subprocess.run(  # noqa: S603 - our own command line
            [*self._java(), "-Xmx128m", *tool, "--cluster-id", new_cluster_id()],
            capture_output=True,
            text=True,
            timeout=_FORMAT_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise SetupError(f"Kafka could not format {self.directory / 'data'}: {said[-600:]}")


def wait_ready(bootstrap: str, deadline: float) -> None:
    """Return once the broker answers a metadata request; `deadline` is in `time.monotonic()`.

    Raises:
        KafkaUnavailableError: it did not until the deadline.
    """
    started = time.monotonic()
    while time.monotonic() < deadline:
        if answers(bootstrap):
            return
        time.sleep(0.1)
    waited = time.monotonic() - started
    raise KafkaUnavailableError(f"Kafka at {bootstrap} did not answer within {waited:.0f} s")


def answers(bootstrap: str, *, timeout_seconds: float = 3.0) -> bool:
    """Whether a broker at this address serves metadata now."""
    host, _, port = bootstrap.partition(":")
    # librdkafka writes every refused connection to stderr: ask it only once somebody listens.
    if not is_listening(int(port), host=host):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=timeout_seconds).brokers)
    except KafkaException:
        return False


def new_cluster_id() -> str:
    while True:
        encoded = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not encoded.startswith("-"):  # the tool would read it as an option
            return encoded
