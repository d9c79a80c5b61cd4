"""Columns added, dropped, widened and renamed while the stack runs, from a shell and over the API:
the batch behind has them, and Dagster shows them. Every process is real."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lake_platform.embedded.jars import ensure_jars
from lake_platform.embedded.ports import free_port
from tests.e2e.test_demo import LAKE

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.timeout(900)]
BIG = 1 << 40
_HINTS = {"a": {"type": "int"}, "b": {"type": "int"}}
_SHOWN = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  metadataEntries { __typename label
    ... on TableSchemaMetadataEntry { schema { columns { name type } } }
    ... on IntMetadataEntry { intValue } }
  assetMaterializations(limit: 1) { metadataEntries { label
    ... on IntMetadataEntry { intValue } } } } } }
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A stack of its own, as its user sees it. The table has one topic, and both one name."""

    environ: dict[str, str]
    home: Path

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.environ['LAKE_API_PORT']}"

    def lake(self, *arguments: str) -> str:
        done = subprocess.run(
            [*LAKE, *arguments], env=self.environ, capture_output=True, text=True, timeout=300,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, method: str, path: str, status: int = 200, **body: Any) -> Any:
        given = {"json": body} if body else {}
        answer = httpx.request(method, f"{self.api}{path}", timeout=60, **given)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        return answer.json()

    def new_topic(self, topic: str, first: dict[str, object]) -> None:
        servers = self.environ["LAKE_KAFKA_BOOTSTRAP"]
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
        self.send(topic, first)

    def send(self, topic: str, *records: dict[str, object]) -> None:
        producer = Producer(
            {"bootstrap.servers": self.environ["LAKE_KAFKA_BOOTSTRAP"], "log_level": 0}
        )
        for record in records:
            producer.produce(topic, json.dumps(record).encode())
        assert producer.flush(60) == 0

    def batch(self, table: str, *records: dict[str, object]) -> None:
        """What is sent now and dumped by a shell is loaded by the running Dagster."""
        self.send(table, *records)
        self.lake("dump", table)
        self.applied(table)

    def applied(self, table: str) -> None:
        def done() -> bool:
            found = self.ask("GET", f"/datasets/{table}/stats")
            assert found["status"] != "BLOCKED", found
            return bool(found["backlog"] == 0 and found["pending_commits"] == 0)

        eventually(done, f"the load of {table}")

    def rows(self, table: str, format_: str) -> dict[int, dict[str, Any]]:
        """By `id`, read by another engine than the one that wrote."""
        place = self.home / "storage" / "lake" / table
        if format_ == "hudi":
            from hudi import HudiTableBuilder

            held = HudiTableBuilder.from_base_uri(str(place)).build().read()
            found = [row for batch in held for row in batch.to_pylist()]
        else:
            files = ds.dataset(place, format="parquet").files
            schema = pa.unify_schemas([pq.read_schema(f) for f in files])
            found = ds.dataset(files, schema=schema).to_table().to_pylist()
        plain = [{n: v for n, v in row.items() if not n.startswith("_")} for row in found]
        assert len({row["id"] for row in plain}) == len(plain)
        return {row["id"]: row for row in plain}

    def shown(self, table: str) -> tuple[dict[str, str], set[int]]:
        """Columns of the asset in Dagster, and the schema versions it and its newest batch name."""
        body = {"query": _SHOWN, "variables": {"key": {"path": ["lake", table]}}}
        port = self.environ["LAKE_DAGSTER_PORT"]
        reply = httpx.post(f"http://127.0.0.1:{port}/graphql", json=body, timeout=60).json()
        node = reply["data"]["assetNodeOrError"]
        own = {e["label"]: e for e in node["metadataEntries"]}
        newest = {e["label"]: e for e in node["assetMaterializations"][0]["metadataEntries"]}
        columns = own["dagster/column_schema"]["schema"]["columns"]
        versions = {e["schema_version"]["intValue"] for e in (own, newest)}
        return {c["name"]: c["type"] for c in columns}, versions


