"""`lake schema add|drop|widen|rename|alias`, typed as docs and errors say."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.metastore.repository import Repository
from tests.api.test_cli import Lake, data, kafka, lake, store

__all__ = ["kafka", "lake", "store"]


@pytest.fixture(autouse=True)
def events(kafka: MemoryKafka, lake: Lake) -> None:
    kafka.create_topic("events")
    send(kafka, {"id": 1, "cust": "a"}, {"id": 2, "cust": "b"})
    made = lake("datasets", "add", "--topic", "events", "--table", "t", "--format", "parquet")
    assert made.exit_code == 0, made.output
    cycle(lake)


def send(kafka: MemoryKafka, *values: dict[str, object]) -> None:
    for value in values:
        kafka.produce("events", None, json.dumps(value).encode(), timestamp_ms=1_790_000_000_000)


def cycle(lake: Lake) -> None:
    for phase in ("dump", "load"):
        done = lake(phase, "t")
        assert done.exit_code == 0, done.output


def columns(lake: Lake) -> dict[str, str]:
    found = data(lake("schema", "show", "t", "--json"))["schema"]["columns"]
    return {c["path"]: c["type"] for c in found}


def test_added_widened_and_dropped(lake: Lake, kafka: MemoryKafka) -> None:
    assert "ADD COLUMN n int" in lake("schema", "add", "t", "n", "int").stdout
    send(kafka, {"id": 3, "n": 5})
    cycle(lake)
    widened = lake("schema", "widen", "t", "n", "long")
    assert "schema version 3, from the next batch on" in widened.stdout
    assert "column n: int became long (WIDEN)" in widened.stdout
    send(kafka, {"id": 4, "n": 1 << 40})
    cycle(lake)
    assert columns(lake)["n"] == "long"
    dropped = data(lake("schema", "drop", "t", "n", "--json"))
    assert dropped["schema"]["changes"] == ["DROP COLUMN n"]
    assert "DROP COLUMN n" in lake("schema", "history", "t").stdout


def test_the_rebuild_that_a_refused_widening_names(lake: Lake) -> None:
    refused = lake("schema", "widen", "t", "id", "double")
    assert refused.exit_code == 1
    found = re.search(r"lake (rebuild t --change .*)", refused.output)
    assert found, refused.output
    done = lake(*shlex.split(found[1]), "--yes")
    assert done.exit_code == 0, done.output
    assert columns(lake)["id"] == "double"


def test_renamed_for_all_rows(lake: Lake, kafka: MemoryKafka, store: Repository) -> None:
    done = lake("schema", "rename", "t", "cust", "customer", "--yes")
    assert done.exit_code == 0, done.output
    assert "t: swapped in" in done.output
    send(kafka, {"id": 3, "cust": "c"})
    cycle(lake)
    assert columns(lake)["customer"] == "string"
    assert "cust" not in columns(lake)
    assert store.progress("t").records == 3
    again = lake("schema", "rename", "t", "cust", "customer", "--yes")
    assert "no such column; columns are: id, customer" in again.output


def test_another_key_in_place_and_by_a_rebuild(lake: Lake, kafka: MemoryKafka) -> None:
    said = lake("schema", "alias", "t", "cust", "customer").stdout
    assert "t: cust: key customer means it from the next batch on\n" in said
    send(kafka, {"id": 3, "customer": "c", "cust2": "x"})
    cycle(lake)
    assert sorted(columns(lake)) == ["cust", "cust2", "id"]
    assert "means it already" in lake("schema", "alias", "t", "cust", "customer").stdout
    done = data(lake("schema", "alias", "t", "cust", "cust2", "--yes", "--json"))
    assert done["state"] == "swapped"
    assert sorted(columns(lake)) == ["_rescued", "cust", "id"]


def test_json_leaves_nobody_to_ask(lake: Lake, store: Repository) -> None:
    refused = lake("schema", "rename", "t", "cust", "customer", "--json")
    assert "give --yes besides" in refused.output
    assert store.rebuild("t") is None


def test_a_proposal_names_the_alias(lake: Lake, kafka: MemoryKafka) -> None:
    assert "no new column looks like" in lake("schema", "proposals", "t").stdout
    send(kafka, {"id": 3, "customer": "a"}, {"id": 4, "customer": "b"})
    cycle(lake)
    [found] = data(lake("schema", "proposals", "t", "--json"))["proposals"]
    assert (found["column"], found["key"], found["gone"]) == ("cust", "customer", 1.0)
    said = lake("schema", "proposals", "t").stdout
    command = re.search(r"if customer is cust: lake (schema alias .*)", said)
    assert command, said
    assert lake(*shlex.split(command[1]), "--yes").exit_code == 0
    assert sorted(columns(lake)) == ["cust", "id"]
