"""Bodies, tokens, bind rule, health, metrics, operations, OpenAPI."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lake_platform.api.security import check_bind
from lake_platform.domain.batches import AppliedBatch, BatchRange, WriteResult
from lake_platform.domain.bundle import Limits
from lake_platform.domain.diff import Change
from lake_platform.domain.layout import quarantine_key
from lake_platform.domain.offsets import OffsetRange
from lake_platform.domain.progress import NEVER
from lake_platform.domain.quality import Balance
from lake_platform.domain.schema import Struct
from lake_platform.dump.dump import dump
from lake_platform.errors import KafkaUnavailableError, SchemaBlockedError, SetupError
from lake_platform.load.load import load
from lake_platform.settings import Settings
from tests.api.conftest import NOW, Stack, Start

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "field"),
    [
        (b"{", JSON, 422, "body"),
        (b"", JSON, 422, "body"),
        (b"[]", JSON, 422, "body"),
        (b'{"topic": NaN}', JSON, 422, "body"),
        (b"\xff", JSON, 422, "body"),
        (b"[" * 100_000, JSON, 422, "body"),
        (b"{}", {"content-type": "text/plain"}, 422, "content-type"),
        (b'{"table":"' + b"x" * (1 << 20) + b'"}', JSON, 413, "body"),
    ],
)
def test_bad_body_is_refused(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, field: str | None
) -> None:
    reply = client.post("/datasets", content=content, headers=headers)
    assert (reply.status_code, reply.json()["field"]) == (status, field)
    assert client.get("/datasets").json()["datasets"] == []


def test_content_type_is_read_in_any_case(client: TestClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    reply = client.post("/datasets", content=b'{"topic":"orders","table":"t"}', headers=headers)
    assert reply.status_code == 201


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        (f"/incidents/{1 << 64}", 404, "incident"),
        ("/incidents/0", 404, "incident"),
        ("/incidents/x", 422, "incident_id"),
        ("/incidents?status=open", 422, "status"),
        ("/incidents?table=nope", 404, "table"),
        ("/audit?table=nope", 404, "table"),
        (f"/audit?before_id={1 << 64}", 422, "before_id"),
        ("/gaps?table=nope", 404, "table"),
        ("/gaps", 422, "table"),
    ],
)
def test_bad_question_names_the_field(
    client: TestClient, path: str, status: int, field: str
) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()["field"]) == (status, field)
    assert reply.json()["remedy"]


def test_every_error_has_the_same_form(client: TestClient) -> None:
    for reply in (
        client.get("/nowhere"),
        client.put("/datasets"),
        client.get("/audit", params={"limit": 0}),
        client.get("/datasets/nope"),
    ):
        assert reply.status_code >= 400
        assert set(reply.json()) == {"error", "field", "value", "reason", "remedy", "message"}
    assert client.get("/audit", params={"limit": "x"}).json()["field"] == "limit"


def test_unreachable_kafka_is_503_and_registers_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_topic: str) -> None:
        raise KafkaUnavailableError("Kafka at x did not answer")

    monkeypatch.setattr(stack.kafka, "describe", away)
    reply = stack.client.post("/datasets", json={"topic": "orders", "table": "t"})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert stack.client.get("/datasets").json()["datasets"] == []
    health = stack.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["parts"]["kafka"]["message"] == "Kafka at x did not answer"


def test_unforeseen_error_tells_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_table: str) -> None:
        raise ZeroDivisionError("canary-secret")

    monkeypatch.setattr(stack.metastore, "get", fail)
    reply = stack.client.get("/datasets/orders")
    assert (reply.status_code, reply.json()["error"]) == (500, "InternalError")
    assert "canary" not in reply.text


def test_health_has_its_parts(client: TestClient) -> None:
    reply = client.get("/health")
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")
    assert {name: p["ok"] for name, p in reply.json()["parts"].items()} == {
        "metastore": True,
        "kafka": True,
        "storage": True,
    }


def test_roles(start: Start) -> None:
    client = start(
        {"vera:viewer": "canary-v", "ed:editor": "canary-e", "ann:admin": "canary-a"}
    ).client

    def ask(method: str, path: str, token: str | None, body: object = None) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        reply = client.request(method, path, headers=headers, json=body)
        assert "canary" not in reply.text
        return int(reply.status_code)

    body = {"topic": "orders", "table": "t"}
    assert ask("GET", "/datasets", None) == 401
    assert ask("GET", "/metrics", None) == 401
    assert ask("GET", "/datasets", "canary-x") == 401
    assert ask("GET", "/datasets", "canary-v") == 200
    assert ask("POST", "/datasets", "canary-v", body) == 403
    assert ask("POST", "/datasets", "canary-e", body) == 201
    assert ask("DELETE", "/datasets/t", "canary-e") == 403
    assert ask("DELETE", "/datasets/t", "canary-a") == 200
    entries = client.get("/audit", headers={"authorization": "bearer canary-v"}).json()["entries"]
    assert [e["actor"] for e in entries] == ["ann", "ed"]
    assert client.get("/health").json()["parts"] == {
        "metastore": {"ok": True}, "kafka": {"ok": True}, "storage": {"ok": True},
    }  # fmt: skip


@pytest.mark.parametrize("entry", ["nobody", "x:root", ":admin"])
def test_token_entry_that_cannot_be_is_named(start: Start, entry: str) -> None:
    with pytest.raises(SetupError) as caught:
        start({entry: "canary"})
    assert entry in str(caught.value)
    assert "canary" not in str(caught.value)


def test_wider_bind_needs_tokens() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        check_bind(Settings.model_validate({"api_host": host}))
    for host in ("0.0.0.0", "192.168.1.2", "::", "lake.example"):  # noqa: S104
        with pytest.raises(SetupError, match="LAKE_API_TOKENS"):
            check_bind(Settings.model_validate({"api_host": host}))
    wide = {"api_host": "0.0.0.0", "api_tokens": {"a:admin": "t"}}  # noqa: S104
    check_bind(Settings.model_validate(wide))


def test_open_api_refuses_other_hosts_and_web_pages(client: TestClient) -> None:
    assert client.get("/datasets", headers={"host": "evil.example"}).status_code == 403
    body = {"topic": "orders", "table": "t"}
    origin = {"origin": "http://evil.example"}
    assert client.post("/datasets", json=body, headers=origin).status_code == 403
    same = {"origin": "http://127.0.0.1:18600"}
    assert client.post("/datasets", json=body, headers=same).status_code == 201


def test_metrics_from_durable_state_after_a_restart(start: Start) -> None:
    first = start()
    first.client.post("/datasets", json={"topic": "orders", "table": "orders"})
    first.metastore.update_progress(
        "orders", head_seq=2, records_ingested=12, backlog=7, complete_through=NOW + 30_000,
        looked_at=NOW + 60_000, loss_at=NOW + 90_000,
    )  # fmt: skip
    balance = Balance(records=12, written=9, quarantined=3)
    applied = AppliedBatch(BatchRange(1, 2), 2, 1, "i", 1, balance=balance)
    first.metastore.record_batch("orders", WriteResult(applied, Struct(), 1, 1), {})
    first.metastore.block("orders", [Change("id", "type", "breaking")], "b", [])
    first.client.post("/datasets", json={"topic": "orders", "table": "safe"})
    first.metastore.update_progress("safe", looked_at=NOW, loss_at=NEVER)
    first.client.post("/datasets", json={"topic": "orders", "table": "unseen"})
    lines = start().client.get("/metrics").text.splitlines()
    assert not any(x.startswith('time_to_data_loss_seconds{dataset="unseen"') for x in lines)
    for sample in (
        'records_ingested{dataset="orders"} 12.0',
        'records_ingested_total{dataset="orders"} 12.0',
        'records{dataset="orders"} 9.0',
        'lag_seconds{dataset="orders"} 30.0',
        'breaking_schema_change{dataset="orders"} 1.0',
        'backlog_records{dataset="orders"} 7.0',
        'quarantined_records{dataset="orders"} 3.0',
        'time_to_data_loss_seconds{dataset="orders"} 30.0',
        'time_to_data_loss_seconds{dataset="safe"} +Inf',
        "broken_definitions 0.0",
    ):
        assert sample in lines


def test_incidents_are_listed_and_shown(orders: Stack) -> None:
    change = Change("id", "type", "breaking", "long", "string")
    number = orders.metastore.block("orders", [change], "b", [{"id": "x"}])
    [listed] = orders.client.get("/incidents", params={"status": "OPEN"}).json()["incidents"]
    assert listed["id"] == number
    shown = orders.client.get(f"/incidents/{number}").json()
    assert shown["changes"][0]["after"] == "string"
    assert orders.client.get("/incidents/99").status_code == 404
    assert orders.client.get("/datasets/orders").json()["status"] == "BLOCKED"


def _blocked(orders: Stack) -> int:
    """`orders` with a batch that does not fit; the incident's number."""
    list(dump("orders", orders.ports, Limits()))
    list(load("orders", orders.ports, Limits()))
    value = {"id": 10, "name": {"first": "n"}, "day": "2026-11-24", "at": {"ms": 1}}
    orders.kafka.produce("orders", None, json.dumps(value).encode())
    list(dump("orders", orders.ports, Limits()))
    with pytest.raises(SchemaBlockedError) as found:
        list(load("orders", orders.ports, Limits()))
    return found.value.incident


