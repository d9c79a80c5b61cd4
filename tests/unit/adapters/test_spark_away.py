"""Which failures of Spark are of a batch, and which of a system that is away."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException

from lake_platform.adapters.spark.errors import engine_errors
from lake_platform.errors import EngineError, EngineUnavailableError

AWAY = [
    ConnectionRefusedError("[Errno 111] Connection refused"),
    Py4JNetworkError("Answer from Java side is empty"),
    PySparkException("java.net.ConnectException: Call From a to b:9000 failed"),
    PySparkException("org.apache.hadoop.fs.s3a.AWSClientIOException: doesBucketExist on b"),
    PySparkException("Unable to execute HTTP request: Connect to 127.0.0.1:9 failed"),
    PySparkException(
        "com.amazonaws...: Service Unavailable (Service: Amazon S3; Status Code: 503)"
    ),
    PySparkException("java.nio.file.AccessDeniedException: s3a://b/k: getFileStatus"),
    PySparkException("<_InactiveRpcError of RPC that terminated with: StatusCode.UNAVAILABLE"),
    PySparkException("Job 7 cancelled because SparkContext was shut down"),
    PySparkException("java.io.IOException: No space left on device"),
    Py4JError("java.net.SocketTimeoutException: Read timed out"),
]
OF_THE_BATCH = [
    PySparkException("[UNRESOLVED_COLUMN] A column with name `nope` cannot be resolved"),
    PySparkException("org.apache.hudi.exception.SchemaBackwardsCompatibilityException: b"),
    PySparkException("java.lang.ClassCastException: class java.lang.Long cannot be cast"),
    PySparkException("MALFORMED_RECORD_IN_PARSING"),
    Py4JError("java.lang.OutOfMemoryError: Java heap space"),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda e: str(e)[:30])
def test_a_system_that_is_away_is_no_fault_of_the_batch(error: Exception) -> None:
    with (
        pytest.raises(EngineUnavailableError, match="try again"),
        engine_errors("a write", "try again"),
    ):
        raise error


@pytest.mark.parametrize("error", OF_THE_BATCH, ids=lambda e: str(e)[:30])
def test_what_is_in_the_batch_is(error: Exception) -> None:
    with pytest.raises(EngineError) as caught, engine_errors("a write", "try again"):
        raise error
    assert caught.type is EngineError