def eventually(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    jars = Path(os.environ.get("LAKE_JARS_DIR", Path(__file__).parents[2] / ".lake" / "jars"))
    ensure_jars(jars.absolute(), ["kafka", "spark"])
    home = tmp_path_factory.mktemp("columns") / "home"
    environ = {n: v for n, v in os.environ.items() if not n.startswith("LAKE_")} | {
        "LAKE_HOME": str(home),
        "LAKE_JARS_DIR": str(jars.absolute()),
        "LAKE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        "LAKE_API_PORT": str(free_port()),
        "LAKE_DAGSTER_PORT": str(free_port()),
    }
    stack = Running(environ, home)
    try:
        stack.lake("up", "--detach")
        yield stack
    finally:
        stack.lake("down")


@pytest.mark.parametrize("format_", ["parquet", "hudi"])
def test_columns_change_while_the_stack_runs(running: Running, format_: str) -> None:
    table = f"t_{format_}"
    columns = f"/datasets/{table}/schema/columns"
    first = {"id": 1, "a": 1, "b": 1, "old": "x", "gone": "x", "also": "x"}
    running.new_topic(table, first)
    running.ask("POST", "/datasets", 201, topic=table, table=table, format=format_, columns=_HINTS)
    eventually(lambda: running.ask("GET", f"/datasets/{table}/stats")["records"] == 1, "row 1")

    said = running.lake("schema", "add", table, "c_shell", "string")
    assert "schema version 2, from the next batch on" in said
    running.lake("schema", "widen", table, "a", "long")
    running.lake("schema", "drop", table, "gone")
    running.batch(table, first | {"id": 2, "a": BIG, "c_shell": "new"})
    rows = running.rows(table, format_)
    assert (rows[2]["a"], rows[2]["c_shell"], rows[2]["gone"]) == (BIG, "new", None)
    assert (rows[1]["a"], rows[1]["c_shell"], rows[1]["gone"]) == (1, None, "x")

    added = running.ask("POST", columns, 201, name="c_api", type="double")
    assert added["schema"]["changes"] == ["ADD COLUMN c_api double"]
    running.ask("PATCH", f"{columns}/b", type="long")
    running.ask("DELETE", f"{columns}/also")
    running.batch(table, first | {"id": 3, "b": BIG, "c_api": 2.5})
    rows = running.rows(table, format_)
    assert (rows[3]["b"], rows[3]["c_api"], rows[3]["also"]) == (BIG, 2.5, None)
    assert (rows[2]["b"], rows[2]["c_api"], rows[2]["also"]) == (1, None, "x")
    eventually(lambda: running.shown(table)[1] == {7}, "Dagster shows version 7")
    shown = running.shown(table)[0]
    assert (shown["a"], shown["b"], shown["c_shell"], shown["c_api"]) == (
        "long", "long", "string", "double",
    )  # fmt: skip
    loaded = running.ask("GET", f"/datasets/{table}/schema")["schema"]["source_columns"]
    assert not {"gone", "also"} & {c["path"] for c in loaded}
    made = running.ask("GET", f"/datasets/{table}/schema/versions")["versions"]
    assert [v["changes"][0].split()[0] for v in made[1:]] == [
        "ADD", "column", "DROP", "ADD", "column", "DROP",
    ]  # fmt: skip


def test_columns_are_renamed_while_the_stack_runs(running: Running) -> None:
    table = "renamed"
    running.new_topic(table, {"id": 1, "cust": "x", "qty": 1})
    running.ask("POST", "/datasets", 201, topic=table, table=table, format="parquet")
    eventually(lambda: running.ask("GET", f"/datasets/{table}/stats")["records"] == 1, "row 1")
    running.lake("schema", "rename", table, "cust", "customer", "--yes")
    running.batch(table, {"id": 2, "cust": "y", "qty": 2})
    assert running.rows(table, "parquet") == {
        1: {"id": 1, "customer": "x", "qty": 1}, 2: {"id": 2, "customer": "y", "qty": 2},
    }  # fmt: skip
    begun = running.ask(
        "PATCH", f"/datasets/{table}/schema/columns/qty", 202, name="quantity", swap=True
    )
    assert begun["changes"] == {"columns.qty": {"name": "quantity"}}

    def swapped() -> bool:
        found = running.ask("GET", f"/datasets/{table}/schema")["schema"]
        return "quantity" in {c["path"] for c in found["columns"]}

    eventually(swapped, "the rebuild is swapped in", 240)
    running.batch(table, {"id": 3, "cust": "z", "qty": 3})
    assert running.rows(table, "parquet") == {
        n: {"id": n, "customer": who, "quantity": n} for n, who in enumerate("xyz", 1)
    }
    eventually(lambda: "quantity" in running.shown(table)[0], "Dagster shows the new name")
    assert "SOUND" in running.lake("audit", table, "--deep").upper()