def test_an_incident_says_what_can_be_done_and_what_waits(orders: Stack) -> None:
    shown = orders.client.get(f"/incidents/{_blocked(orders)}").json()
    fitting = ["rescue", "quarantine", "reject", "drop_column", "json", "new_table", "retry"]
    assert shown["possible"] == {"name": fitting}
    assert (shown["held"]["commits"], shown["held"]["records"]) == (1, 1)
    assert (shown["changes"][0]["records"], shown["changes"][0]["share"]) == (1, 1.0)


def test_an_incident_is_resolved_after_a_dry_run(orders: Stack) -> None:
    number = _blocked(orders)
    url = f"/incidents/{number}/resolve"
    would = orders.client.post(url, json={"resolution": "rescue", "dry_run": True}).json()["would"]
    assert (would["rows"], would["rescued"], would["stops"]) == (1, {"name": 1}, "")
    assert orders.client.get("/datasets/orders").json()["status"] == "BLOCKED"
    reply = orders.client.post(url, json={"resolution": "rescue", "always": True})
    assert (reply.status_code, reply.json()["resolution"]) == (200, "rescue (always)")
    assert orders.client.get("/datasets/orders").json()["status"] == "LIVE"
    [decision] = orders.client.get("/decisions/orders").json()["decisions"]
    assert (decision["path"], decision["action"], decision["last_seq"]) == ("name", "rescue", None)
    ended = orders.client.delete(f"/decisions/orders/{decision['id']}").json()
    assert ended["last_seq"] == 2
    assert orders.notified[-1] == "orders"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resolution": "shrug"}, "resolution"),
        ({"resolution": 5}, "resolution"),
        ({}, "resolution"),
        ({"resolution": "rescue", "columns": {"nope": "reject"}}, "column"),
        ({"columns": {"name": 5}}, "columns.name"),
        ({"resolution": "rescue", "forever": True}, "forever"),
    ],
)
def test_what_fits_no_change_is_refused(orders: Stack, body: dict[str, Any], field: str) -> None:
    number = _blocked(orders)
    reply = orders.client.post(f"/incidents/{number}/resolve", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert orders.client.get(f"/incidents/{number}").json()["status"] == "OPEN"


def test_gap_is_accepted_once_and_shown(orders: Stack) -> None:
    orders.missing[1] = OffsetRange(5, 9)
    reply = orders.client.post("/gaps", json={"table": "orders"})
    expected = {"partition": 1, "start": 5, "end": 9, "accepted_by": "local"}
    assert (reply.status_code, reply.json()["accepted"]) == (201, [expected])
    shown = orders.client.get("/gaps", params={"table": "orders"}).json()
    assert shown["accepted"] == [expected]
    assert orders.client.post("/gaps", json={"table": "nope"}).status_code == 404
    assert orders.client.post("/gaps", json={"table": "../x"}).status_code == 422
    assert orders.client.post("/gaps", json={}).json()["field"] == "table"


def test_quarantine_counts_reasons(orders: Stack) -> None:
    for batch, reasons in (("b1", ["not JSON", "empty"]), ("b2", ["not JSON"])):
        lines = [{"reason": r, "batch": batch, "schema_version": 1, "record": {}} for r in reasons]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        key = quarantine_key("orders", "2026-11-24-03:00", batch)
        orders.store.put(key, gzip.compress(text.encode()))
    found = orders.client.get("/quarantine/orders").json()
    assert found["by_reason"] == {"not JSON": 2, "empty": 1}
    assert found["complete"] is True
    assert len(found["objects"]) == 2
    partly = orders.client.get("/quarantine/orders", params={"limit": 1}).json()
    assert partly["complete"] is False
    assert orders.client.get("/quarantine").json() == {"quarantined": {"orders": 0}}


def test_openapi_describes_a_definition(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    schemas = found["components"]["schemas"]
    assert schemas["Dataset"]["additionalProperties"] is False
    assert set(schemas["Dataset"]["required"]) == {"topic", "table"}
    assert "Rule" in schemas
    body = found["paths"]["/datasets"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"]["$ref"].endswith("/Dataset")


@pytest.mark.parametrize(
    "name",
    [
        "sasl.jaas.config", "kafka_options", "spark_conf", "storage_options", "options",
        "ssl.engine.location", "plugin.library.paths", "bootstrap.servers", "bootstrap_servers",
        "sasl.login.callback.handler.class", "hoodie.write.lock.provider.class",
        "spark.driver.extraClassPath", "key.deserializer.class.name", "oauth_cb", "password",
        "ssl.keystore.location", "security.protocol", "consumer.interceptor.classes",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_options_of_connections_are_the_operators(orders: Stack, method: str, name: str) -> None:
    """And what came in them is told to nobody."""
    value = {"a": "canary-1"} if "options" in name else "canary-1"
    if method == "POST":
        body = {"topic": "orders", "table": "orders_2", name: value}
        reply = orders.client.post("/datasets", json=body)
    else:
        reply = orders.client.patch("/datasets/orders", json={"version": 1, name: value})
    assert reply.status_code == 422
    said = reply.json()
    assert (said["field"], said["value"]) == (name, "...")
    assert "the operator has LAKE_KAFKA_OPTIONS" in said["remedy"]
    assert "canary" not in reply.text
