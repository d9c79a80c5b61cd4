"""`/datasets/{table}/schema`: the way from records to columns, versions, differences, hints."""

from __future__ import annotations

import json

import pytest

from lake_platform.domain.schema import Field, Scalar, Struct
from tests.api.conftest import Stack


@pytest.fixture
def events(stack: Stack) -> Stack:
    stack.kafka.create_topic("events")
    for record in ({"id": 1, "@at": "x", "none": None}, {"id": 2, "ID": 3, "odd": {"a": 1}}):
        stack.kafka.produce("events", None, json.dumps(record).encode())
    reply = stack.client.post("/datasets", json={"topic": "events", "table": "t"})
    assert reply.status_code == 201
    return stack


def test_a_registration_answers_with_the_mapping(stack: Stack) -> None:
    stack.kafka.create_topic("events")
    stack.kafka.produce("events", None, b'{"@at":"x","none":null}')
    found = stack.client.post("/datasets", json={"topic": "events", "table": "t"}).json()
    assert found["summary"] == "1 renamed, 1 pending"
    assert [(m["source"], m["column"], m["rules"]) for m in found["mapping"]] == [
        ('"@at"', "at_at", ["renamed"]),
        ("none", "", ["pending"]),
    ]


def test_schema_has_the_mapping(events: Stack) -> None:
    found = events.client.get("/datasets/t/schema").json()
    assert (found["table"], found["schema"]["version"]) == ("t", 1)
    assert found["schema"]["actor"]
    lines = {m["source"]: m for m in found["mapping"]}
    assert lines['"@at"']["path"] == ["@at"]
    assert (lines["id"]["share"], lines["id"]["version"], lines["id"]["type"]) == (1.0, 1, "long")
    assert lines["none"]["rules"] == ["pending"]
    assert "1 pending" in found["summary"]


def test_an_older_version_is_as_it_was(events: Stack) -> None:
    added = {"name": "extra", "type": "date"}
    assert events.client.post("/datasets/t/schema/columns", json=added).status_code == 201
    for version, there in ((1, False), (2, True)):
        found = events.client.get("/datasets/t/schema", params={"version": version}).json()
        assert found["schema"]["version"] == version
        assert ("extra" in {m["source"] for m in found["mapping"]}) is there
    [extra] = [m for m in found["mapping"] if m["source"] == "extra"]
    assert extra["version"] == 2


def test_versions_say_who(events: Stack) -> None:
    events.metastore.add_schema_version("t", 1, Struct(), None, [], "bob")
    events.metastore.add_schema_version("t", 2, Struct(), None, [])
    versions = events.client.get("/datasets/t/schema/versions").json()["versions"]
    assert [v["actor"] for v in versions][1:] == ["bob", "platform"]


def test_diff_and_export(events: Stack) -> None:
    client = events.client
    assert client.post("/datasets/t/schema/columns", json={"name": "extra", "type": "date"})
    found = client.get("/datasets/t/schema/diff", params={"from": 1}).json()
    change = {"of": "record", "what": "added", "column": "extra", "before": "", "after": "date"}
    assert found == {"table": "t", "from": 1, "to": 2, "changes": [change]}
    back = client.get("/datasets/t/schema/diff", params={"from": 2, "to": 1}).json()
    assert [c["what"] for c in back["changes"]] == ["gone"]
    exported = client.get("/datasets/t/schema/export").json()
    assert (exported["table"], exported["version"]) == ("t", 2)
    assert exported["columns"]["extra"] == {"type": "date"}
    assert client.delete("/datasets/t/schema/columns/extra").status_code == 200
    assert client.get("/datasets/t/schema/export").json()["columns"]["extra"] == {"drop": True}


def test_diff_of_what_steps_make_is_told_apart(stack: Stack) -> None:
    step = {"sql": "SELECT id FROM input"}
    stack.client.post("/datasets", json={"topic": "orders", "table": "s", "transforms": [step]})
    active = stack.metastore.active_schema("s")
    assert active is not None
    table = Struct((Field("id", Scalar("long")),))
    stack.metastore.add_schema_version("s", 1, active.source, table, [])
    found = stack.client.get("/datasets/s/schema/diff", params={"from": 1}).json()
    assert [(c["of"], c["what"], c["column"]) for c in found["changes"]] == [
        ("table", "added", "id")
    ]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/datasets/nope/schema", 404, "table"),
        ("/datasets/t/schema?version=9", 404, "version"),
        ("/datasets/t/schema?version=0", 404, "version"),
        ("/datasets/t/schema?version=x", 422, "version"),
        ("/datasets/t/schema?version=99999999999999999999999", 404, "version"),
        ("/datasets/t/schema/diff", 422, "from"),
        ("/datasets/t/schema/diff?from=1&to=2", 404, "version"),
        ("/datasets/t/schema/diff?from=x", 422, "from"),
        ("/datasets/nope/schema/export", 404, "table"),
    ],
)
def test_bad_input_names_the_field(events: Stack, path: str, status: int, field: str) -> None:
    reply = events.client.get(path)
    assert (reply.status_code, reply.json()["field"]) == (status, field)


