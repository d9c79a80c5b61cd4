"""Real tables of Spark on S3 behind the proxy: cells as those of `s3.py`, for phase 2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.spark.session import storage_config
from tests.faults.life import Life
from tests.faults.s3 import Site
from tests.spark_support import table_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def reach(session: SparkSession, site: Site) -> None:
    """Lets a session that runs already reach the site's bucket by the proxy, with a tenth of the
    waits between S3A's tries, and without those of the AWS client below it."""
    bucket = urlsplit(site.url).netloc
    options = storage_config(site.options | {"endpoint": site.proxy.endpoint})
    held = {name.removeprefix("spark.hadoop.fs.s3a."): v for name, v in options.items()}
    held["access.key"] = site.options["access_key_id"]
    held["secret.key"] = site.options["secret_access_key"]
    held |= {"attempts.maximum": "1", "retry.interval": "50ms", "retry.throttle.interval": "20ms"}
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in held.items():
        hadoop.set(f"fs.s3a.bucket.{bucket}.{name}", value)


def life(session: SparkSession, site: Site, home: Path, kind: str) -> Life:
    life = site.life(home, kind)
    life.lab.engine = spark_engines(lambda: session, life.store)(life.lab.dataset().format)
    life.lab.read_rows = table_rows(session, life.store)
    return life


def ask(session: SparkSession, url: str) -> None:
    """One call of S3A. Raises: Py4JJavaError."""
    jvm, hadoop = session._jvm, session.sparkContext._jsc.hadoopConfiguration()
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(url)
    path.getFileSystem(hadoop).getFileStatus(path)
