"""Change events in the registry's format: columns are those of the rows, as the schema has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lake_platform.domain.absent import AbsentFor
from lake_platform.domain.hints import Node
from lake_platform.domain.registry import Declared
from lake_platform.sight.declared import columns_of
from tests.unit.audit.test_upsert import make
from tests.unit.dump.test_registry import put, types, wire
from tests.unit.load.test_changes import NOW, TIMES, rows


def envelope(*more: dict[str, Any]) -> dict[str, Any]:
    value = {
        "type": "record",
        "name": "Value",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "n", "type": ["null", "string"]},
            *more,
        ],
    }
    source = {
        "type": "record",
        "name": "Source",
        "fields": [
            {"name": "connector", "type": "string"},
            {"name": "lsn", "type": ["null", "long"]},
            {"name": "ts_ms", "type": "long"},
        ],
    }
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": "shop.orders",
        "fields": [
            {"name": "before", "type": ["null", value], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {"name": "source", "type": source},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": None},
        ],
    }


def typed(name: str, kind: str, connect: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", {"type": kind, "connect.name": f"{TIMES}{connect}"}]}


def event(op: str, before: Any, after: Any, lsn: int) -> dict[str, Any]:
    source = {"connector": "postgresql", "lsn": lsn, "ts_ms": NOW}
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": NOW}


def test_rows_have_the_columns_of_their_schema(tmp_path: Path) -> None:
    lab = make(tmp_path / "lab", source=None, envelope="debezium", value_format="avro")
    first = envelope({**typed("day", "int", "Date"), "doc": "of delivery"})
    one = lab.kafka.registry.register("topic.t-value", first)
    put(lab, wire(one, first, event("c", None, {"id": 1, "n": "a", "day": None}, 1)))
    put(lab, wire(one, first, event("c", None, {"id": 2, "n": "b", "day": 1}, 2)))
    lab.cycle()
    said = {"_op": "string", "_source_time": "timestamp", "_source_position": "string"}
    assert types(lab) == {"id": "long", "n": "string", "day": "date", **said}
    assert [r["day"] for r in rows(lab)] == [None, "1970-01-02"]
    told = {m.column: (m.doc, m.reason) for _, m in lab.metastore.mapping("t")}
    assert told["id"] == ("", "declared by schema 1, required")
    assert told["day"] == ("of delivery", "declared by schema 1")
    second = envelope(typed("day", "int", "Date"), typed("at", "long", "MicroTimestamp"))
    two = lab.kafka.registry.register("topic.t-value", second)
    gone = {"id": 1, "n": None, "day": None, "at": None}
    put(lab, wire(two, second, event("d", gone, None, 3)))
    new = {"id": 3, "n": "c", "day": 0, "at": 1_500_001}
    put(lab, wire(two, second, event("u", {**new, "id": 2}, new, 4)))
    lab.cycle()
    assert types(lab) == {"id": "long", "n": "string", "day": "date", "at": "timestamp", **said}
    assert [(r["id"], r["n"]) for r in rows(lab)] == [(3, "c")]
    assert lab.quarantined() == []


def test_a_column_that_rows_may_have_is_not_gone(tmp_path: Path) -> None:
    policy = AbsentFor(batches=2, hours=1, records=1)
    lab = make(
        tmp_path / "lab", source=None, envelope="debezium", value_format="avro", absent_for=policy
    )
    both, less = envelope({"name": "x", "type": ["null", "long"]}), envelope()
    one, two = (lab.kafka.registry.register("topic.t-value", s) for s in (both, less))
    put(lab, wire(one, both, event("c", None, {"id": 1, "n": "a", "x": 5}, 1)))
    lab.cycle()
    for lsn in range(2, 5):
        lab.now_ms += 3_600_000
        put(lab, wire(one, both, event("c", None, {"id": lsn, "n": "a", "x": None}, lsn)))
        lab.cycle()
    assert "x" in types(lab)
    for lsn in range(5, 8):
        lab.now_ms += 3_600_000
        put(lab, wire(two, less, event("c", None, {"id": lsn, "n": "a"}, lsn)))
        lab.cycle()
    assert "x" not in types(lab)


def test_each_name_of_a_connector_is_a_type() -> None:

    wanted = {
        ("int", "Date"): "date",
        ("int", "Time"): "string",
        ("long", "MicroTime"): "string",
        ("long", "Timestamp"): "timestamp",
        ("long", "MicroTimestamp"): "timestamp",
        ("string", "ZonedTimestamp"): "timestamp",
        ("long", "NanoTimestamp"): "long",
    }
    named = [typed(f"x{n}", *key) for n, key in enumerate(wanted)]
    declared = Declared(1, "avro", json.dumps(envelope(*named)))
    found = columns_of([declared], Node(), 12, "debezium")
    kinds = [str(f.type) for f in found.fields if f.name.startswith("x")]
    assert kinds == list(wanted.values())
    assert columns_of([declared], Node(), 12).get("after") is not None
