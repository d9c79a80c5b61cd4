"""`lake …` on the metastore itself, with Kafka in memory and no Dagster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from lake_platform import compose
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.cli.main import app
from lake_platform.cli.shell import shell_actor
from lake_platform.domain.dataset import Status
from lake_platform.domain.diff import Change
from lake_platform.metastore.repository import Repository
from lake_platform.settings import load_settings

Lake = Callable[..., Result]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> MemoryKafka:
    memory = MemoryKafka()
    memory.create_topic("orders")
    for number in range(20):
        value = json.dumps({"id": number, "name": "n"}).encode()
        memory.produce("orders", None, value, timestamp_ms=compose.clock())
    monkeypatch.setattr(compose, "build_kafka", lambda _settings: memory)
    return memory


@pytest.fixture
def lake(kafka: MemoryKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:  # noqa: ARG001
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_DEFINITIONS_DIR", str(tmp_path / "definitions"))
    monkeypatch.setenv("LAKE_DAGSTER_PORT", "1")  # nothing listens there
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def store(lake: Lake) -> Iterator[Repository]:  # noqa: ARG001 - sets LAKE_HOME
    repository = compose.build_metastore(load_settings())
    yield repository
    repository.close()


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def add(lake: Lake, table: str = "orders") -> None:
    result = lake("datasets", "add", "--topic", "orders", "--table", table)
    assert result.exit_code == 0, result.output


def test_add_list_show_set(lake: Lake) -> None:
    result = lake(
        "datasets", "add", "--topic", "orders", "--table", "orders", "--mode", "upsert",
        "--key", "id", "--tag", "tier=gold", "--sql", "SELECT * FROM input",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "registered orders from topic orders, schema version 1 with 2 columns" in result.output
    assert "Dagster at http://127.0.0.1:1 did not answer" in result.output
    [listed] = data(lake("datasets", "list", "--json"))["datasets"]
    assert (listed["table"], listed["status"], listed["tags"]) == (
        "orders",
        "REGISTERED",
        {"tier": "gold"},
    )
    changed = data(
        lake("datasets", "set", "orders", "max_lag_seconds=600", "owner=[/x] team", "--json")
    )
    assert (changed["version"], changed["max_lag_seconds"]) == (2, 600)
    shown = lake("datasets", "show", "orders")
    assert "[/x] team" in shown.output
    assert "orders" in lake("datasets", "list").output


def test_add_from_file_with_options_over_it(lake: Lake, tmp_path: Path) -> None:
    definition = {"topic": "orders", "table": "a", "rules": [{"column": "id", "not_null": True}]}
    path = tmp_path / "d.json"
    path.write_text(json.dumps(definition))
    found = data(lake("datasets", "add", "--file", str(path), "--table", "b", "--json"))
    assert (found["table"], found["rules"][0]["column"]) == ("b", "id")
    piped = lake("datasets", "add", "--file", "-", "--json", stdin=json.dumps(definition))
    assert data(piped)["schema"]["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["datasets", "show", "nope"], "dataset 'nope' is not registered"),
        (["datasets", "add", "--topic", "orders"], "table=None: missing"),
        (["datasets", "add", "--topic", "nope", "--table", "t"], "topic='nope': does not exist"),
        (["datasets", "add", "--topic", "orders", "--table", "../t"], "not a valid name"),
        (["datasets", "add", "--file", "nowhere.json"], "file='nowhere.json'"),
        (["datasets", "set", "nope", "x"], "not of the form name=value"),
        (["gaps", "list", "nope"], "dataset 'nope' is not registered"),
        (["incidents", "show", "7"], "there is no incident 7"),
        (["incidents", "show", "99999999999999999999"], "there is no incident"),
        (["incidents", "list", "--table", "nope"], "dataset 'nope' is not registered"),
        (["audit-log", "--table", "nope"], "dataset 'nope' is not registered"),
        (["datasets", "add", "--topic", "orders", "--table", "t" * 200], "give a shorter name"),
        (["dump", "nope"], "dataset 'nope' is not registered"),
        (["load", "nope"], "dataset 'nope' is not registered"),
        (["plan"], "there is no directory"),
    ],
)
@pytest.mark.usefixtures("store")
def test_error_is_one_sentence_and_exit_1(lake: Lake, arguments: list[str], said: str) -> None:
    result = lake(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1, "a long line is left to the terminal, to be copied"
    assert "Traceback" not in result.output


def test_set_by_version_refuses_a_lost_race(lake: Lake) -> None:
    add(lake)
    assert lake("datasets", "set", "orders", "owner=a", "--version", "1").exit_code == 0
    late = lake("datasets", "set", "orders", "owner=b", "--version", "1")
    assert (late.exit_code, "version 2" in late.stderr) == (1, True)


def test_pause_resume_retire(lake: Lake) -> None:
    add(lake)
    assert "orders is PAUSED" in lake("datasets", "pause", "orders").output
    paused = lake("dump", "orders")
    assert (paused.exit_code, "PAUSED" in paused.stderr) == (1, True)
    assert "orders is REGISTERED" in lake("datasets", "resume", "orders").output
    assert data(lake("datasets", "retire", "orders", "--yes", "--json"))["status"] == "RETIRED"
    assert data(lake("datasets", "list", "--json"))["datasets"] == []
    entries = data(lake("audit-log", "--json"))["entries"]
    assert [e["action"] for e in entries] == ["status", "status", "status", "register"]
    assert entries[0]["actor"] == shell_actor()
    assert "RETIRED" in lake("audit-log", "--table", "orders").output


def test_dump_writes_raw_and_stats_show_it(lake: Lake) -> None:
    add(lake)
    [piece] = data(lake("dump", "orders", "--json"))["slices"]
    assert piece["records"] == 20
    assert "nothing new" in lake("dump", "orders").output
    stats = data(lake("datasets", "stats", "orders", "--json"))
    assert (stats["records_ingested"], stats["head_seq"], stats["pending_commits"]) == (20, 1, 1)
    shown = lake("datasets", "stats", "orders").output
    assert "head_seq" in shown
    assert str(stats["dumped_at"]) not in shown
    assert "+00:00" in shown


def test_compact_with_nothing_to_compact_starts_no_engine(lake: Lake) -> None:
    add(lake)
    assert "nothing to compact" in lake("compact", "orders").output
    told = data(lake("compact", "orders", "--json"))
    assert told == {"table": "orders", "commits": 0, "put_off": ""}


def test_load_with_nothing_new_starts_no_engine(lake: Lake) -> None:
    add(lake)
    assert "nothing waits" in lake("load", "orders").output
    told = data(lake("load", "orders", "--json"))
    assert told == {"table": "orders", "batches": [], "waits": None}


def test_a_table_that_waits_for_its_first_record_says_so(lake: Lake, kafka: MemoryKafka) -> None:
    kafka.create_topic("late")
    kafka.produce("late", b"1", None, timestamp_ms=compose.clock())
    asked = ("--topic", "late", "--table", "late", "--mode", "upsert", "--primary-key", "id")
    assert lake("datasets", "add", *asked).exit_code == 0
    assert lake("dump", "late").exit_code == 0
    for command in ("load", "ingest"):
        told = lake(command, "late")
        assert told.exit_code == 0
        assert "no record in raw says yet what columns there are" in told.output
        assert "nothing waits" not in told.output
        assert "wait for one" in data(lake(command, "late", "--json"))["waits"]
    assert "wait for one" in lake("datasets", "stats", "late").output


def test_gap_is_accepted_so_that_the_dump_goes_on(lake: Lake, kafka: MemoryKafka) -> None:
    add(lake)
    assert lake("dump", "orders").exit_code == 0
    for number in range(10):
        kafka.produce("orders", None, b'{"id":%d}' % number, timestamp_ms=compose.clock())
    kafka.expire("orders", 0, 25)
    stopped = lake("dump", "orders")
    assert (stopped.exit_code, "[20, 25)" in stopped.stderr) == (1, True)
    assert "gave up offsets [20, 25)" in lake("gaps", "accept", "orders").output
    assert data(lake("dump", "orders", "--json"))["slices"][0]["records"] == 5
    assert "no offset is missing" in lake("gaps", "accept", "orders").output
    [gap] = data(lake("gaps", "list", "orders", "--json"))["accepted"]
    assert (gap["start"], gap["end"]) == (20, 25)


def test_incidents_and_schema(lake: Lake, store: Repository) -> None:
    add(lake)
    change = Change("id", "type", "breaking", "long", "string")
    number = store.block("orders", [change], "b1", [{"id": "[/x]"}])
    assert [i["id"] for i in data(lake("incidents", "list", "--json"))["incidents"]] == [number]
    assert "[/x]" in lake("incidents", "show", str(number)).output
    assert f"incident {number} is open" in lake("datasets", "schema", "orders").output
    assert data(lake("datasets", "schema", "orders", "--json"))["open"] == [number]
    assert "b1" in lake("incidents", "list").output


def test_an_incident_is_resolved_from_the_shell(lake: Lake, store: Repository) -> None:
    add(lake)
    changes = [Change("name", "type", "breaking", "string", "long"),
               Change("lines[].qty", "type", "breaking", "long", "string")]  # fmt: skip
    number = str(store.block("orders", changes, "b1", []))
    shown = lake("incidents", "show", number).output
    assert "lines[].qty: rescue | quarantine | reject | text | json | new_table | retry" in shown
    assert f"lake incidents resolve {number}" in shown
    refused = lake("incidents", "resolve", number, "--column", "name=rescue")
    assert (refused.exit_code, "nothing is said of lines[].qty" in refused.output) == (1, True)
    assert "no PATH=RESOLUTION" in lake("incidents", "resolve", number, "--column", "x").output
    done = lake("incidents", "resolve", number, "reject", "--column", "name=rescue", "--always")
    assert "reject, name=rescue (always); LIVE" in done.output
    assert "now on" in lake("incidents", "decisions", "orders").output
    ended = data(lake("incidents", "decisions", "orders", "--end", "1", "--json"))["decisions"]
    assert [d["last_seq"] is None for d in ended] == [False, True]
    other = lake("incidents", "decisions", "orders", "--end", "77")
    assert "table orders has none of this number" in other.output


def test_plan_and_apply_exit_codes(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    assert lake("plan").exit_code == 0
    line = "from lake_platform.domain.dataset import Dataset\n"
    (folder / "a.py").write_text(line + "d = Dataset(topic='orders', table='orders')\n")
    planned = lake("plan")
    assert planned.exit_code == 2
    assert "+ orders  (register, a.py)" in planned.output
    assert json.loads(lake("plan", "--json").stdout)["changes"] == 1
    applied = lake("apply")
    assert (applied.exit_code, "+ orders registered" in applied.output) == (0, True)
    assert lake("plan").exit_code == 0
    assert "nothing to do" in lake("apply").output
    (folder / "a.py").write_text(line + "d = Dataset(topic='orders', table='orders', owner='x')\n")
    changed = lake("plan")
    assert (changed.exit_code, '+ owner: "x"' in changed.output) == (2, True)
    (folder / "b.py").write_text("raise ValueError('no good')\n")
    broken = lake("plan")
    assert (broken.exit_code, "no good" in broken.output) == (1, True)
    both = lake("apply", "--json")
    assert both.exit_code == 1
    outcomes = {o["table"]: bool(o["error"]) for o in json.loads(both.stdout)["outcomes"]}
    assert outcomes == {"orders": False, "b.py": True}


def test_what_a_definition_file_prints_or_ends_is_no_part_of_the_plan(
    lake: Lake, tmp_path: Path
) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "a.py").write_text("print('hello')\n")
    assert data(lake("plan", "--json"))["errors"] == 0
    (folder / "a.py").write_text("import sys\nsys.exit(0)\n")
    ended = lake("plan", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["errors"]) == (1, 1)


def test_retired_dataset_is_not_told_to_be_resumed(lake: Lake) -> None:
    add(lake)
    assert lake("datasets", "retire", "orders", "--yes").exit_code == 0
    for command in (["dump", "orders"], ["load", "orders"], ["datasets", "resume", "orders"]):
        refused = lake(*command)
        assert refused.exit_code == 1
        assert "lake datasets unretire orders" in refused.stderr


def test_retire_asks_and_can_be_undone(lake: Lake, store: Repository) -> None:
    add(lake)
    assert lake("dump", "orders").exit_code == 0
    store.block("orders", [Change("id", "type", "breaking", "long", "string")], "b1", [])
    refused = lake("datasets", "retire", "orders", stdin="n\n")
    assert refused.exit_code == 1
    told = " ".join(refused.output.split())
    assert "1 raw commits wait to be loaded" in told
    assert "its open incidents (1) are closed as retired" in told
    assert "lost is what Kafka drops before it is read" in told
    assert "nothing was changed; --yes does it without asking" in told
    assert store.get("orders").status is Status.BLOCKED
    assert lake("datasets", "retire", "orders", stdin="").exit_code == 1  # a script, without --yes
    assert "orders is RETIRED" in lake("datasets", "retire", "orders", stdin="y\n").output
    assert data(lake("incidents", "list", "--json"))["incidents"] == []
    [closed] = store.incidents("orders")
    assert (closed.resolution, closed.resolved_by) == ("retired", shell_actor())
    assert "orders is LIVE" in lake("datasets", "unretire", "orders").output
    again = lake("datasets", "unretire", "orders")
    assert (again.exit_code, "is LIVE, not retired" in again.stderr) == (1, True)
    assert lake("dump", "orders").exit_code == 0


def test_a_retired_dataset_whose_raw_is_gone_stays_retired(lake: Lake, store: Repository) -> None:
    add(lake)
    assert lake("dump", "orders").exit_code == 0
    assert lake("datasets", "retire", "orders", "--yes").exit_code == 0
    shutil.rmtree(load_settings().home / "storage" / "checkpoints")
    refused = lake("datasets", "unretire", "orders")
    assert refused.exit_code == 1
    assert "its raw log of 1 commits is gone" in refused.stderr
    assert store.get("orders").status is Status.RETIRED


def test_warnings_show_in_plan_apply_and_add(
    lake: Lake, kafka: MemoryKafka, tmp_path: Path
) -> None:
    kafka.create_topic("framed")
    kafka.produce("framed", None, b'\x00\x00\x00\x00\x07{"id":1}')
    folder = tmp_path / "definitions"
    folder.mkdir()
    line = "from lake_platform.domain.dataset import Dataset\n"
    (folder / "a.py").write_text(line + "d = Dataset(topic='framed', table='one')\n")
    for command in ("plan", "apply"):
        assert "warning: 1 of 1 records of topic framed" in lake(command).output
    (folder / "a.py").write_text(line + "d = Dataset(topic='framed', table='two')\n")
    [step] = json.loads(lake("plan", "--json").stdout)["steps"]
    assert "Confluent" in step["warnings"][0]
    outcomes = json.loads(lake("apply", "--json").stdout)["outcomes"]
    assert "Confluent" in outcomes[0]["warnings"][0]
    added = lake("datasets", "add", "--topic", "framed", "--table", "three")
    assert "warning: 1 of 1 records" in added.output


def test_a_plan_says_what_the_topic_would_refuse(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    text = "Dataset(topic='orders', table='o', mode='upsert', primary_key=('nope',))"
    (folder / "a.py").write_text(f"from lake_platform.domain.dataset import Dataset\nd = {text}\n")
    planned = lake("plan")
    assert planned.exit_code == 2
    assert "as the topic is now this is refused: primary_key='nope'" in planned.output


def test_what_keeps_failing_is_listed_shown_and_tried_again(lake: Lake, store: Repository) -> None:
    add(lake)
    store.update_progress("orders", load_error="no such column", dump_error="away")
    incident = store.block("orders", (), "b", (), "engine", "no such column")
    listed = lake("datasets", "list").output
    assert "orders: the last load failed: no such column" in listed
    assert "orders: the last dump failed: away" in listed
    assert "no such column" in lake("incidents", "list").output
    shown = lake("incidents", "show", str(incident)).output
    assert "lake datasets resume orders" in shown
    assert "orders is LIVE" in lake("datasets", "resume", "orders").output
    store.block("orders", (), "c", ())
    assert "lake incidents list --table orders" in lake("datasets", "resume", "orders").output


def test_warnings_on_the_way_leave_stdout_to_the_answer(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    add(lake)
    assert len(data(lake("datasets", "list", "--json"))["datasets"]) == 1
    capsys.readouterr()
    structlog.get_logger().warning("the error was not noted")
    said = capsys.readouterr()
    assert said.out == ""
    assert "the error was not noted" in said.err


def test_an_incident_of_a_rule(lake: Lake, store: Repository) -> None:
    add(lake)
    sample = {"rule": "id.max", "partition": 0, "offset": 3, "value": {"id": 9}}
    incident = store.block("orders", (), "b1", [sample], "rule", "id.max is broken by 1 rows")
    said = lake("incidents", "show", str(incident)).output
    assert "id.max is broken by 1 rows" in said
    assert '"offset": 3' in said
    assert "lake datasets resume orders" in said
    assert lake("datasets", "resume", "orders").exit_code == 0
    assert store.incident(incident).status == "RESOLVED"
