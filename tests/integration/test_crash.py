"""The core of the kill matrix (`python -m tests.kills` runs all of it): kill -9 of a writer, or of
its JVM alone, at chosen points of real Spark and Hudi; then one clean run, and the account.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_platform.embedded.jars import ensure_jars
from tests.kills.cells import Cell, Chain
from tests.kills.points import BY_NAME
from tests.kills.table import Site
from tests.sampling import sampled

if TYPE_CHECKING:
    from lake_platform.embedded.broker import Broker

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.timeout(600)]

# Kind of table -> point, what is killed, how often in a row.
CORE = {
    "parquet": [
        ("between two uploads", "group", 1),
        ("raw commit, reply lost", "group", 1),
        ("shared dump: a part uploaded, not told", "part", 1),
        ("shared dump: an object half built", "parent", 1),
        ("shared decoding: staged, not told", "part", 1),
        ("shared decoding: in the scan", "parent", 1),
        ("staged, before the verdict is told", "group", 1),
        ("parquet: between two moves", "group", 1),
    ],
    "append": [
        ("hudi: hoodie.properties half written", "group", 1),
        ("hudi: commit file there, lock held", "group", 1),
    ],
    "upsert": [
        ("hudi: compaction file half written", "group", 1),
    ],
    "changes": [
        ("written, before statistics", "group", 1),
    ],
    "steps": [
        ("parquet: between two moves", "group", 1),
    ],
    "filtered": [
        ("hudi: data file half written", "group", 1),
    ],
    "reader": [
        ("cleaner: log half trimmed", "group", 1),
    ],
}


@pytest.mark.parametrize("kind", sampled(list(CORE), "upsert"))
def test_kills_lose_and_double_nothing(
    broker: Broker, jars_dir: Path, java_home: Path, tmp_path: Path, kind: str
) -> None:
    ensure_jars(jars_dir, ["spark"])
    chain = Chain(kind, Site(broker.bootstrap, jars_dir, java_home, tmp_path))
    try:
        for name, style, times in CORE[kind]:
            chain.run(Cell(BY_NAME[name], kind, style, times))
        chain.finish()
    finally:
        chain.close()
