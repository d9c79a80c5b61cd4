"""Real Hudi and Parquet tables on S3, with faults during phase 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_platform.embedded.jars import ensure_jars
from tests.contract.seaweed import s3_url
from tests.faults import s3, tables_s3
from tests.faults.clear import check_clear
from tests.faults.kinds import ERROR_500, REPLY_LOST, SLOW_DOWN, Kind
from tests.faults.s3 import Site
from tests.spark_support import spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["s3_url", "spark"]

pytestmark = [
    pytest.mark.spark,
    pytest.mark.stack,
    pytest.mark.slow,
    # What py4j leaves open when Spark sends rows to Python is closed by the collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def s3_jars(jars_dir: Path) -> None:
    """Before Spark starts: they are on its class path."""
    ensure_jars(jars_dir, ["s3"])


@pytest.fixture(scope="module")
def session(s3_jars: None, request: pytest.FixtureRequest) -> SparkSession:  # noqa: ARG001
    opened: SparkSession = request.getfixturevalue("spark")
    return opened


@pytest.fixture(scope="module")
def site(session: SparkSession, s3_url: tuple[str, dict[str, str]]) -> Iterator[Site]:
    with s3.open_site(*s3_url) as opened, s3.short_waits():
        tables_s3.reach(session, opened)
        yield opened


@pytest.mark.parametrize(
    ("table", "kind", "where", "count"),
    [
        # Hudi's own commit is there, and nobody was told: the next load finds it on the timeline.
        ("append", REPLY_LOST, r"^PUT .*/timeline/\d+_\d+\.\w*commit", 1 << 30),
        ("append", ERROR_500, r"^PUT .*/lake/t/\S+\.parquet", 5),
        ("parquet", REPLY_LOST, r"^PUT .*/batches/\d+\.json", 5),
    ],
)
def test_a_fault_in_phase_2(
    table: str, kind: Kind, where: str, count: int,
    session: SparkSession, site: Site, tmp_path: Path,
) -> None:  # fmt: skip
    life = tables_s3.life(session, site, tmp_path / "home", table)
    life.prepare("load")
    with site.proxy.rule(kind, count=count, where=where) as rule:
        try:
            life.act("load")
        except Exception as error:  # whatever comes is judged
            check_clear(error, site.secret)
    assert rule.hit
    life.recover("load", another=True)
    life.account()
    life.lab.close()


def test_a_store_that_throttles_for_good_ends_a_call(session: SparkSession, site: Site) -> None:
    """S3A's own limit is 20 doublings of the wait: hours, a tenth of them here."""
    from py4j.protocol import Py4JJavaError

    with site.proxy.rule(SLOW_DOWN), pytest.raises(Py4JJavaError, match="AWSServiceThrottled"):
        tables_s3.ask(session, f"{site.url}/some/key".replace("s3://", "s3a://"))
