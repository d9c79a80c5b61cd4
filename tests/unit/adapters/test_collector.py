"""Which collector the JVM of a session gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.adapters.spark import session

SERIAL = {"spark.driver.defaultJavaOptions": "-XX:+UseSerialGC"}


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "hudi.jar").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("master", "cores", "serial"),
    [
        ("local", 8, True), ("local[1]", 8, True), ("local[2]", 8, True), ("local[2,3]", 8, True),
        ("local[3]", 2, False), ("local[16]", 2, False), ("local[*]", 2, True),
        ("local[*]", 3, False), ("local[*,4]", 1, True), ("spark://host:7077", 1, False),
        ("yarn", 1, False),
    ],
)  # fmt: skip
def test_few_threads_have_the_serial_one(
    monkeypatch: pytest.MonkeyPatch, jars: Path, master: str, cores: int, serial: bool
) -> None:
    monkeypatch.setattr(session, "cores", lambda: cores)
    assert (SERIAL.items() <= session.session_config(master, "1g", jars).items()) == serial


@pytest.mark.parametrize("option", ["extraJavaOptions", "defaultJavaOptions"])
def test_who_names_one_has_that(jars: Path, option: str) -> None:
    named = {f"spark.driver.{option}": "-Dx=y -XX:+UseParallelGC"}
    found = session.session_config("local[2]", "1g", jars, named)
    assert [v for v in found.values() if "UseSerialGC" in v] == []
    others = {f"spark.driver.{option}": "-Dx=y -XX:-UsePerfData"}
    found = session.session_config("local[2]", "1g", jars, others)
    assert any("UseSerialGC" in v for v in found.values()) == (option == "extraJavaOptions")
