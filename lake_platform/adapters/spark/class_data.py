"""The archive of class data with which the JVM of a local session starts.

Finding, proving and linking the 15,000 classes of Spark and Hudi is two fifths of what a small load
takes from a cold start. The JVM can keep what comes of it in a file (class data sharing), for one
Java and one class path. The file is named after both, so that none is ever given to others.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lake_platform.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOLDER = "class-data"
# All that Spark's launcher makes a class path of, beside the jars it is told.
_PLACES = (
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
    "SPARK_DIST_CLASSPATH",
)
_END_SECONDS = 60.0
_DUMP_SECONDS = 600.0


def name_of(jars: Sequence[str]) -> str | None:
    """What the archive is called for sessions of this process with `jars` before Spark's own; None
    where it cannot be known which Java that is."""
    java = os.environ.get("JAVA_HOME", "")
    spark = os.environ.get("SPARK_HOME") or _pyspark()
    if not java or not spark:
        return None
    named = hashlib.sha256("\0".join(os.environ.get(name, "") for name in _PLACES).encode())
    try:
        named.update((Path(java) / "release").read_bytes())
        for jar in [*jars, *sorted(map(str, (Path(spark) / "jars").glob("*.jar")))]:
            stat = Path(jar).stat()
            named.update(f"{jar}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    except OSError:
        return None
    return named.hexdigest()[:16]


def find(root: Path, name: str | None) -> Path | None:
    """The archive, if it was made. A JVM crashes with one that is cut, so its size is in its name.
    `root`: of all jars."""
    made = (root / _FOLDER).glob(f"{name}-*.jsa") if name else ()
    return next((a for a in made if a.stem == f"{name}-{a.stat().st_size}"), None)


def _pyspark() -> str:
    spec = importlib.util.find_spec("pyspark")
    return str(Path(spec.origin).parent) if spec is not None and spec.origin else ""


def archived(root: Path, jars: Sequence[str]) -> list[str]:
    """Options of a JVM: to start with the archive, if there is one."""
    archive = find(root, name_of(jars))
    return [f'"-XX:SharedArchiveFile={archive}"'] if archive else []


def noting(classes: Path) -> str:
    """The option of a JVM that writes the classes it loads to a file, until its end."""
    return f'"-XX:DumpLoadedClassList={classes}"'


def class_path(session: SparkSession) -> str:
    return str(session.sparkContext._jvm.java.lang.System.getProperty("java.class.path"))  # type: ignore[union-attr]


def end(session: SparkSession) -> None:
    """Ends the session's JVM in order, which writes to the end what it notes."""
    gateway = session.sparkContext._gateway
    session.stop()
    if gateway is None:
        return
    process = gateway.proc
    process.stdin.close()
    process.wait(_END_SECONDS)


def make(root: Path, name: str, classes: Path, path: str) -> Path:
    """Archives `classes` of the class path; older archives are gone after it, and what is left of
    one that was killed in making one. No two at a time.

    Raises:
        SetupError: the JVM could not.
    """
    folder = root / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        fresh = Path(work) / "fresh"
        named = f"-XX:SharedArchiveFile={fresh}"
        _java("-Xshare:dump", "-Xmx1g", f"-XX:SharedClassListFile={classes}", named, "-cp", path)
        # With `on` no JVM starts with one that it cannot use.
        _java("-Xshare:on", named, "-cp", path, "-version")
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
            elif old != Path(work):
                shutil.rmtree(old)
        return fresh.replace(folder / f"{name}-{fresh.stat().st_size}.jsa")


def _java(sharing: str, *options: str) -> None:
    java = str(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    quiet = ("-XX:+UseSerialGC", "-Xlog:disable", "-Xlog:all=error:stderr")
    try:
        done = subprocess.run(  # noqa: S603 - the Java that runs Spark
            [java, sharing, *quiet, *options],
            capture_output=True, text=True, timeout=_DUMP_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SetupError(f"java {sharing} had no end after {_DUMP_SECONDS:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"java {sharing} failed: {said[-1] if said else done.returncode}")