def test_a_table_without_schema_has_nothing_to_export(stack: Stack) -> None:
    stack.client.post("/datasets", json={"topic": "empty", "table": "e"})
    reply = stack.client.get("/datasets/e/schema/export")
    assert (reply.status_code, reply.json()["reason"]) == (
        422, "has no schema yet: its topic is empty",
    )  # fmt: skip


def test_columns_are_widened_and_get_other_keys(events: Stack) -> None:
    client, path = events.client, "/datasets/t/schema/columns"
    assert client.post(path, json={"name": "n", "type": "int"}).status_code == 201
    found = client.patch(f"{path}/n", json={"type": "long"}).json()
    assert found["schema"]["version"] == 3
    assert {"path": "n", "type": "long"} in found["schema"]["columns"]
    for _ in range(2):
        assert client.patch(f"{path}/odd.a", json={"alias": "b"}).status_code == 200
    assert client.get("/datasets/t").json()["columns"] == {"odd.a": {"aliases": ["b"]}}
    assert [e.action for e in events.metastore.audit_log("t")][:2] == ["update", "schema_version"]


@pytest.mark.parametrize(
    ("column", "body", "field", "said"),
    [
        ("at_at", {"type": "double"}, "type", "lake rebuild t --change "),
        ("at_at", {"name": "ident", "swap": "yes"}, "swap", "give true or false"),
        ("at_at", {"swap": True}, "body", "give one of type, name, alias"),
        ("zz", {"name": "ident"}, "column", "no such column"),
        ("id", {}, "body", "give one of type, name, alias"),
        ("id", {"type": "long", "name": "x"}, "body", "give one of type, name, alias"),
        ("id", {"type": 5}, "type", "missing or not text"),
        ("id", {"nullable": "yes"}, "nullable", "unknown field"),
    ],
)
def test_what_a_request_cannot_do_to_a_column(
    events: Stack, column: str, body: dict[str, object], field: str, said: str
) -> None:
    reply = events.client.patch(f"/datasets/t/schema/columns/{column}", json=body)
    assert reply.status_code == 422
    assert reply.json()["field"] == field, reply.json()
    assert said in reply.json()["message"]
    assert len(events.metastore.schema_versions("t")) == 1
    assert events.metastore.get("t").version == 1


@pytest.mark.parametrize(
    ("body", "hint"),
    [({"name": "ident"}, {"name": "ident"}), ({"alias": "odd"}, {"aliases": ["odd"]})],
)
def test_what_makes_the_table_anew_is_a_run_of_dagster(
    events: Stack, body: dict[str, object], hint: dict[str, object]
) -> None:
    path = "/datasets/t/schema/columns/at_at"
    reply = events.client.patch(path, json=body)
    assert (reply.status_code, reply.json()["run_id"]) == (202, "run-1")
    [(path_of, said)] = [c for c in reply.json()["changes"].items() if c[1]]
    assert {n: v for n, v in said.items() if n in hint} == hint
    assert events.client.patch(path, json=body | {"swap": True}).json()["swap"] is True
    [(job, config), (_, swapping)] = events.launched
    asked = config["ops"]["rebuild"]["config"]
    assert (job, asked["table"], "swap" in asked) == ("rebuild_table", "t", False)
    assert path_of in asked["changes"]
    assert swapping["ops"]["rebuild"]["config"]["swap"] is True
    assert len(events.metastore.schema_versions("t")) == 1


def test_proposals_of_a_table_without_news(events: Stack) -> None:
    assert events.client.get("/datasets/t/schema/proposals").json() == {
        "table": "t", "proposals": [],
    }  # fmt: skip
    assert events.client.get("/datasets/zz/schema/proposals").status_code == 404
