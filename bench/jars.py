"""Spark's own Kafka source: only what row 5 measures against needs it, so it is locked here.

`python -m bench.jars` writes the lock anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from lake_platform.embedded.ivy import Coordinate, Ivy
from lake_platform.embedded.jars import Lock, ensure_jars
from lake_platform.embedded.java import java_home

STREAMING = "bench-streaming"
_LOCK = Path(__file__).with_name("jars.lock")
# Versions as the POM of spark-sql-kafka names them; all else it needs is part of Spark.
_JARS = (
    "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7",
    "org.apache.spark:spark-token-provider-kafka-0-10_2.12:3.5.7",
    "org.apache.kafka:kafka-clients:3.4.1",
    "org.apache.commons:commons-pool2:2.11.1",
)


def ensure_streaming(root: Path) -> Path:
    """The directory of the jars under `root`; fetched the first time. Raises: SetupError."""
    return ensure_jars(root, [STREAMING], lock=Lock.parse(_LOCK.read_text()))[0].directory


def relock() -> None:
    with tempfile.TemporaryDirectory() as work:
        ivy = Ivy(java_home(), Path(work) / "ivy", os.environ)
        found = ivy.retrieve([Coordinate.parse(j) for j in _JARS], Path(work) / "in")
        lines = [
            f'"{jar}" = "{hashlib.sha256(path.read_bytes()).hexdigest()}"\n'
            for jar, path in sorted(found.items())
        ]
    head = "# Written by `python -m bench.jars`; do not edit.\n"
    _LOCK.write_text(f"{head}\n[{STREAMING}]\n{''.join(lines)}")


if __name__ == "__main__":
    relock()
