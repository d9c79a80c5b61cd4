"""The same commands on the metastore itself and over a real API process: the same answers, the same
exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from lake_platform.cli.main import app
from lake_platform.embedded.broker import Broker
from lake_platform.embedded.ports import free_port

pytestmark = pytest.mark.stack
_SECONDS = 60.0
ADMIN, VIEWER = "token-of-ann", "token-of-eve"
_DEFINITION = """
from lake_platform.domain.dataset import Dataset

orders = Dataset(topic="{topic}", table="orders", format="parquet", owner="{owner}")
"""


@dataclass(frozen=True)
class Ways:
    """Two installations over one topic: one is asked directly, the other by its API."""

    here: Path
    there: Path
    url: str
    topic: str
    broker: Broker
    patch: pytest.MonkeyPatch

    def direct(self, *command: str, home: Path | None = None) -> Result:
        self.patch.delenv("LAKE_API_URL", raising=False)
        return CliRunner().invoke(app, [*command, "--home", str(home or self.here)])

    def over_api(self, *command: str, token: str = ADMIN, url: str = "") -> Result:
        self.patch.setenv("LAKE_API_URL", url or self.url)
        self.patch.setenv("LAKE_API_TOKEN", token)
        # A home of its own that is empty: nothing but the API is asked.
        return CliRunner().invoke(app, [*command, "--home", str(self.there.parent / "client")])

    def both(self, *command: str) -> list[Result]:
        return [self.direct(*command), self.direct(*command, home=self.there)]

    def send(self, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})
        for value in values:
            producer.produce(self.topic, value)
        assert producer.flush(_SECONDS) == 0

    def alike(self, *command: str, code: int = 0, plain: bool = True) -> str:
        """As text and as JSON, unless a second time would be another thing. Gives the text."""
        forms = [(*command, "--json"), command] if plain else [command]
        said = ""
        for form in forms:
            one, other = self.direct(*form), self.over_api(*form)
            assert (one.exit_code, other.exit_code) == (code, code), one.output + other.output
            said = _settled(one.output, self)
            assert said == _settled(other.output, self)
        return said


def _settled(text: str, ways: Ways) -> str:
    """Without what two installations cannot have in common: who, when, where, run times."""
    for place in (str(ways.here), str(ways.there), ways.url):
        text = text.replace(place, "<place>")
    text = re.sub(r"note: Dagster at .*\n", "", text)  # the API tells it by itself
    text = re.sub(r"sqlite:///\S+?metastore\.db", "<place>", text)
    text = re.sub(r"\b(ann|root|runner)\b", "<who>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\+00:00)?", "<when>", text)
    text = re.sub(r"\b1[6-9]\d{11}\b", "<ms>", text)
    text = re.sub(r'("lag_seconds": |"time_to_data_loss_seconds": )[\d.]+', r"\1<s>", text)
    text = re.sub(r"\d+(\.\d)? (s|h)\b", "<s>", text)
    text = re.sub(r"lag_seconds(\s+│\s+)[\d.]+\s+", r"lag_seconds\1", text)
    text = re.sub(r"(time_to_data_loss_seconds)(\s+│\s+)[\d.]+\s+", r"\1\2", text)
    return re.sub(r"[ ━─]{2,}", " ", text)


@pytest.fixture
def ways(
    broker: Broker, make_topic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ways]:
    monkeypatch.setenv("LAKE_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")
    monkeypatch.setenv("COLUMNS", "300")
    here, there = tmp_path / "here", tmp_path / "there"
    port = free_port()
    environ = os.environ | {
        "LAKE_HOME": str(there), "LAKE_API_PORT": str(port),
        "LAKE_API_TOKENS": json.dumps({"ann:admin": ADMIN, "eve:viewer": VIEWER}),
    }  # fmt: skip
    log = (tmp_path / "api.log").open("wb")
    api = subprocess.Popen(
        [sys.executable, "-m", "lake_platform.api"], env=environ, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, api, tmp_path / "api.log")
        topic = make_topic()
        yield Ways(here, there, url, topic, broker, monkeypatch)
    finally:
        api.terminate()
        api.wait(_SECONDS)
        log.close()


def _wait(url: str, api: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while api.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the API did not come up: {log.read_text()[-2000:]}")


def test_the_same_both_ways(ways: Ways, tmp_path: Path) -> None:
    """From the plan in CI to a resolved incident."""
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    code = definitions / "orders.py"
    code.write_text(_DEFINITION.format(topic=ways.topic, owner="team"))
    ways.send(*(json.dumps({"id": n, "name": f"n{n}"}).encode() for n in range(20)), b"no json")
    where = ("--definitions", str(definitions))

    # There is no metastore yet where it is asked directly, which the first lines of a plan say.
    ways.direct("datasets", "add", "--topic", ways.topic, "--table", "first", "--format", "parquet")
    ways.over_api(
        "datasets", "add", "--topic", ways.topic, "--table", "first", "--format", "parquet"
    )
    assert "+ orders" in ways.alike("plan", *where, code=2)
    assert "+ orders registered" in ways.alike("apply", *where, "--yes", plain=False)
    ways.alike("plan", *where)
    code.write_text(_DEFINITION.format(topic=ways.topic, owner="others"))
    ways.alike("plan", *where, "--prune", code=2)
    ways.alike("apply", *where, "--yes", "--json", plain=False)
    code.write_text("orders = ")
    ways.alike("plan", *where, code=1)

    for command in (["dump", "orders"], ["load", "orders"]):
        assert [r.exit_code for r in ways.both(*command)] == [0, 0]
    for command in (
        ["datasets", "list"], ["datasets", "list", "--retired"], ["datasets", "show", "orders"],
        ["datasets", "stats", "orders"], ["datasets", "schema", "orders"],
        ["schema", "show", "orders"], ["schema", "show", "orders", "--version", "1"],
        ["schema", "history", "orders"], ["schema", "export", "orders"],
        ["schema", "proposals", "orders"], ["incidents", "list", "--all"],
        ["incidents", "decisions", "orders"], ["gaps", "list", "orders"],
        ["quarantine", "list"], ["quarantine", "list", "orders"], ["quarantine", "show", "orders"],
        ["quarantine", "show", "orders", "--reason", "null_key"],
        ["datasets", "pause", "orders"], ["datasets", "resume", "orders"],
        ["datasets", "set", "orders", "max_lag_seconds=600"],
        ["audit-log"], ["audit-log", "--table", "orders"],
    ):  # fmt: skip
        ways.alike(*command)
    for command in (
        ["schema", "add", "orders", "note", "string"],
        ["schema", "drop", "orders", "note"],
        ["schema", "add", "orders", "amount", "int"],
        ["schema", "widen", "orders", "amount", "long"],
        ["datasets", "retire", "first", "--yes"], ["datasets", "unretire", "first"],
        ["gaps", "accept", "orders"],
    ):  # fmt: skip
        ways.alike(*command, plain=False)
    ways.alike("schema", "diff", "orders", "1")
    ways.alike("schema", "show", "orders")

    # What is refused is refused in the same words.
    for command in (
        ["datasets", "show", "none"], ["datasets", "set", "orders", "max_lag_seconds=-1"],
        ["datasets", "set", "orders", "owner=x", "--version", "1"],
        ["datasets", "add", "--topic", ways.topic, "--table", "orders"],
        ["datasets", "add", "--topic", "none", "--table", "other"],
        ["schema", "show", "orders", "--version", "99"], ["schema", "drop", "orders", "none"],
        ["incidents", "show", "99"], ["incidents", "resolve", "99", "rescue"],
        ["quarantine", "list", "none"], ["quarantine", "show", "orders", "--window", "x"],
    ):  # fmt: skip
        ways.alike(*command, code=1)

    ways.send(b'{"id": "text", "name": "n"}')
    assert [r.exit_code for r in ways.both("dump", "orders")] == [0, 0]
    assert [r.exit_code for r in ways.both("load", "orders")] == [1, 1]
    for command in (
        ["incidents", "list"], ["incidents", "show", "1"], ["datasets", "list"],
        ["incidents", "resolve", "1", "rescue", "--dry-run"],
        ["incidents", "resolve", "1", "--column", "id=reject", "--dry-run"],
    ):  # fmt: skip
        ways.alike(*command)
    resolve = ("incidents", "resolve", "1", "rescue", "--always")
    assert "the next load applies" in ways.alike(*resolve, plain=False)
    ways.alike("incidents", "decisions", "orders")
    ways.alike("incidents", "decisions", "orders", "--end", "1", plain=False)
    assert [r.exit_code for r in ways.both("load", "orders")] == [0, 0]
    ways.alike("datasets", "stats", "orders")


@pytest.mark.parametrize(
    "command",
    [
        ["dump", "t"], ["load", "t"], ["ingest", "t"], ["audit", "t"], ["compact", "t"],
        ["catalog", "drop", "t"], ["alerts", "list"],
    ],
)  # fmt: skip
def test_what_cannot_work_over_the_api_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    monkeypatch.setenv("LAKE_API_URL", "http://127.0.0.1:1")
    result = CliRunner().invoke(app, [*command, "--home", str(tmp_path / "none")])
    assert result.exit_code == 1
    name = " ".join(word for word in command[:2] if word != "t")
    assert f"lake {name} works on the metastore and the data themselves" in result.output
    assert not (tmp_path / "none").exists()


def test_roles_and_what_does_not_answer(ways: Ways) -> None:
    add = ["datasets", "add", "--topic", ways.topic, "--table", "orders", "--format", "parquet"]
    said = ways.over_api(*add, token=VIEWER)
    assert (said.exit_code, "this needs the role editor" in said.output) == (1, True)
    assert ways.over_api("datasets", "list", token=VIEWER).exit_code == 0
    for token in ("", "canary-wrong"):
        said = ways.over_api("datasets", "list", token=token)
        assert said.exit_code == 1
        assert "set LAKE_API_TOKEN" in said.output
        assert "canary" not in said.output
    said = ways.over_api("datasets", "list", token="env:NOT_THERE")
    assert "LAKE_API_TOKEN refers to env:NOT_THERE" in said.output
    for url, told in (
        ("http://127.0.0.1:1", "did not answer"),
        (f"{ways.url}/docs", "has no GET /datasets"),
        ("http://u:canary@127.0.0.1:1", "is not the address of an API"),
        ("nonsense", "is not the address of an API"),
    ):
        said = ways.over_api("datasets", "list", url=url)
        assert said.exit_code == 1
        assert told in said.output
        assert "canary" not in said.output


def test_who_did_it_is_the_tokens_name(ways: Ways) -> None:
    add = ["datasets", "add", "--topic", ways.topic, "--table", "orders", "--format", "parquet"]
    assert ways.over_api(*add).exit_code == 0
    entries = json.loads(ways.over_api("audit-log", "--json").stdout)["entries"]
    assert {entry["actor"] for entry in entries} == {"ann"}
