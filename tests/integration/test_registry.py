"""A real broker, a real schema registry, and the serializers that producers use."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow.parquet as pq
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.adapters.registry.client import ConfluentRegistry
from lake_platform.audit.auditor import audit
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.audit.topic import KafkaTopic
from lake_platform.domain.own_columns import COORDINATES
from lake_platform.domain.quality import Reason
from lake_platform.domain.schema import columns
from lake_platform.errors import RegistryUnavailableError, SetupError
from tests.audit_support import local_files, parquet_lab
from tests.integration.real_kafka import RealKafka
from tests.protobuf_schemas import Proto, framed
from tests.registry_server import registry
from tests.support import Lab, infer_now

if TYPE_CHECKING:
    from lake_platform.embedded.broker import Broker

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
_LINE = {
    "type": "record", "name": "Line", "namespace": "shop",
    "fields": [{"name": "qty", "type": "int"}],
}  # fmt: skip
_FIRST: dict[str, Any] = {
    "type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal",
                                   "precision": 12, "scale": 2}},
        {"name": "lines", "type": {"type": "array", "items": "shop.Line"}},
    ],
}  # fmt: skip
_SECOND = _FIRST | {"fields": [*_FIRST["fields"], {
    "name": "at", "default": None,
    "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
}]}  # fmt: skip


@pytest.fixture(scope="module")
def url(jars_dir: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(jars_dir, java_home, tmp_path_factory.mktemp("registry") / "log") as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url}) as opened:
        yield opened


@pytest.fixture
def table() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def open_lab(broker: Broker, tmp_path: Path, table: str) -> Iterator[Callable[..., Lab]]:
    opened: list[Lab] = []

    def open_(registry_url: str, **definition: Any) -> Lab:
        kafka = RealKafka(broker.bootstrap)
        kafka.registry = ConfluentRegistry(registry_url, {})
        lab = parquet_lab(
            tmp_path / "lab", cast(MemoryKafka, kafka), table, source=None, **definition
        )
        lab.now_ms = time.time_ns() // 1_000_000
        opened.append(lab)
        return lab

    yield open_
    for lab in opened:
        lab.close()


def _put(lab: Lab, table: str, value: bytes | None, key: bytes | None = None) -> None:
    lab.kafka.produce(f"topic.{table}", key, value, timestamp_ms=lab.now_ms)


def _types(lab: Lab, table: str) -> dict[str, str]:
    active = lab.metastore.active_schema(table)
    assert active is not None
    found = ((path, str(kind)) for path, kind in columns(active.source))
    return {path: kind for path, kind in found if "struct" not in kind}


def test_avro_of_real_producers(
    open_lab: Callable[..., Lab],
    table: str,
    url: str,
    client: SchemaRegistryClient,
    broker: Broker,
) -> None:
    client.register_schema("shop.Line", Schema(json.dumps(_LINE), "AVRO"))
    client.set_compatibility(f"topic.{table}-value", "BACKWARD")
    refers = [SchemaReference("shop.Line", "shop.Line", 1)]
    where = SerializationContext(f"topic.{table}", MessageField.VALUE)
    first, second = (
        AvroSerializer(client, Schema(json.dumps(schema), "AVRO", refers))
        for schema in (_FIRST, _SECOND)
    )
    lab = open_lab(url, value_format="avro")
    value = {"id": 1, "price": Decimal("1.10"), "lines": [{"qty": 2}]}
    _put(lab, table, first(value, where))
    infer_now(lab, table)
    assert _types(lab, table) == {
        "id": "long", "price": "decimal(12,2)", "lines[].qty": "int",
    }  # fmt: skip
    lab.cycle(table)
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    _put(lab, table, second(value | {"id": 2, "at": at}, where))
    _put(lab, table, b"\0\0\0\0\0broken")
    (done,) = lab.cycle(table)
    assert [str(c) for c in done.changes] == ["new column at timestamp"]
    newest = lab.metastore.schema_versions(table)[-1]
    # Of schemas with references Apicurio does not say whether they are compatible.
    assert newest.changes[-1].endswith(
        f"version 2 of topic.{table}-value; in the registry BACKWARD; automatic here"
    )
    files = sorted((lab.home / "storage" / "lake" / table).glob("*.parquet"))
    rows = [r for f in files for r in pq.read_table(f).drop_columns(list(COORDINATES)).to_pylist()]
    assert rows == [value, value | {"id": 2, "at": at}]
    assert [q["reason"] for q in lab.quarantined(table)] == [Reason.NO_SCHEMA.value]
    files_of = local_files(lab.home / "storage")
    topic = KafkaTopic(broker.bootstrap)
    sources = Sources(lab.metastore, files_of, topic, lambda f: open_reader(f, files_of))
    assert audit(table, sources, deep=True).verdict == "sound"


_PROTO = """
syntax = "proto3";
package shop{n};
import "google/protobuf/timestamp.proto";
import "shop{n}/line.proto";
message First {{ int64 id = 1; }}
message Order {{
  int64 id = 1;
  repeated Line lines = 2;
  google.protobuf.Timestamp at = 3;
  optional string note = 4;
}}
"""
_PROTO_LINE = (
    'syntax = "proto3"; package shop{n}; message Line {{ string sku = 1; uint64 qty = 2; }}'
)


@pytest.mark.parametrize("text", [True, False])
def test_protobuf_of_real_producers(
    open_lab: Callable[..., Lab],
    table: str,
    url: str,
    client: SchemaRegistryClient,
    broker: Broker,
    text: bool,
) -> None:
    """`text`: .proto in the registry, as Java's serializer puts it there; Python's registers
    descriptors, and cannot read text where the registry does not turn it into them."""
    line, topic = _PROTO_LINE.format(n=table), f"topic.{table}"
    name = f"shop{table}/line.proto"
    proto = Proto(_PROTO.format(n=table), ((name, line),))
    number = 0
    if text:
        client.register_schema(name, Schema(line, "PROTOBUF"))
        refers = [SchemaReference(name, name, 1)]
        schema = Schema(proto.text, "PROTOBUF", refers)
        number = client.register_schema(f"{topic}-value", schema)
    made = proto.message(f"shop{table}.Order")
    write = ProtobufSerializer(made, client)
    where = SerializationContext(topic, MessageField.VALUE)
    lab = open_lab(url, value_format="protobuf")
    order = made(id=2**60 + 1, note="")
    order.lines.add(sku="s", qty=2**64 - 1)
    order.at.FromJsonString("2026-11-01T10:00:00Z")
    _put(lab, table, framed(number, order, b"\2\2") if text else write(order, where))
    _put(lab, table, b"\0\0\0\0\0broken")
    infer_now(lab, table)
    assert _types(lab, table) == {
        "id": "long", "lines[].sku": "string", "lines[].qty": "decimal(20,0)", "at": "timestamp",
        "note": "string",
    }  # fmt: skip
    lab.cycle(table)
    (file,) = (lab.home / "storage" / "lake" / table).glob("*.parquet")
    (row,) = pq.read_table(file).drop_columns(list(COORDINATES)).to_pylist()
    assert row == {
        "id": 2**60 + 1, "lines": [{"sku": "s", "qty": Decimal(2**64 - 1)}], "note": "",
        "at": dt.datetime(2026, 11, 1, 10, tzinfo=dt.UTC),
    }  # fmt: skip
    assert [q["reason"] for q in lab.quarantined(table)] == [Reason.NO_SCHEMA.value]
    files_of = local_files(lab.home / "storage")
    sources = Sources(
        lab.metastore, files_of, KafkaTopic(broker.bootstrap), lambda f: open_reader(f, files_of)
    )
    assert audit(table, sources, deep=True).verdict == "sound"


def test_both_verdicts_of_a_change_are_shown(
    open_lab: Callable[..., Lab], table: str, url: str, client: SchemaRegistryClient
) -> None:
    subject, numbers = f"topic.{table}-value", []
    more: dict[str, Any] = {"name": "n", "type": "int"}  # without a default: old records have none
    for fields in (_LINE["fields"], [*_LINE["fields"], more]):
        schema = {"type": "record", "name": f"L{table}", "fields": fields}
        numbers.append(client.register_schema(subject, Schema(json.dumps(schema), "AVRO")))
    client.set_compatibility(subject, "BACKWARD")
    lab = open_lab(url, value_format="avro")
    for number, data in zip(numbers, (b"\x02", b"\x02\x04"), strict=True):
        _put(lab, table, b"\0" + number.to_bytes(4, "big") + data)
        lab.cycle(table)
    assert lab.metastore.schema_versions(table)[-1].changes == (
        "new column n int",
        f"declared by schema {numbers[1]}, version 2 of {subject}; in the registry BACKWARD, not "
        f"compatible with the version before; automatic here",
    )


def test_an_empty_topic_has_the_columns_of_its_subject(
    open_lab: Callable[..., Lab], table: str, url: str, client: SchemaRegistryClient
) -> None:
    schema = {"properties": {"id": {"type": "integer"}, "on": {"type": "string", "format": "date"}}}
    number = client.register_schema(f"topic.{table}-value", Schema(json.dumps(schema), "JSON"))
    lab = open_lab(url, value_format="json_schema")
    infer_now(lab, table)
    assert _types(lab, table) == {"id": "long", "on": "date"}
    _put(lab, table, b"\0" + number.to_bytes(4, "big") + b'{"id":5,"on":"2026-11-01"}')
    lab.cycle(table)
    assert len(lab.quarantined(table)) == 0


def test_a_registry_that_is_away_loses_nothing(
    open_lab: Callable[..., Lab], table: str, url: str, client: SchemaRegistryClient
) -> None:
    where = SerializationContext(f"topic.{table}", MessageField.VALUE)
    schema = json.dumps(_LINE | {"name": f"L{uuid.uuid4().hex}"})
    lab = open_lab("http://127.0.0.1:9", value_format="avro")
    _put(lab, table, AvroSerializer(client, schema)({"qty": 3}, where))
    with pytest.raises(
        RegistryUnavailableError, match=r"at http://127.0.0.1:9 did not answer.*LAKE_"
    ):
        lab.dump(table)
    cast(Any, lab.kafka).registry = ConfluentRegistry(url, {})
    lab.cycle(table)
    assert _types(lab, table) == {"qty": "int"}


def test_options_that_cannot_be_name_their_setting() -> None:
    with pytest.raises(SetupError, match="LAKE_REGISTRY_OPTIONS"):
        ConfluentRegistry("http://127.0.0.1:9", {"no.such": "x"}).latest("s")
