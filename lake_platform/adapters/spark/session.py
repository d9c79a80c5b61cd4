"""The Spark session: the same settings in the run's own process and towards Spark Connect."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lake_platform.adapters.pool import cores
from lake_platform.adapters.spark.class_data import archived
from lake_platform.domain.secrets import hidden
from lake_platform.errors import EngineError, SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What Hudi needs, and what keeps a batch's values as they are.
ENGINE_CONFIG: Mapping[str, str] = {
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.kryo.registrator": "org.apache.spark.HoodieSparkKryoRegistrar",
    "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # 0001-01-01 is what .NET and Go send for no time at all: dates before 1582 and times before
    # 1900 are written and read as they are, in the calendar everybody else reads them by.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.avro.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.avro.datetimeRebaseModeInRead": "CORRECTED",
    # Text in the name of a folder is text: 007 is not 7.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Else an array of one-field structs breaks every later upsert of the table.
    "spark.hadoop.parquet.avro.write-old-list-structure": "false",
    # A gzip object is one split; small ones should share a task.
    "spark.sql.files.openCostInBytes": "262144",
    "spark.sql.shuffle.partitions": "4",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}
_LOCAL_CONFIG: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.showConsoleProgress": "false",
}
# A dead endpoint fails a call in some 20 seconds instead of hanging it for ten minutes. Hudi makes
# about ten of them before it gives a commit up.
_S3A_CONFIG: Mapping[str, str] = {
    "spark.hadoop.fs.s3a.attempts.maximum": "5",
    "spark.hadoop.fs.s3a.retry.limit": "4",
    # 503 SlowDown has a limit of its own: 20 doublings by default, a job that sleeps for hours.
    "spark.hadoop.fs.s3a.retry.throttle.limit": "6",
    "spark.hadoop.fs.s3a.retry.throttle.interval": "200ms",
    "spark.hadoop.fs.s3a.connection.establish.timeout": "5000",
    "spark.hadoop.fs.s3a.connection.timeout": "15000",
    "spark.hadoop.fs.s3a.change.detection.mode": "none",
}

_JAVA_OPTIONS = ("spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions")
_COLLECTOR = re.compile(r"-XX:\+Use\w*GC\b")
_LOCAL_THREADS = re.compile(r"local\[(\d+|\*)")
_FEW_CORES = 2
HADOOP = "spark.hadoop."
# What a Spark Connect server may have otherwise, and every session can set for itself.
_SESSION_OPTIONS = ("spark.sql.session.timeZone", "RebaseMode", "partitionColumnTypeInference")


def _per_session(config: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in config.items() if any(part in n for part in _SESSION_OPTIONS)}


def storage_config(options: Mapping[str, str]) -> dict[str, str]:
    """S3A's view of the object store client's options; credentials come from the environment."""
    endpoint = options.get("endpoint") or options.get("aws_endpoint") or ""
    region = options.get("region") or options.get("aws_region") or ""
    config = {"spark.hadoop.fs.s3a.endpoint.region": region} if region else {}
    if endpoint:
        config |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https")).lower(),
        }
    return config


def session_config(
    master: str, memory: str, jars: Path, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All options of a classic session. `extra` wins; see also `storage_config`.

    Raises:
        SetupError: the jars were not resolved.
    """
    found = session_jars(jars)
    config = {**ENGINE_CONFIG, **_S3A_CONFIG, "spark.driver.memory": memory}
    if master.startswith("local"):
        # On the class path instead of spark.jars: the local executor needs no copies of them.
        config |= {**_LOCAL_CONFIG, "spark.driver.extraClassPath": os.pathsep.join(found)}
        options = [*_collector(master, extra or {}), *archived(jars, found)]
        if options:
            config["spark.driver.defaultJavaOptions"] = " ".join(options)
    else:
        config["spark.jars"] = ",".join(found)
    return config | dict(extra or {})


def session_jars(jars: Path) -> list[str]:
    """Those before Spark's own, in their order. Raises: SetupError when they were not resolved."""
    found = sorted(str(p) for folder in ("spark", "s3") for p in (jars / folder).glob("*.jar"))
    if not any("hudi" in Path(p).name for p in found):
        raise SetupError(f"no Hudi jar in {jars / 'spark'}; run `lake jars` first")
    return found


def _collector(master: str, extra: Mapping[str, str]) -> list[str]:
    """One or two cores: a seventh less CPU and a third less memory than with the JVM's own choice,
    whose threads of its own take turns with the tasks. Who names a collector has that one."""
    named = " ".join(extra.get(name, "") for name in _JAVA_OPTIONS)
    few = _threads(master) <= _FEW_CORES and not _COLLECTOR.search(named)
    return ["-XX:+UseSerialGC"] if few else []


def _threads(master: str) -> int:
    given = _LOCAL_THREADS.match(master)
    if given is None:
        return 1 if master == "local" else cores()
    return cores() if given[1] == "*" else int(given[1])


def analysis_config(extra: Mapping[str, str]) -> dict[str, str]:
    """Options of a session that only looks at SQL: nothing of tables, and no jar is needed."""
    ours = {n: v for n, v in extra.items() if n.startswith("spark.sql.") and v}
    return {
        **_LOCAL_CONFIG,
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "512m",
        **{n: v for n, v in ours.items() if n not in ENGINE_CONFIG},
    }


def open_session(
    config: Mapping[str, str],
    master: str,
    remote: str = "",
    app: str = "lake-platform",
    secrets: Mapping[str, str] | None = None,
) -> SparkSession:
    """The process's session; started on the first call, 7-15 s. `secrets`: Hadoop options
    that are given to the open one (options.secrets).

    Raises:
        EngineError: the JVM or the Spark Connect server does not start or answer.
    """

    def build() -> SparkSession:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName(app)
        if remote:
            return builder.remote(remote).getOrCreate()
        if master.startswith("local"):
            # Else Spark takes the first `python3` on the path, which may be another environment.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for name, value in config.items():
            builder = builder.config(name, value)
        return builder.master(master).getOrCreate()

    return started(build, master, remote, secrets or {})


def forget_jvm(ended: Collection[int]) -> None:
    """For who ends the processes `ended`: if this process's JVM is one of them, py4j would still
    tell it of each object that Python lets go."""
    if "pyspark" not in sys.modules:
        return
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is not None and gateway.proc.pid in ended:
        gateway._gateway_client.is_connected = False
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None


def started(
    build: Callable[[], SparkSession], master: str, remote: str, secrets: Mapping[str, str]
) -> SparkSession:
    """What `build` opens, with the settings that only an open session takes.

    Raises:
        EngineError: it did not start.
    """
    try:
        session = build()
        if remote:
            for name, value in _per_session(ENGINE_CONFIG).items():
                session.conf.set(name, value)
        else:
            session.sparkContext.setLogLevel("ERROR")
            _set(session, secrets)
    except Exception as error:  # whatever py4j or grpc throw, the remedy is the same
        where, _, parameters = remote.partition("/;")  # a token is among the parameters
        raise EngineError(
            f"Spark at {where or master} did not start: {type(error).__name__}: "
            f"{_told(error, remote)}; check JAVA_HOME (17) or SPARK_REMOTE"
        ) from (error if parameters == "" else None)
    return session


def _set(session: SparkSession, secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        hadoop = session.sparkContext._jsc.hadoopConfiguration()
        hadoop.set(name.removeprefix(HADOOP), value)


def _told(error: Exception, remote: str) -> str:
    parameters = remote.partition("/;")[2].split(";")
    return hidden(str(error), [p.partition("=")[2] for p in parameters])[:500]
