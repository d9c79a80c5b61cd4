"""The archive of class data that a local session's JVM starts with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lake_platform.adapters.spark import class_data, session
from lake_platform.embedded.java import java_home
from lake_platform.errors import SetupError

_OPTIONS = "spark.driver.defaultJavaOptions"


@pytest.fixture(autouse=True)
def java(monkeypatch: pytest.MonkeyPatch) -> Path:
    home = java_home()
    monkeypatch.setenv("JAVA_HOME", str(home))
    return home


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "with space" / "spark").mkdir(parents=True)
    (tmp_path / "with space" / "spark" / "hudi.jar").write_bytes(b"x")
    return tmp_path / "with space"


def _name(root: Path) -> str:
    name = class_data.name_of(session.session_jars(root))
    assert name is not None
    return name


def _options(root: Path, master: str = "local[2]", **more: str) -> str:
    return session.session_config(master, "1g", root, more).get(_OPTIONS, "")


def test_a_session_has_it_once_it_is_made(root: Path) -> None:
    archive = root / "class-data" / f"{_name(root)}-3.jsa"
    assert "Shared" not in _options(root)
    archive.parent.mkdir()
    archive.write_bytes(b"abc")
    assert _options(root) == f'-XX:+UseSerialGC "-XX:SharedArchiveFile={archive}"'
    assert "Shared" not in _options(root, "spark://host:7077")
    assert _options(root, **{_OPTIONS: "-Dx=y"}) == "-Dx=y"


def test_a_cut_one_is_none(root: Path) -> None:
    archive = root / "class-data" / f"{_name(root)}-3.jsa"
    archive.parent.mkdir()
    archive.write_bytes(b"ab")
    assert "Shared" not in _options(root)


def test_it_belongs_to_one_class_path_and_one_java(
    monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path
) -> None:
    found = [_name(root)]
    jar = root / "spark" / "hudi.jar"
    jar.write_bytes(b"xy")
    found.append(_name(root))
    os.utime(jar, (1, 1))
    found.append(_name(root))
    (root / "spark" / "more.jar").touch()
    found.append(_name(root))
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    found.append(_name(root))
    other = tmp_path / "java"
    other.mkdir()
    (other / "release").write_text('JAVA_VERSION="17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(other))
    found.append(_name(root))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("home", ["", "/nowhere"])
def test_without_a_java_that_is_known_there_is_none(
    monkeypatch: pytest.MonkeyPatch, root: Path, home: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", home)
    assert class_data.name_of(session.session_jars(root)) is None
    assert "Shared" not in _options(root)


def test_a_jvm_starts_with_what_was_made_and_older_ones_are_gone(
    java: Path, tmp_path: Path
) -> None:
    classes = tmp_path / "classes"
    (tmp_path / "class-data").mkdir()
    (tmp_path / "class-data" / "old-1.jsa").touch()
    (tmp_path / "class-data" / "killed" / "fresh").mkdir(parents=True)
    _version(java, class_data.noting(classes).strip('"'))
    made = class_data.make(tmp_path, "new", classes, "")
    # With `on` it does not start where the archive cannot be used.
    _version(java, "-Xshare:on", f"-XX:SharedArchiveFile={made}")
    assert list(made.parent.iterdir()) == [made]
    assert class_data.find(tmp_path, "new") == made


@pytest.mark.parametrize("text", [None, "java/lang/Object id: x"])
def test_what_the_jvm_cannot_archive_is_told_and_takes_nothing_away(
    tmp_path: Path, text: str | None
) -> None:
    classes, old = tmp_path / "classes", tmp_path / "class-data" / "old-0.jsa"
    old.parent.mkdir()
    old.touch()
    if text is not None:
        classes.write_text(text)
    with pytest.raises(SetupError, match=r"java -Xshare:dump failed: .+"):
        class_data.make(tmp_path, "new", classes, "")
    assert list(old.parent.iterdir()) == [old]


def _version(java: Path, *options: str) -> None:
    command = [str(java / "bin" / "java"), *options, "-version"]
    subprocess.run(command, check=True, capture_output=True)
