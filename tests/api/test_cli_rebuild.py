"""`lake rebuild`, and the errors that name it, tried as they say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lake_platform import compose
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.audit.files import open_files
from lake_platform.audit.sources import Sources
from lake_platform.audit.tables import open_reader
from lake_platform.metastore.repository import Repository
from lake_platform.settings import Settings, load_settings
from tests.api.test_cli import Lake, data, kafka, lake, store
from tests.audit_support import MemoryTopic

__all__ = ["kafka", "lake", "store"]


@pytest.fixture(autouse=True)
def events(kafka: MemoryKafka, lake: Lake) -> None:
    kafka.create_topic("events")
    send(kafka, 1, 2)
    made = lake(
        "datasets", "add", "--topic", "events", "--table", "t", "--format", "parquet",
        "--partition-by", "day",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    cycle(lake)


def send(kafka: MemoryKafka, *ids: int) -> None:
    for n in ids:
        value = {"id": n, "day": f"d{n % 2}", "amount": n}
        kafka.produce("events", None, json.dumps(value).encode(), timestamp_ms=1_790_000_000_000)


def cycle(lake: Lake) -> None:
    for phase in ("dump", "load"):
        done = lake(phase, "t")
        assert done.exit_code == 0, done.output


def remedy(output: str) -> list[str]:
    """The command that an error names, as a shell takes it apart."""
    found = re.search(r"lake (rebuild t --change .*)", output)
    assert found, output
    return shlex.split(found[1])


def test_a_rebuild_from_beginning_to_swap(
    lake: Lake, kafka: MemoryKafka, store: Repository
) -> None:
    done = lake("rebuild", "t", "--change", 'columns.amount={"type": "string"}', "--yes")
    assert done.exit_code == 0, done.output
    assert "t: rebuild begins, 1 raw commits, beside the live table" in done.output
    assert "raw commit 1 of 1: 2 records, 2 written, 0 quarantined" in done.output
    assert re.search(r"column amount *│ long *│ string", done.output)
    assert "t: swapped in, definition version 2" in done.output
    send(kafka, 3)
    cycle(lake)
    assert store.progress("t").records == 3
    assert "column amount: long became string" in lake("schema", "history", "t").output


def test_the_remedy_of_a_field_that_cannot_change_works(lake: Lake) -> None:
    refused = lake("datasets", "set", "t", "partition_by=[]")
    assert refused.exit_code == 1
    done = lake(*remedy(refused.output), "--yes")
    assert done.exit_code == 0, done.output
    assert data(lake("datasets", "show", "t", "--json"))["partition_by"] == []


def test_the_remedy_of_a_hint_that_does_not_fit_works(lake: Lake) -> None:
    refused = lake("datasets", "set", "t", 'columns={"amount": {"name": "sum", "type": "double"}}')
    assert refused.exit_code == 1
    done = lake(*remedy(refused.output), "--yes", "--json")
    assert data(done)["state"] == "swapped"
    columns = data(lake("schema", "show", "t", "--json"))["schema"]["columns"]
    assert {"path": "sum", "type": "double"} in columns


def test_built_only_then_gone_on_with_or_dropped(lake: Lake, store: Repository) -> None:
    asked = ("rebuild", "t", "--change", "partition_by=[]")
    built = data(lake(*asked, "--no-swap", "--json"))
    assert built["state"] == "built"
    assert built["comparison"]["before"]["rows"] == built["comparison"]["after"]["rows"] == 2
    assert lake("datasets", "list", "--json").stdout.count("rebuild") == 0
    refused = lake("datasets", "set", "t", "owner=me")
    assert "end that first, with lake rebuild t or lake rebuild t --abort" in refused.output
    answered = lake("rebuild", "t", stdin="n\n")
    assert "t: rebuild goes on" in answered.output
    assert "the rebuilt table waits" in answered.output
    dropped = lake("rebuild", "t", "--abort")
    assert "the rebuilt table is dropped" in dropped.output
    assert store.rebuild("t") is None
    assert "t: is not being rebuilt" in lake("rebuild", "t", "--abort").output
    assert data(lake("rebuild", "t", "--abort", "--json"))["state"] == "none"


def test_the_audit_of_the_rebuilt_table(
    lake: Lake, kafka: MemoryKafka, store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sources(settings: Settings, _metastore: object) -> Sources:
        files = open_files(settings.storage_root, {}, {})
        return Sources(store, files, MemoryTopic(kafka), lambda f: open_reader(f, files))

    monkeypatch.setattr(compose, "build_audit_sources", sources)
    asked = ("rebuild", "t", "--change", "partition_by=[]", "--audit")
    built = lake(*asked, "--no-swap")
    assert "audit of the rebuilt table: sound (0 lost, 0 duplicated, 0 alien)" in built.output
    root = Path(load_settings().storage_root.removeprefix("file://"))
    next(root.rglob("raw/events/**/*.json.gz")).unlink()
    refused = lake("rebuild", "t", "--audit", "--yes")
    assert refused.exit_code == 1
    assert "its audit says" in refused.output
    assert len(store.list_all()) == 1 and store.get("t").version == 1


def test_a_definition_from_a_file(lake: Lake, tmp_path: Path) -> None:
    python = tmp_path / "events.py"
    python.write_text(
        "from lake_platform.domain.dataset import Dataset\n"
        'T = Dataset(topic="events", table="t", format="parquet", partition_by=("id",))\n'
    )
    assert data(lake("rebuild", "t", "--definition", str(python), "--yes", "--json"))
    assert data(lake("datasets", "show", "t", "--json"))["partition_by"] == ["id"]
    plain = tmp_path / "events.json"
    plain.write_text(json.dumps({"topic": "events", "table": "t", "format": "parquet"}))
    assert data(lake("rebuild", "t", "--definition", str(plain), "--yes", "--json"))
    assert data(lake("datasets", "show", "t", "--json"))["partition_by"] == []
    python.write_text("")
    refused = lake("rebuild", "t", "--definition", str(python), "--yes")
    assert "has no dataset of table t; give the file that has it" in refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "dataset 'nope' is not registered"),
        (["nope", "--abort"], "dataset 'nope' is not registered"),
        (["t"], "nothing of the definition of t would differ; say what is to change"),
        (["t", "--change", "x"], "change='x': not of the form name=value"),
        (["t", "--change", "primary_key=id"], "primary_key='id': Input should be a valid"),
        (["t", "--change", 'partition_by=["nope"]'], "partition_by='nope': no such column"),
        (["t", "--change", "topic=x"], "topic='x': a rebuild is made of the raw of t"),
        (["t", "--json"], "json=True: leaves nobody to ask about the swap; give --yes or --no-"),
    ],
)
def test_bad_input_is_one_sentence(lake: Lake, arguments: list[str], said: str) -> None:
    refused = lake("rebuild", *arguments)
    assert refused.exit_code == 1
    assert said in refused.output
    assert "Traceback" not in refused.output
