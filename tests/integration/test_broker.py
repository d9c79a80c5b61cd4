"""The embedded broker keeps what it acknowledged over an orderly stop and over kill -9."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lake_platform.embedded.broker import Broker
from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.kafka import MAX_MESSAGE_BYTES, answers

pytestmark = pytest.mark.stack
_TOPIC = "kept"


def _admin(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})


def _cluster_id(broker: Broker) -> str:
    admin = _admin(broker)  # a name of its own: futures fail when their client is collected
    return str(admin.describe_cluster().result(20).cluster_id)


def _create_topic(broker: Broker) -> None:
    admin = _admin(broker)
    admin.create_topics([NewTopic(_TOPIC, 1, 1)])[_TOPIC].result(20)


def _produce(broker: Broker, values: list[bytes]) -> None:
    # A client of its own for every call: one that lives through a restart fills stderr.
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "log_level": 0,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "enable.idempotence": True,  # else a first batch that is sent again comes last
        }
    )
    for value in values:
        producer.produce(_TOPIC, value)
    assert producer.flush(20) == 0


def _values(broker: Broker) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "reader", "log_level": 0}
    )
    partition = TopicPartition(_TOPIC, 0)
    first, end = consumer.get_watermark_offsets(partition, timeout=20)
    consumer.assign([TopicPartition(_TOPIC, 0, first)])
    messages = consumer.consume(end - first, timeout=20) if end else []
    consumer.close()
    return [message.value() or b"" for message in messages]


def test_restart_and_kill_keep_the_data(jars_dir: Path, java_home: Path, tmp_path: Path) -> None:
    jars = ensure_jars(jars_dir, ["kafka"])[0].directory
    with Broker(tmp_path / "kafka", jars=jars, java_home=java_home) as broker:
        cluster = _cluster_id(broker)
        _create_topic(broker)
        big = b"x" * (10 << 20)
        _produce(broker, [b"one", big])
        broker.restart()
        _produce(broker, [b"two"])
        broker.kill()
        assert not answers(broker.bootstrap)
        broker.start()
        assert _values(broker) == [b"one", big, b"two"]
        assert _cluster_id(broker) == cluster
        pid = broker.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not answers(broker.bootstrap)


def test_unknown_topics_are_not_created(broker: Broker) -> None:
    metadata = _admin(broker).list_topics("never-created", timeout=20)
    assert metadata.topics["never-created"].error is not None
    assert "never-created" not in _admin(broker).list_topics(timeout=20).topics
