"""Rebuilds over HTTP: a request checks and starts the Dagster job, another one looks."""

from __future__ import annotations

import pytest

from lake_platform.domain.bundle import Limits
from lake_platform.dump.dump import dump
from lake_platform.load.load import load
from lake_platform.rebuild.rebuild import Rebuilder
from tests.api.conftest import Stack, Start

CHANGES = {"partition_by": ["day"]}


@pytest.fixture
def orders(start: Start) -> Stack:
    stack = start()
    body = {"topic": "orders", "table": "orders", "format": "parquet"}
    assert stack.client.post("/datasets", json=body).status_code == 201
    list(dump("orders", stack.ports, Limits()))
    list(load("orders", stack.ports, Limits()))
    return stack


def test_it_begins_at_once_and_tells_how_far_it_is(orders: Stack) -> None:
    assert orders.client.get("/datasets/orders/rebuilds").json()["rebuild"] is None
    asked = orders.client.post("/datasets/orders/rebuilds", json={"changes": CHANGES, "swap": True})
    assert (asked.status_code, asked.json()["table"]) == (202, "orders")
    [(job, config)] = orders.launched
    assert job == "rebuild_table"
    given = config["ops"]["rebuild"]["config"]
    assert given | {"asked_by": ""} == {
        "table": "orders", "changes": CHANGES, "swap": True, "asked_by": "",
    }  # fmt: skip
    rebuilder = Rebuilder(orders.metastore, orders.ports, Limits())
    rebuilder.begin("orders", CHANGES, "ann")
    found = orders.client.get("/datasets/orders/rebuilds").json()["rebuild"]
    assert (found["waiting"], found["actor"]) == (1, "ann")
    assert found["changes"] == {"partition_by": {"before": [], "after": ["day"]}}
    list(rebuilder.build("orders"))
    found = orders.client.get("/datasets/orders/rebuilds").json()["rebuild"]
    assert (found["waiting"], found["rebuilt"]) == (0, found["live"])
    for act in ("swap", "abort"):
        assert orders.client.post(f"/datasets/orders/rebuilds/{act}").status_code == 202
        assert orders.launched[-1][1]["ops"]["rebuild"]["config"][act] is True


def test_what_cannot_be_is_said_and_starts_nothing(orders: Stack) -> None:
    post, path = orders.client.post, "/datasets/orders/rebuilds"
    for body, why in [
        ({}, "nothing of the definition"),
        ({"changes": {"topic": "x"}}, "register another dataset"),
        ({"changes": {"nonsense": 1}}, "unknown field"),
        ({"changes": []}, "an object of fields"),
        ({"swop": True}, "known fields are: changes, swap"),
    ]:
        refused = post(path, json=body)
        assert refused.status_code == 422, body
        assert why in refused.text
    for act in ("swap", "abort"):
        assert "is not being rebuilt" in post(f"{path}/{act}").text
    Rebuilder(orders.metastore, orders.ports, Limits()).begin("orders", CHANGES, "ann")
    refused = post(path, json={"changes": {"partition_by": ["name"]}})
    assert "is being rebuilt with another partition_by" in refused.text
    assert post("/datasets/none/rebuilds", json={"changes": CHANGES}).status_code == 404
    assert not orders.launched
