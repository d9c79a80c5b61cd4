"""What a schema registry says of a table, as the shell shows it."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.metastore.repository import Repository
from tests.api.test_cli import Lake, data, kafka, lake, store
from tests.unit.dump.test_registry import wire

__all__ = ["kafka", "lake", "store"]

_ID: dict[str, Any] = {"name": "id", "type": "long", "doc": "number of the order"}
_NOTE: dict[str, Any] = {"name": "note", "type": ["null", "string"], "doc": "what was said"}
_SUBJECT = "orders-value"


def _send(kafka: MemoryKafka, fields: list[Any], value: Any, **said: Any) -> None:
    schema = {"type": "record", "name": "Order", "fields": fields}
    number = kafka.registry.register(_SUBJECT, schema, **said)
    kafka.produce("orders", None, wire(number, schema, value), timestamp_ms=1_790_000_000_000)


@pytest.fixture(autouse=True)
def orders(kafka: MemoryKafka, lake: Lake) -> None:
    kafka.create_topic("orders")
    _send(kafka, [_ID], {"id": 1})
    made = lake(
        "datasets", "add", "--topic", "orders", "--table", "t", "--format", "parquet",
        "--value-format", "avro",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    _cycle(lake)


def _cycle(lake: Lake) -> str:
    assert lake("dump", "t").exit_code == 0
    return lake("load", "t").output


def _plain(text: str) -> str:
    """Of a table's cells, which fold."""
    return " ".join(text.replace("│", " ").split())


def test_columns_show_what_their_schema_says(lake: Lake, kafka: MemoryKafka) -> None:
    _send(kafka, [_ID, _NOTE], {"id": 2, "note": None}, level="BACKWARD", fits=True)
    _cycle(lake)
    shown = lake("schema", "show", "t").output
    assert "number of the order" in _plain(shown)
    lines = {m["column"]: m for m in data(lake("schema", "show", "t", "--json"))["mapping"]}
    assert lines["id"]["doc"] == "number of the order"
    assert lines["id"]["reason"] == "declared by schema 1, required"
    assert (lines["note"]["doc"], lines["note"]["reason"]) == (
        "what was said", "new in version 2, declared by schema 2",
    )  # fmt: skip
    said = (
        f"declared by schema 2, version 2 of {_SUBJECT}; in the registry BACKWARD, compatible with "
        f"the version before; automatic here"
    )
    assert said in _plain(lake("schema", "history", "t").output)
    versions = data(lake("schema", "history", "t", "--json"))["versions"]
    assert versions[-1]["changes"] == ["new column note string", said]


def test_an_incident_shows_both_verdicts(lake: Lake, kafka: MemoryKafka, store: Repository) -> None:
    _send(kafka, [{"name": "id", "type": "string"}], {"id": "a"}, level="FULL", fits=False)
    _cycle(lake)
    (incident,) = store.incidents("t", "OPEN")
    said = (
        f"declared by schema 2, version 2 of {_SUBJECT}; in the registry FULL, not compatible with "
        f"the version before; breaking here"
    )
    assert said in _plain(lake("incidents", "show", str(incident.id)).output)
    told = data(lake("incidents", "show", str(incident.id), "--json"))
    assert [c["registry"] for c in told["changes"]] == [said]
