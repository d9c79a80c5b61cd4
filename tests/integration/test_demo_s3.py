"""The demo's proof where its tables are no files of this machine: the audit counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from lake_platform import compose
from lake_platform.cli import demo as command
from lake_platform.domain.dataset import Dataset
from lake_platform.dump.dump import dump
from lake_platform.embedded import demo
from lake_platform.embedded.broker import Broker
from lake_platform.load.load import load
from lake_platform.settings import load_settings
from tests.contract.seaweed import s3_url
from tests.integration.s3_copy import Server

__all__ = ["s3_url"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


def test_the_audit_counts_what_was_sent(
    broker: Broker, make_topic: Callable[..., str], s3_url: Server, tmp_path: Path
) -> None:
    url, options = s3_url
    settings = load_settings(tmp_path).model_copy(update={
        "kafka_bootstrap": broker.bootstrap, "storage_url": f"{url}/demo",
        "storage_options": options,
    })  # fmt: skip
    assert not demo.on_disk(settings)
    topic = make_topic(2)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(30):
        producer.produce(topic, json.dumps({"id": number}).encode())
    producer.produce(topic, b"{")
    assert producer.flush(30) == 0
    ports = compose.build_ports(settings)
    ports.metastore.register(  # type: ignore[attr-defined]
        Dataset(topic=topic, table=topic, format="parquet"), None, "test"
    )
    list(dump(topic, ports, compose.build_limits(settings)))
    list(load(topic, ports, compose.build_limits(settings)))
    found = command.audited(settings, topic, 31)
    assert found.sound
    assert (found.sent, found.rows, found.quarantined) == (31, 30, 1)
    assert command.audited(settings, topic, 33).lost == 2  # Kafka never had them
    [file] = [o.key for o in ports.store.list(f"lake/{topic}/") if o.key.endswith(".parquet")]
    ports.store.delete([file])
    assert not command.audited(settings, topic, 31).sound


@pytest.mark.parametrize("name", ["storage", "a b"])
def test_files_of_this_machine_are_held_against_what_was_sent(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    url = "" if name == "storage" else place.as_uri()
    settings = load_settings(tmp_path).model_copy(update={"storage_url": url})
    assert demo.on_disk(settings)
    assert demo.table_dir(settings, "t") == place / "lake" / "t"
