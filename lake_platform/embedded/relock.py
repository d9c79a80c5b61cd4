"""Maintainers only: resolve every set with its dependencies and write `jars.lock` anew."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lake_platform.embedded.ivy import Coordinate, Ivy
from lake_platform.embedded.java import java_home


@dataclass(frozen=True)
class Roots:
    """What a set is resolved from."""

    jars: tuple[str, ...]
    transitive: bool


_AWS = "1.12.262"  # what hadoop-aws 3.3.4 was built with
ROOTS: Mapping[str, Roots] = {
    # log4j-slf4j-impl: without it Kafka logs nothing at all (its own download ships it).
    "kafka": Roots(
        (
            "org.apache.kafka:kafka_2.13:4.3.1",
            "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
        ),
        transitive=True,
    ),
    "spark": Roots(("org.apache.hudi:hudi-spark3.5-bundle_2.12:1.2.0",), transitive=False),
    # Shaded: everything Spark Connect needs is inside.
    "connect": Roots(("org.apache.spark:spark-connect_2.12:3.5.7",), transitive=False),
    # Only the clients S3A loads, 6 MB; the bundle its POM asks for is 280 MB. Jackson and the
    # commons jars must stay Spark's own, so not transitive.
    "s3": Roots(
        (
            "org.apache.hadoop:hadoop-aws:3.3.4",
            f"com.amazonaws:aws-java-sdk-core:{_AWS}",
            f"com.amazonaws:aws-java-sdk-dynamodb:{_AWS}",
            f"com.amazonaws:aws-java-sdk-kms:{_AWS}",
            f"com.amazonaws:aws-java-sdk-s3:{_AWS}",
            f"com.amazonaws:aws-java-sdk-sts:{_AWS}",
            "org.wildfly.openssl:wildfly-openssl:1.0.7.Final",
        ),
        transitive=False,
    ),
}

_HEADER = """\
# Every jar of the platform with its sha256. Written by `lake jars --relock`; do not edit.
"""


def relock(path: Path) -> dict[str, int]:
    """Resolve all sets and write the lock; returns the number of jars by set."""
    resolved = {name: _resolve(roots) for name, roots in ROOTS.items()}
    text = _HEADER
    for name, jars in resolved.items():
        text += f"\n[{name}]\n"
        text += "".join(f'"{jar}" = "{sha256}"\n' for jar, sha256 in sorted(jars.items()))
    path.write_text(text)
    return {name: len(jars) for name, jars in resolved.items()}


def _resolve(roots: Roots) -> dict[Coordinate, str]:
    with tempfile.TemporaryDirectory(prefix="lake-relock-") as work:
        ivy = Ivy(java_home(), Path(work) / "ivy", os.environ)
        wanted = [Coordinate.parse(jar) for jar in roots.jars]
        found = ivy.retrieve(wanted, Path(work) / "in", transitive=roots.transitive)
        return {jar: hashlib.sha256(path.read_bytes()).hexdigest() for jar, path in found.items()}
