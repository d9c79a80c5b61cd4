"""`lake preview`, on Parquet, which needs no Spark; its remedies are typed as they say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from lake_platform import benches
from lake_platform.adapters.memory.systems import MemoryKafka
from lake_platform.api.preview import apart
from lake_platform.errors import DatasetNotFoundError, InvalidFieldError
from lake_platform.settings import load_settings
from lake_platform.trial import preview as use_case
from lake_platform.trial.preview import Question
from tests.api.test_cli import Lake, data, kafka, lake, store
from tests.api.test_cli_rebuild import cycle, events

__all__ = ["events", "kafka", "lake", "store"]


def snapshot(home: Path) -> dict[str, bytes]:
    """All files but those that SQLite makes by itself."""
    return {
        str(path): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.suffix not in (".db-wal", ".db-shm")
    }


def last_command(output: str) -> list[str]:
    return shlex.split(output.splitlines()[-1].partition("to do it: lake ")[2])


def test_a_preview_shows_both_sides_and_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    before = snapshot(tmp_path / "home")
    done = lake("preview", "t", "--change", 'columns.amount={"type": "string"}')
    assert done.exit_code == 0, done.output
    assert snapshot(tmp_path / "home") == before
    assert re.search(r"column amount *│ long *│ string", done.stdout)
    assert re.search(r"written *│ 2 *│ 2", done.stdout)
    assert "rows: 2 before, 2 after: 0 inserted, 2 updated, 0 deleted, 0 same" in done.stdout
    assert re.search(r'updated: partition 0, offset 0 *│ amount *│ 1 *│ "1"', done.stdout)
    assert "before the change: 1 of 1 commits" in done.stderr
    rebuilt = lake(*last_command(done.stdout), "--yes")
    assert rebuilt.exit_code == 0, rebuilt.output


def test_as_json(lake: Lake) -> None:
    found = data(lake("preview", "t", "--change", "partition_by=[]", "--json"))
    assert found["definition"] == {"partition_by": {"before": ["day"], "after": []}}
    assert found["rows"]["same"] == 2
    assert (found["before"]["files"], found["after"]["files"]) == (2, 1)
    assert found["rows"]["shown"][0]["before"] == {"id": 1, "day": "d1", "amount": 1}


def test_a_resolution_and_the_command_for_it(lake: Lake, kafka: MemoryKafka) -> None:
    value = json.dumps({"id": 9, "day": "d", "amount": "lots"}).encode()
    kafka.produce("events", None, value, timestamp_ms=1_790_000_000_000)
    lake("dump", "t")
    assert lake("load", "t").exit_code == 1
    done = lake("preview", "t", "--incident", "1", "--resolve", "rescue")
    assert done.exit_code == 0, done.output
    assert 'after: 1 values of amount in _rescued, first p0 offset 2: "lots"' in done.stdout
    assert "before: stops: BLOCKED: column amount: long became string" in done.stdout
    assert "1 inserted" in done.stdout
    assert lake(*last_command(done.stdout)).exit_code == 0
    cycle(lake)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope", "--change", "owner=x"], "dataset 'nope' is not registered"),
        (["t"], "nothing of t would differ"),
        (["t", "--change", "owner"], "not of the form name=value"),
        (["t", "--change", "topic=other"], "a rebuild is made of the raw of t"),
        (["t", "--incident", "5", "--resolve", "rescue"], "there is no incident 5"),
        (["t", "--change", "owner=x", "--windows", "0"], "windows=0: is none; give 1 or more"),
    ],
)
def test_what_cannot_be_is_one_sentence(lake: Lake, arguments: list[str], said: str) -> None:
    done = lake("preview", *arguments)
    assert done.exit_code == 1
    assert said in done.output


def test_ctrl_c_leaves_nothing(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes: list[Path] = []

    def remembered(settings: Any, home: Path) -> Any:
        homes.append(home)
        return real(settings, home)

    def pressed(*_: Any) -> Any:
        assert any(homes[0].rglob("*.parquet"))
        raise KeyboardInterrupt

    real = benches.bench_settings
    monkeypatch.setattr(benches, "bench_settings", remembered)
    monkeypatch.setattr(use_case, "side_by_side", pressed)
    before = snapshot(tmp_path / "home")
    done = lake("preview", "t", "--change", "owner=x")
    assert done.exit_code != 0
    assert not homes[0].exists()
    assert snapshot(tmp_path / "home") == before


def test_the_process_of_the_api_says_the_same(lake: Lake, tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = data(lake("preview", "t", "--change", "partition_by=[]", "--json"))
    before = snapshot(home)
    run = apart(load_settings(home))
    found = run("t", Question({"partition_by": []}))
    sizes = [one[side].pop("bytes") for one in (found, said) for side in ("before", "after")]
    assert all(sizes)
    assert found == said
    with pytest.raises(InvalidFieldError, match="nothing of the definition") as refused:
        run("t", Question({"owner": ""}))
    assert refused.value.field == "change"
    with pytest.raises(DatasetNotFoundError):
        run("nope", Question({"owner": "x"}))
    assert snapshot(home) == before
