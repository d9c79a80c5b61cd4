"""`lake schema check` and POST /datasets/{table}/schema:check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lake_platform.metastore.repository import Repository
from tests.api.conftest import Stack, Start
from tests.api.test_cli import Lake, add, data, kafka, lake, store

__all__ = ["kafka", "lake", "store"]
PATH = "/datasets/orders/schema:check"
NDJSON = {"content-type": "application/x-ndjson"}


def test_a_sample_over_the_api(orders: Stack) -> None:
    sample = b'{"id":1,"extra":1.10}\n\n{"id":"x"}\n'
    reply = orders.client.post(PATH, content=sample, headers=NDJSON)
    assert reply.status_code == 200
    found = reply.json()
    assert (found["table"], found["records"], found["schema_version"]) == ("orders", 2, 1)
    [new] = [c for c in found["changes"] if c["path"] == "extra"]
    assert (new["verdict"], new["records"], new["line"]) == ("automatic", 1, 1)
    assert new["record"] == '{"id":1,"extra":1.10}'
    assert not orders.metastore.incidents("orders")
    assert len(orders.metastore.schema_versions("orders")) == 1
    assert not list(orders.store.list(""))


def test_a_schema_over_the_api(orders: Stack) -> None:
    found = orders.client.post(PATH, json={"id": "long", "new": "double"}).json()
    assert (found["verdict"], [c["path"] for c in found["changes"]]) == ("changes", ["new"])
    shown = orders.client.get("/datasets/orders/schema").json()
    assert orders.client.post(PATH, json=shown).json()["verdict"] == "fits"


@pytest.mark.parametrize(
    ("body", "kind", "status", "field"),
    [
        (b"", "application/x-ndjson", 422, "sample"),
        (b"{}", "text/plain", 422, "content-type"),
        (b"{}", "application/json", 422, "schema"),
        (b'{"a":"lon"}', "application/json", 422, "schema.a"),
        (b"x" * (1 << 21), "application/x-ndjson", 413, "body"),
    ],
)
def test_what_is_refused(orders: Stack, body: bytes, kind: str, status: int, field: str) -> None:
    reply = orders.client.post(PATH, content=body, headers={"content-type": kind})
    assert (reply.status_code, reply.json()["field"]) == (status, field)


def test_a_viewer_may_ask(start: Start) -> None:
    stack = start({"eve:viewer": "v" * 32})
    reply = stack.client.post(PATH, content=b"{}", headers=NDJSON)
    assert reply.status_code == 401
    headers = NDJSON | {"Authorization": f"Bearer {'v' * 32}"}
    reply = stack.client.post(PATH, content=b"{}", headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (404, "DatasetNotFoundError")


def test_the_shell(lake: Lake, store: Repository, tmp_path: Path) -> None:
    add(lake)
    store.update_progress("orders", applied_seq=1)  # as after a load
    sample = tmp_path / "s.ndjson"
    sample.write_text('{"id": 1}\n{"id": 2, "name": "x", "at": 1}\n')
    result = lake("schema", "check", "orders", "--sample", str(sample))
    assert result.exit_code == 0, result.output
    assert "orders: 2 records against schema version 1" in result.output
    assert "fits: a load of orders makes these changes by itself" in result.output
    sample.write_text('{"id": "x"}\n')
    result = lake("schema", "check", "orders", "--sample", str(sample), "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert (found["verdict"], found["changes"][0]["line"]) == ("blocked", 1)
    schema = tmp_path / "s.json"
    schema.write_text('{"id": "long"}')
    checked = data(lake("schema", "check", "orders", "--schema", str(schema), "--json"))
    assert checked["verdict"] == "fits"
    sample.write_text('{"key": "k", "value": {"id": 1}}\n')
    whole = ("schema", "check", "orders", "--sample", str(sample), "--records", "--json")
    assert data(lake(*whole))["verdict"] == "fits"


@pytest.mark.usefixtures("store")
def test_the_shell_wants_one_file(lake: Lake) -> None:
    result = lake("schema", "check", "orders")
    assert result.exit_code == 1
    assert "either --sample or --schema" in result.output
    result = lake("schema", "check", "orders", "--sample", "nowhere.ndjson")
    assert (result.exit_code, "there is no such file" in result.output) == (1, True)
