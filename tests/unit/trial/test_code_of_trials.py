"""Steps that `lake try` takes from flags, and where it looks for their code."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from lake_platform.cli.try_code import code_settings, steps_of
from lake_platform.errors import InvalidFieldError
from lake_platform.settings import load_settings


def test_a_jar_named_by_its_file_is_taken_as_it_is(tmp_path: Path) -> None:
    jar = tmp_path / "udfs.jar"
    jar.write_bytes(b"one")
    code = {"kind": "jar", "jar": str(jar), "functions": {"masked": "a.Mask"}}
    elsewhere = {"kind": "jar", "jar": "other.jar", "class_name": "a.Tidy"}
    flags = [("step", json.dumps(code)), ("sql", "SELECT 1"), ("step", json.dumps(elsewhere))]
    steps, folders = steps_of(flags)
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert steps == [code | {"jar": "udfs.jar", "sha256": sha256}, {"sql": "SELECT 1"}, elsewhere]
    assert folders == [tmp_path]
    given = steps_of([("step", json.dumps(code | {"sha256": "0" * 64}))])[0]
    assert given[0]["sha256"] == "0" * 64


@pytest.mark.parametrize("text", ["{", "[]", '"SELECT 1"'])
def test_what_is_no_step_is_named(text: str) -> None:
    with pytest.raises(InvalidFieldError, match=r"not (JSON|a JSON object)"):
        steps_of([("step", text)])


def test_definitions_are_those_of_the_file(tmp_path: Path) -> None:
    own = {"definitions_dir": tmp_path / "all", "transform_jars": f"/a{os.pathsep} /b "}
    settings = load_settings(tmp_path).model_copy(update=own)
    inside = code_settings(settings, tmp_path / "all" / "shop" / "orders.py", [Path("/b")])
    assert inside.definitions_dir == tmp_path / "all"
    assert inside.jar_folders == (Path("/a"), Path("/b"))
    assert code_settings(settings, tmp_path / "x.py", []).definitions_dir == tmp_path
    assert code_settings(settings, tmp_path / "x.json", []).definitions_dir == tmp_path / "all"
