"""Register, read, change, pause, retire, schema."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from lake_platform.adapters.memory.engine import MemoryEngine
from lake_platform.adapters.process import LocalWorkers
from lake_platform.domain.bundle import Limits, Ports
from lake_platform.dump.dump import dump
from tests.api.conftest import NOW, Stack


def test_register_keeps_definition_and_schema_version_1(stack: Stack) -> None:
    body = {
        "topic": "orders",
        "table": "orders",
        "mode": "upsert",
        "primary_key": ["id"],
        "partition_by": ["day"],
        "tags": {"tier": "gold"},
        "rules": [{"column": "id", "not_null": True}],
    }
    reply = stack.client.post("/datasets", json=body)
    assert reply.status_code == 201
    found = reply.json()
    assert {name: found[name] for name in body} == body | {
        "rules": [
            {
                "column": "id",
                "not_null": True,
                "min": None,
                "max": None,
                "isin": [],
                "regex": "",
                "unique": False,
                "sql": "",
                "cast": False,
                "policy": "warn",
                "name": "",
            }
        ]
    }
    assert (found["version"], found["status"], found["registered_at"]) == (1, "REGISTERED", NOW)
    assert found["schema"]["version"] == 1
    assert {"path": "at.ms", "type": "long"} in found["schema"]["columns"]
    assert reply.headers["location"] == "/datasets/orders"
    assert stack.notified == ["orders"]
    shown = stack.client.get("/datasets/orders")
    assert shown.headers["etag"] == '"1"'
    assert shown.json()["tags"] == {"tier": "gold"}


def test_empty_topic_is_registered_without_schema(stack: Stack) -> None:
    reply = stack.client.post("/datasets", json={"topic": "empty", "table": "t"})
    assert reply.status_code == 201
    assert reply.json()["schema"] is None
    assert "no record yet" in reply.json()["warnings"][0]
    assert stack.client.get("/datasets/t/schema").json() == {
        "table": "t",
        "schema": None,
        "mapping": [],
        "summary": "",
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"max_lag_seconds": "5"}, "max_lag_seconds"),
        ({"max_lag_seconds": True}, "max_lag_seconds"),
        ({"max_lag_seconds": 0}, "max_lag_seconds"),
        ({"primary_key": "id"}, "primary_key"),
        ({"topic": None}, "topic"),
        ({"topic": "nope"}, "topic"),
        ({"mode": "merge"}, "mode"),
        ({"mode": "upsert"}, "primary_key"),
        ({"mode": "upsert", "primary_key": ["nope"]}, "primary_key"),
        ({"mode": "upsert", "primary_key": ["at"]}, "primary_key"),
        ({"mode": "upsert", "primary_key": ["id"], "format": "parquet"}, "format"),
        ({"ordering_field": "at"}, "ordering_field"),
        ({"partition_by": ["nope"]}, "partition_by"),
        ({"partition_by": ["_hoodie_x"]}, "partition_by"),
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "hourly"}, "schedule"),
        ({"transforms": [{"kind": "sql", "sql": "DROP TABLE x"}]}, "transforms.sql"),
        ({"transforms": [{"sql": "SELECT 1", "more": 1}]}, "transforms.0.more"),
        ({"rules": [{"not_null": True}]}, "rules.column"),
        ({"transforms": [{"sql": "SELECT * FROM other"}]}, "transforms.sql"),
        (
            {"transforms": [{"sql": "SELECT id FROM input"}], "partition_by": ["day"]},
            "partition_by",
        ),
        ({"mode": "upsert", "primary_key": ["id"], "delete_when": "1=1); DROP"}, "delete_when"),
        ({"table": "x" * 161}, "table"),
        ({"rules": [{"column": "id", "min": 5, "max": 1}]}, "rules.min"),
        ({"rules": [{"column": "id", "min": 1, "policy": "drop"}]}, "rules.0.policy"),
        ({"rules": [{"column": "nope", "min": 1}]}, "rules.column"),
        ({"rules": [{"column": "at.nope", "min": 1}]}, "rules.column"),
        ({"rules": [{"column": "name", "min": 1}]}, "rules.min"),
        ({"rules": [{"column": "at", "unique": True}]}, "rules.unique"),
        ({"rules": [{"column": "name", "regex": "(?<=a)b"}]}, "rules.regex"),
        ({"rules": [{"column": "id"}]}, "rules"),
        ({"rules": [{"column": "id", "min": 1}, {"column": "id", "min": 2}]}, "rules"),
        ({"rules": [{"sql": "id > 0"}]}, "rules.name"),
        ({"rules": [{"sql": "id > 0", "name": "a", "column": "id", "min": 1}]}, "rules.sql"),
        ({"rules": [{"sql": "id > (SELECT 1)", "name": "a"}]}, "rules.sql"),
        ({"rules": [{"sql": "id > 0", "name": "a"}], "format": "parquet"}, "rules.sql"),
        ({"tags": {"a": 1}}, "tags.a"),
        ({"domain": "../x"}, "domain"),
    ],
)
def test_bad_definition_names_the_field_and_leaves_nothing(
    stack: Stack, change: dict[str, object], field: str
) -> None:
    reply = stack.client.post("/datasets", json={"topic": "orders", "table": "t"} | change)
    assert reply.status_code == 422
    found = reply.json()
    assert found["field"] == field
    assert found["error"] == "InvalidFieldError"
    assert found["reason"]
    assert found["remedy"]
    assert stack.client.get("/datasets").json()["datasets"] == []
    assert stack.client.get("/audit").json()["entries"] == []
    assert stack.notified == []


@pytest.mark.parametrize("missing", ["topic", "table"])
def test_missing_field_is_named(client: TestClient, missing: str) -> None:
    body = {"topic": "orders", "table": "t"}
    del body[missing]
    reply = client.post("/datasets", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, missing)
    assert reply.json()["reason"] == "missing"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../etc",
        "..%2f",
        "a/b",
        "a\\b",
        "a\0b",
        "a\r\nb",
        "a b",
        "'; DROP TABLE datasets; --",
        "`x`",
        "x" * 300,
        "\u043erders",  # a Cyrillic o
    ],
)
@pytest.mark.parametrize("field", ["table", "topic"])
def test_names_that_play_tricks_are_refused(client: TestClient, name: str, field: str) -> None:
    body = {"topic": "orders", "table": "t"} | {field: name}
    reply = client.post("/datasets", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert client.get("/datasets").json()["datasets"] == []


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%00", "a%0d%0ab", "x" * 300, "%2e%2e", "a%20b"])
def test_names_in_the_path_are_refused(orders: Stack, name: str) -> None:
    for path in (f"/datasets/{name}", f"/datasets/{name}/stats", f"/quarantine/{name}"):
        assert orders.client.get(path).status_code in {404, 422}
    assert orders.client.delete(f"/datasets/{name}").status_code in {404, 405, 422}


def test_jar_that_no_folder_may_have_says_so(client: TestClient) -> None:
    step = {"kind": "jar", "jar": "x.jar", "functions": {"mask": "a.Mask"}}
    body = {"topic": "orders", "table": "t", "transforms": [step]}
    reply = client.post("/datasets", json=body)
    found = reply.json()
    assert (reply.status_code, found["field"]) == (422, "transforms.jar")
    assert "LAKE_TRANSFORM_JARS" in found["remedy"]
    bad = body | {"transforms": [{"kind": "jar", "name": "x"}]}
    reply = client.post("/datasets", json=bad)
    assert (reply.status_code, reply.json()["field"]) == (422, "transforms.jar")


@pytest.mark.parametrize("table", ["orders", "Orders"])
def test_taken_table_name_is_a_conflict(orders: Stack, table: str) -> None:
    reply = orders.client.post("/datasets", json={"topic": "orders", "table": table})
    found = reply.json()
    assert (reply.status_code, found["error"]) == (409, "NameTakenError")
    assert (found["field"], found["value"]) == ("table", table)
    assert "lake datasets set" in found["remedy"]
    assert len(orders.client.get("/datasets").json()["datasets"]) == 1


def test_of_two_registrations_at_once_one_wins(stack: Stack) -> None:
    body = {"topic": "orders", "table": "t"}
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: stack.client.post("/datasets", json=body), range(4)))
    assert sorted(r.status_code for r in replies) == [201, 409, 409, 409]


def test_of_two_changes_at_once_one_wins(orders: Stack) -> None:
    def change(number: int) -> int:
        body = {"version": 1, "owner": f"o{number}"}
        return int(orders.client.patch("/datasets/orders", json=body).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, range(4))) == [200, 409, 409, 409]
    assert orders.client.get("/datasets/orders").json()["version"] == 2


def test_change_by_if_match(orders: Stack) -> None:
    headers = {"If-Match": '"1"'}
    reply = orders.client.patch("/datasets/orders", json={"owner": "x"}, headers=headers)
    assert (reply.status_code, reply.headers["etag"]) == (200, '"2"')
    reply = orders.client.patch("/datasets/orders", json={"owner": "y"}, headers=headers)
    found = reply.json()
    assert (reply.status_code, found["error"]) == (409, "ConflictError")
    assert (found["field"], found["value"]) == ("version", 1)
    assert found["reason"] and found["remedy"]
    assert orders.notified == ["orders", "orders"]


@pytest.mark.parametrize(
    ("body", "headers", "field"),
    [
        ({"owner": "x"}, {}, "version"),
        ({"owner": "x", "version": "1"}, {}, "version"),
        ({"owner": "x", "version": True}, {}, "version"),
        ({"owner": "x", "version": 1}, {"If-Match": '"2"'}, "version"),
        ({"owner": "x"}, {"If-Match": "*"}, "If-Match"),
        ({"version": 1, "topic": "empty"}, {}, "topic"),
        ({"version": 1, "table": "other"}, {}, "table"),
        ({"version": 1, "primary_key": ["name"]}, {}, "primary_key"),
        ({"version": 1, "ordering_field": "nope"}, {}, "ordering_field"),
        ({"version": 1, "status": "LIVE"}, {}, "status"),
        ({"version": 1, "schedule": "* * * *"}, {}, "schedule"),
        ({"version": 1, "owner": 5}, {}, "owner"),
    ],
)
def test_bad_change_names_the_field_and_changes_nothing(
    orders: Stack, body: dict[str, object], headers: dict[str, str], field: str
) -> None:
    reply = orders.client.patch("/datasets/orders", json=body, headers=headers)
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert orders.client.get("/datasets/orders").json()["version"] == 1
    assert orders.notified == ["orders"]


def test_unknown_dataset_is_404_everywhere(client: TestClient) -> None:
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/stats"),
        ("GET", "/schema"), ("GET", "/schema/versions"), ("DELETE", "/schema/columns/x"),
    ):  # fmt: skip
        reply = client.request(method, f"/datasets/nope{path}")
        found = reply.json()
        assert (reply.status_code, found["error"]) == (404, "DatasetNotFoundError"), path
        assert (found["field"], found["value"]) == ("table", "nope"), path
        assert found["remedy"], path
    assert client.patch("/datasets/nope", json={"version": 1}).status_code == 404


def test_pause_resume_retire(orders: Stack) -> None:
    client = orders.client
    assert client.post("/datasets/orders/pause").json()["status"] == "PAUSED"
    assert client.post("/datasets/orders/resume").json()["status"] == "REGISTERED"
    assert client.delete("/datasets/orders").json()["status"] == "RETIRED"
    assert client.get("/datasets").json()["datasets"] == []
    listed = client.get("/datasets", params={"include_retired": True}).json()["datasets"]
    assert [d["table"] for d in listed] == ["orders"]
    assert client.post("/datasets/orders/resume").status_code == 422
    assert client.post("/datasets/orders/unretire").json()["status"] == "REGISTERED"
    assert orders.notified[-1] == "orders"
    again = client.post("/datasets/orders/unretire")
    assert (again.status_code, again.json()["field"]) == (422, "table")
    actions = [e["action"] for e in client.get("/audit").json()["entries"]]
    assert actions == ["status", "status", "status", "status", "register"]


def test_columns_are_added_and_dropped_as_schema_versions(orders: Stack) -> None:
    client = orders.client
    columns = "/datasets/orders/schema/columns"
    added = client.post(columns, json={"name": "a/b c", "type": "decimal(10,2)"})
    assert added.status_code == 201
    assert added.json()["schema"]["columns"][-1] == {"path": "a_b_c", "type": "decimal(10,2)"}
    again = client.post(columns, json={"name": "a/b c", "type": "decimal(10,2)"})
    assert (again.status_code, again.json()["field"]) == (422, "name")
    dropped = client.delete(f"{columns}/a_b_c")
    assert (dropped.status_code, dropped.json()["schema"]["version"]) == (200, 3)
    versions = client.get("/datasets/orders/schema/versions").json()["versions"]
    assert [(v["version"], v["status"]) for v in versions] == [
        (1, "SUPERSEDED"),
        (2, "SUPERSEDED"),
        (3, "ACTIVE"),
    ]
    assert versions[1]["changes"] == ["ADD COLUMN a_b_c decimal(10,2)"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "type"),
        ({"name": "x", "type": "varchar"}, "type"),
        ({"name": "x", "type": "decimal(a)"}, "type"),
        ({"name": "ID", "type": "long"}, "name"),
        ({"name": "_kafka_x", "type": "long"}, "name"),
        ({"name": "", "type": "long"}, "name"),
        ({"name": "x", "type": "long", "after": "id"}, "after"),
    ],
)
def test_bad_column_names_the_field(orders: Stack, body: dict[str, str], field: str) -> None:
    reply = orders.client.post("/datasets/orders/schema/columns", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, field)


def test_key_column_cannot_be_dropped(orders: Stack) -> None:
    reply = orders.client.delete("/datasets/orders/schema/columns/id")
    assert (reply.status_code, reply.json()["field"]) == (422, "name")


def test_stats_show_progress_and_lag(orders: Stack) -> None:
    orders.metastore.update_progress("orders", head_seq=5, applied_seq=3, records_ingested=70)
    found = orders.client.get("/datasets/orders/stats").json()
    assert (found["pending_commits"], found["records_ingested"]) == (2, 70)
    assert found["lag_seconds"] == 60.0
    orders.metastore.update_progress("orders", complete_through=NOW + 50_000)
    assert orders.client.get("/datasets/orders/stats").json()["lag_seconds"] == 10.0


BODY = {"topic": "orders", "table": "second", "mode": "upsert", "primary_key": ["id"]}


def test_a_topic_whose_beginning_is_gone_says_who_has_it(orders: Stack) -> None:
    ports = Ports(
        orders.kafka, orders.store, orders.metastore, lambda _: MemoryEngine(orders.store),
        lambda: NOW, LocalWorkers(),
    )  # fmt: skip
    list(dump("orders", ports, Limits()))
    orders.kafka.expire("orders", 0, 3)
    orders.kafka.produce("orders", None, b'{"id":77}', partition=0)
    [warning] = orders.client.post("/datasets", json=BODY).json()["warnings"]
    assert "offsets p0 [0, 3) aged out" in warning
    assert "raw of dataset orders has p0 [0, 3)" in warning
    assert "register one with raw_from: orders (lake datasets add --raw-from orders)," in warning
    body = {**BODY, "table": "whole", "raw_from": "orders"}
    whole = orders.client.post("/datasets", json=body).json()
    assert whole["warnings"] == []
    assert whole["raw_from"] == "orders"
    assert orders.client.get("/datasets/whole/stats").json()["pending_commits"] == 1
    refused = orders.client.delete("/datasets/orders")
    assert refused.status_code == 422
    assert "read by whole" in refused.text
    orders.client.delete("/datasets/whole")
    orders.kafka.expire("orders", 0, 6)
    orders.kafka.produce("orders", None, b'{"id":78}', partition=0)
    orders.client.delete("/datasets/orders")
    [warning] = orders.client.post("/datasets", json={**BODY, "table": "third"}).json()["warnings"]
    assert "p0 [0, 6) aged out" in warning
    assert "raw of dataset orders has p0 [0, 5)" in warning  # of retired ones too
    assert "after lake datasets unretire orders" in warning


def test_a_beginning_that_nobody_read_is_told_as_lost(orders: Stack) -> None:
    for partition in (0, 1):
        orders.kafka.expire("orders", partition, 2)
    [warning] = orders.client.post("/datasets", json=BODY).json()["warnings"]
    assert "offsets p0 [0, 2), p1 [0, 2) aged out" in warning
    assert "no dataset of this platform has them" in warning


def test_raw_of_a_topic_that_was_made_anew_is_of_no_use(orders: Stack) -> None:
    ports = Ports(
        orders.kafka, orders.store, orders.metastore, lambda _: MemoryEngine(orders.store),
        lambda: NOW, LocalWorkers(),
    )  # fmt: skip
    list(dump("orders", ports, Limits()))
    orders.kafka.create_topic("orders")
    for number in range(4):
        orders.kafka.produce("orders", None, b'{"id":%d}' % number)
    orders.kafka.expire("orders", 0, 2)
    [warning] = orders.client.post("/datasets", json=BODY).json()["warnings"]
    assert "no dataset of this platform has them" in warning


def test_first_records_that_are_no_json_are_told(stack: Stack) -> None:
    for number in range(3):
        stack.kafka.produce("empty", None, b'\x00\x00\x00\x00\x07{"id":%d}' % number)
    done = stack.client.post("/datasets", json={"topic": "empty", "table": "t"})
    assert done.status_code == 201
    [warning] = done.json()["warnings"]
    assert "3 of 3 records" in warning
    assert "Confluent's five-byte prefix" in warning


def test_stats_show_the_error_of_each_phase(orders: Stack) -> None:
    orders.metastore.update_progress("orders", dump_error="away", load_error="no such column")
    found = orders.client.get("/datasets/orders/stats").json()
    assert (found["dump_error"], found["load_error"]) == ("away", "no such column")
    assert found["concerns"] == [
        "the last dump failed: away", "the last load failed: no such column",
    ]  # fmt: skip
    metrics = orders.client.get("/metrics").text
    assert 'phase_failing{dataset="orders",error="",phase="dump"} 1.0' in metrics
    assert 'phase_failing{dataset="orders",error="",phase="load"} 1.0' in metrics


def test_resume_tries_again_what_kept_failing(orders: Stack) -> None:
    orders.metastore.block("orders", (), "b", (), "engine", "no such column")
    shown = orders.client.get("/incidents").json()["incidents"][0]
    assert (shown["kind"], shown["reason"]) == ("engine", "no such column")
    assert 'breaking_schema_change{dataset="orders"} 0.0' in orders.client.get("/metrics").text
    assert orders.client.post("/datasets/orders/resume").json()["status"] == "LIVE"


def test_metrics_tell_status_and_last_success(orders: Stack) -> None:
    orders.metastore.update_progress("orders", dumped_at=5_000, loaded_at=0)
    metrics = orders.client.get("/metrics").text
    assert 'dataset_status{dataset="orders",status="REGISTERED"} 1.0' in metrics
    assert 'dataset_status{dataset="orders",status="BLOCKED"} 0.0' in metrics
    assert 'last_success_timestamp_seconds{dataset="orders",phase="dump"} 5.0' in metrics
    assert 'last_success_timestamp_seconds{dataset="orders",phase="load"}' not in metrics


def test_a_topic_of_a_schema_registry_has_the_columns_that_were_declared(stack: Stack) -> None:
    schema = {"properties": {"id": {"type": "integer"}, "on": {"type": "string", "format": "date"}}}
    stack.kafka.registry.register("empty-value", schema, "json")
    body = {"topic": "empty", "table": "t", "value_format": "json_schema"}
    done = stack.client.post("/datasets", json=body)
    assert done.status_code == 201, done.text
    columns = done.json()["schema"]["columns"]
    assert [(c["path"], c["type"]) for c in columns] == [("id", "long"), ("on", "date")]
    unknown = stack.client.post("/datasets", json=body | {"table": "u", "value_format": "xml"})
    assert unknown.status_code == 422
    assert "value_format" in unknown.text
