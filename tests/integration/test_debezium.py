"""PostgreSQL, Debezium, Kafka and a Hudi table: what the source has, the table has."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.auditor import audit
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.audit.topic import KafkaTopic
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.ports import Kafka
from lake_platform.errors import InvalidFieldError
from lake_platform.metastore.service import UseCases
from lake_platform.sight.infer import look
from tests.audit_support import local_files
from tests.debezium_stack import Connector, Database, connect_jars, database, wait_for
from tests.integration.real_kafka import RealKafka
from tests.spark_support import spark, table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.embedded.broker import Broker

__all__ = ["spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.stack,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
_PLAIN = {"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with database(tmp_path_factory.mktemp("source")) as running:
        yield running


@pytest.fixture
def connector(
    source: Database, broker: Broker, jars_dir: Path, java_home: Path, tmp_path: Path
) -> Iterator[Connector]:
    jars = connect_jars(jars_dir, java_home)
    name = f"c{uuid.uuid4().hex[:8]}"
    made = Connector(jars, java_home, tmp_path, broker.bootstrap, source, name)
    yield made
    made.stop()


@pytest.fixture
def lab(broker: Broker, spark: SparkSession, tmp_path: Path) -> Iterator[Lab]:
    kafka = RealKafka(broker.bootstrap)
    made = Lab(tmp_path, kafka=cast("MemoryKafka", kafka))
    made.now_ms = time.time_ns() // 1_000_000
    made.store = open_store((tmp_path / "storage").as_uri())
    made.engine = spark_engines(lambda: spark, made.store)("hudi")
    made.read_rows = table_rows(spark, made.store)
    yield made
    made.close()


def rows(lab: Lab) -> list[dict[str, Any]]:
    found = lab.read_rows(lab.dataset())
    kept = [{n: v for n, v in row.items() if n[0] != "_"} for row in found]
    return sorted(kept, key=lambda row: row["id"])


def caught_up(lab: Lab, wanted: Callable[[], list[int]]) -> None:
    """Until all of the source is in the table: the connector takes its time."""

    def there() -> bool:
        lab.now_ms = time.time_ns() // 1_000_000
        lab.cycle()
        return [row["id"] for row in rows(lab)] == wanted()

    wait_for(there, lambda: f"the table has {rows(lab)}")


def sound(lab: Lab, broker: Broker) -> None:
    files = local_files(lab.home / "storage")
    reader = lambda format_: open_reader(format_, files)  # noqa: E731 - as the port has it
    report = audit(
        "t", Sources(lab.metastore, files, KafkaTopic(broker.bootstrap), reader), deep=True
    )
    assert report.verdict == "sound", report.findings


@pytest.mark.parametrize("inline", [True, False], ids=["schemas", "plain"])
def test_the_table_equals_the_source(
    connector: Connector, source: Database, lab: Lab, broker: Broker, inline: bool
) -> None:
    name = f"orders_{connector.name}"
    source.run(
        f"CREATE TABLE {name} (id bigint PRIMARY KEY, n text, price numeric(10,2), day date, "
        f"at timestamptz, seen timestamp)",
        f"INSERT INTO {name} SELECT i, 'n' || i, i * 1.1, date '2026-11-01' + i::int, "
        f"timestamptz '2026-11-01 10:00:00+02', timestamp '2026-11-01 10:00:00.123456' "
        f"FROM generate_series(1, 20) i",
    )
    connector.options = {"table.include.list": f"public.{name}", "tombstones.on.delete": "true"}
    converter = {} if inline else _PLAIN
    connector.start(converter)
    topic = f"{connector.name}.public.{name}"
    kafka = cast("Kafka", lab.kafka)
    cases = UseCases(lab.metastore, kafka, look)

    def snapshot_is_there() -> bool:
        try:
            return kafka.describe(topic).ranges[0].end >= 20
        except InvalidFieldError:
            return False  # no such topic yet

    wait_for(snapshot_is_there, connector.log.read_text)
    done = cases.register_dataset(Dataset(topic=topic, table="t", envelope="debezium"), "test")
    assert (done.record.dataset.mode, done.record.dataset.primary_key) == ("upsert", ("id",))

    def ids() -> list[int]:
        return [row["id"] for row in source.rows(f"SELECT id FROM {name} ORDER BY id")]

    caught_up(lab, ids)
    first = rows(lab)[0]
    if inline:
        said = source.rows(f"SELECT price::text, day::text FROM {name} WHERE id = 1")[0]
        assert (first["price"], str(first["day"])) == (Decimal(said["price"]), said["day"])
        assert first["seen"].isoformat() == "2026-11-01T10:00:00.123456"
        assert first["at"].isoformat() == "2026-11-01T08:00:00"
    source.run(
        f"UPDATE {name} SET n = 'changed', price = -0.01 WHERE id <= 5",
        f"UPDATE {name} SET id = id + 100 WHERE id BETWEEN 6 AND 8",
        f"DELETE FROM {name} WHERE id BETWEEN 9 AND 11",
        f"DELETE FROM {name} WHERE id = 12",
        f"INSERT INTO {name} (id, n) VALUES (12, 'again')",
    )
    caught_up(lab, ids)
    connector.stop()
    source.run(
        f"ALTER TABLE {name} ADD COLUMN note text",
        f"INSERT INTO {name} (id, n, note) VALUES (21, 'n', 'new column')",
        f"DELETE FROM {name} WHERE id = 20",
    )
    connector.start(converter)
    caught_up(lab, ids)
    source.run(f"UPDATE {name} SET note = 'last', n = n || '!' WHERE id IN (21, 12, 106)")
    wanted = source.rows(f"SELECT id, n, note FROM {name} ORDER BY id")
    notes = {row["id"]: (row["n"], row["note"]) for row in wanted}

    def same() -> bool:
        lab.now_ms = time.time_ns() // 1_000_000
        lab.cycle()
        return {r["id"]: (r["n"], r["note"]) for r in rows(lab)} == notes

    wait_for(same, lambda: f"the table has {rows(lab)}")
    assert lab.quarantined() == []
    if inline:
        prices = source.rows(f"SELECT id, price::text AS price FROM {name} ORDER BY id")
        assert [r["price"] for r in rows(lab)] == [
            None if p["price"] is None else Decimal(p["price"]) for p in prices
        ]
    sound(lab, broker)
