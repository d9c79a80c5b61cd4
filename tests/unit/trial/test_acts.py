"""Operations in files, and the order of `--batch` and `--act` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lake_platform.cli import try_
from lake_platform.cli.main import app
from lake_platform.errors import InvalidFieldError
from lake_platform.trial.acts import Act, read_acts

_ADD = '{"op":"add_column","name":"at","type":"timestamp"}'
_LOAD = '{"op":"load"}'


@pytest.mark.parametrize(
    "text",
    [f"[{_ADD},{_LOAD}]", f"{_ADD}\n\n{_LOAD}\n", f"\ufeff[{_ADD},{_LOAD}]"],
    ids=["list", "one-a-line", "bom"],
)  # fmt: skip
def test_file_of_operations(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert [(a.op, a.values) for a in read_acts(path)] == [
        ("add_column", {"name": "at", "type": "timestamp"}),
        ("load", {}),
    ]


def test_one_object_is_one_operation(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n  "op": "replay",\n  "windows": ["2026-11-01-10:00"]\n}')
    assert read_acts(path) == [Act("replay", {"windows": ["2026-11-01-10:00"]}, f"{path}:1")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"op":"drop_table"}]', "drop_table"),
        ('[1]', "no such operation"),
        ('[{"op":"add_column","name":"a"}]', "needs type"),
        ('[{"op":"add_column","name":1,"type":"long"}]', "name is not a text"),
        ('[{"op":"change","fields":[]}]', "fields is not an object"),
        ('[{"op":"replay","windows":[1]}]', "windows is not a list of texts"),
        ('[{"op":"load","table":"t"}]', "load has no such field"),
        (_ADD + "\nnonsense", "a.json:2"),
        ("", ""),
    ],
)  # fmt: skip
def test_wrong_operation_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    if not text:
        assert read_acts(path) == []
        return
    with pytest.raises(InvalidFieldError) as error:
        read_acts(path)
    assert said in str(error.value)


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The steps of each run that would have been carried out."""
    runs: list[Any] = []

    class Seen:
        def __init__(self, _dataset: object, steps: list[Any], *_: object) -> None:
            runs.append([(path.name, [a.op for a in acts]) for path, acts in steps])

        def carried_out(self, _settings: object) -> int:
            return 0

    monkeypatch.setattr(try_, "Run", Seen)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        Path(f"{name}.ndjson").write_text("{}\n")
    Path("add.json").write_text(_ADD)
    Path("load.json").write_text('[{"op":"load"},{"op":"replay"}]')
    return runs


_ADDED, _LOADED = ("add.json", ["add_column"]), ("load.json", ["load", "replay"])
_A, _B, _C = (f"{name}.ndjson" for name in "abc")


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ([_A, "--batch", _B, "--act", "add.json", "--batch", _C],
         [(_A, []), (_B, []), _ADDED, (_C, [])]),
        ([_A, "--act", "add.json", "--batch", _B, "--act", "load.json", "--batch", _C],
         [(_A, []), _ADDED, (_B, []), _LOADED, (_C, [])]),
        # The file may stand anywhere: it is the first batch all the same.
        (["--act=add.json", f"--batch={_B}", "--mode", "append", _A, "--act=load.json"],
         [(_A, []), _ADDED, (_B, []), _LOADED]),
        (["--act", "load.json", "--act", "add.json", "--batch", _B, "--batch", _B, "--", _A],
         [(_A, []), _LOADED, _ADDED, (_B, []), (_B, [])]),
        ([_A], [(_A, [])]),
    ],
)  # fmt: skip
def test_steps_run_in_the_order_they_stand_in(
    planned: list[Any], line: list[str], order: list[Any]
) -> None:
    done = CliRunner().invoke(app, ["try", *line])
    assert done.exit_code == 0, done.output
    assert planned == [order]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["none.ndjson"], "no such file"),
        (["."], "is a directory"),
        ([_A, "--batch", "none.ndjson"], "none.ndjson"),
        ([_A, "--act", "none.json"], "none.json"),
        ([_A, "--records"], "a.ndjson:1"),
        ([_A, "--mode", "replace"], "mode"),
        ([_A, "--format", "parquet", "--mode", "upsert", "--key", "id"], "append only"),
        ([_A, "--mode", "upsert"], "primary_key"),
        ([_A, "--field", "color=red"], "color"),
        ([_A, "--field", "color"], "name=value"),
        ([_A, "--out", "."], "is not empty"),
        ([_A, "--out", "add.json"], "is a file"),
        ([_A, "--definition", "none.json"], "none.json"),
    ],
)
def test_wrong_input_is_one_sentence(planned: list[Any], line: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["try", *line])
    assert done.exit_code == 1
    assert done.output.startswith("error: ")
    assert said in done.output
    assert planned == []
