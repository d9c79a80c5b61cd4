"""The audit's own consumer on a real broker: what Kafka has, never had, and no longer has."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from lake_platform.adapters.kafka.client import ConfluentKafka
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.audit.auditor import audit
from lake_platform.audit.report import AuditReport
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.audit.topic import KafkaTopic
from lake_platform.domain.offsets import OffsetRange
from lake_platform.errors import KafkaUnavailableError
from tests.audit_support import local_files, parquet_lab, without_spark
from tests.integration.real_kafka import RealKafka, wait_until
from tests.support import Lab

if TYPE_CHECKING:
    from lake_platform.embedded.broker import Broker

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
_DEADLINE_SECONDS = 30.0


@pytest.fixture
def lab(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    without_spark(monkeypatch)
    lab = parquet_lab(
        tmp_path / "lab", cast(MemoryKafka, RealKafka(broker.bootstrap)), f"t{uuid.uuid4().hex[:8]}"
    )
    lab.now_ms = time.time_ns() // 1_000_000
    yield lab
    lab.close()


@pytest.fixture
def table(lab: Lab) -> str:
    (table,) = lab.sent
    return table


@pytest.fixture
def run(lab: Lab, broker: Broker, table: str) -> Callable[[], AuditReport]:
    topic = KafkaTopic(broker.bootstrap)
    files = local_files(lab.home / "storage")
    sources = Sources(lab.metastore, files, topic, lambda f: open_reader(f, files))
    return lambda: audit(table, sources, deep=True)


def test_aborted_records_and_markers_are_no_records(
    lab: Lab, table: str, run: Callable[[], AuditReport], broker: Broker
) -> None:
    for n in range(20):
        lab.send({"id": n}, table=table, partition=n % 2)
    _abort_one(broker, f"topic.{table}")
    lab.cycle(table)
    report = run()
    assert (report.verdict, report.total.records, report.unprovable) == ("sound", 20, ())
    lab.send({"id": 20}, table=table)
    assert run().backlog == 1


def test_what_kafka_deleted_is_taken_from_raw_and_said(
    lab: Lab, table: str, run: Callable[[], AuditReport], broker: Broker
) -> None:
    for n in range(20):
        lab.send({"id": n}, table=table, partition=n % 2)
    lab.cycle(table)
    topic = f"topic.{table}"
    _delete_before(broker, topic, 0, 6)
    report = run()
    assert (report.verdict, report.total.records) == ("sound", 20)
    assert [(p.partition, p.start, p.end) for p in report.unprovable] == [(0, 0, 6)]
    _delete_topic(broker, topic)
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (report := run()).backlog is not None:  # the broker says so before all of it knows
        assert time.monotonic() < deadline
    assert report.verdict == "sound"
    assert "the topic is gone" in report.unprovable[0].why


def test_nothing_is_committed_and_ranges_are_exact(
    broker: Broker, make_topic: Callable[..., str]
) -> None:
    from confluent_kafka.admin import AdminClient

    topic = make_topic(2)
    kafka = RealKafka(broker.bootstrap)
    for n in range(6):
        kafka.produce(topic, None, b"{}", partition=n % 2)
    reader = KafkaTopic(broker.bootstrap)
    look = reader.look(topic)
    assert look.ranges == {0: OffsetRange(0, 3), 1: OffsetRange(0, 3)}
    assert not look.compacted
    wanted = {0: OffsetRange(1, 3), 1: OffsetRange(0, 2)}
    read = [(m.partition(), m.offset()) for some in reader.read(topic, wanted) for m in some]
    assert sorted(read) == [(0, 1), (0, 2), (1, 0), (1, 1)]
    groups = AdminClient({"bootstrap.servers": broker.bootstrap}).list_consumer_groups().result(20)
    assert "lake-platform-audit" not in {g.group_id for g in groups.valid}


def test_compacted_topics_are_known(broker: Broker, make_topic: Callable[..., str]) -> None:
    topic = make_topic(1, **{"cleanup.policy": "compact"})
    assert KafkaTopic(broker.bootstrap).look(topic).compacted


def test_a_broker_that_is_not_there_is_a_named_error() -> None:
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:1 did not answer the audit"):
        KafkaTopic("127.0.0.1:1").look("t")


def _abort_one(broker: Broker, topic: str) -> None:
    """A record of an aborted transaction, and its marker: offsets without a record."""
    from confluent_kafka import Producer

    first = ConfluentKafka(broker.bootstrap).describe(topic).ranges[0].end
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b'{"id":666}', partition=0)
    producer.flush(20)
    producer.abort_transaction(30)
    # The broker answers before the marker is in the log; until then nothing behind it is read.
    kafka = ConfluentKafka(broker.bootstrap)
    wait_until(lambda: kafka.describe(topic).ranges[0].end >= first + 2, "the marker of the abort")


def _delete_before(broker: Broker, topic: str, partition: int, offset: int) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        future.result(20)


def _delete_topic(broker: Broker, topic: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.delete_topics([topic])[topic].result(20)
