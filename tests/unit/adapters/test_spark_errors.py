"""What Spark and py4j throw reaches users as an error of ours: what is so, and what to do."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import AnalysisException

from lake_platform.adapters.spark.errors import (
    engine_errors,
    look_errors,
    short,
    write_errors,
)
from lake_platform.domain.batches import BatchJob, BatchRange, Claim, Worker
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.offsets import RawCommit, RawObject
from lake_platform.domain.schema import Struct
from lake_platform.errors import EngineError, LakeError, TransformError


@pytest.fixture
def job() -> BatchJob:
    raw = RawObject("raw/x", 1, "2026-11-01-00:00", 40, 49, 10, 1, 1, "", 0, 0, 0)
    commit = RawCommit(3, "n", "t", "id", 0, {}, {}, (raw,), {}, 10, 1)
    batch = BatchRange(3, 4)
    claim = Claim(1, "n", batch, Worker("here", 1, 0.0), 0)
    return BatchJob(Dataset(topic="t", table="t"), claim, (commit,), Struct(), Struct(), 1, 4)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),  # the JVM was gone before the call
        ConnectionResetError(104, "Connection reset by peer"),
        Py4JNetworkError("Answer from Java side is empty"),  # it went during the call
    ],
)
def test_a_jvm_that_is_gone(job: BatchJob, error: Exception) -> None:
    told = f"^Spark failed on batch {job.batch} of 't': the Spark JVM is gone; the batch was not"
    with pytest.raises(EngineError, match=told), write_errors(job):
        raise error


_OF_S3A = """An error occurred while calling o918.parquet.
: org.apache.spark.SparkException: Job aborted.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.jobAbortedError(QueryExecutionErrors.scala)
Caused by: java.io.IOException: cannot close the file
\tat org.apache.hadoop.fs.s3a.S3ABlockOutputStream.close(S3ABlockOutputStream.java)
Caused by: com.amazonaws.SdkClientException: Unable to execute HTTP request: Connection refused
\t... 12 more
"""


_CONFLICT = """An error occurred while calling o77.save.
: org.apache.hudi.exception.HoodieException: Config conflict(key\tcurrent value\texisting value):
hoodie.table.ordering.fields:\tupd\tver
\tat org.apache.hudi.HoodieWriterUtils$.validateTableConfig(HoodieWriterUtils.scala)
"""


@pytest.mark.parametrize(
    ("thrown", "shown"),
    [
        (_CONFLICT, "existing value): hoodie.table.ordering.fields: upd ver;"),
        (_OF_S3A, "Job aborted. (Caused by: com.amazonaws.SdkClientException: Unable to execute "
         "HTTP request: Connection refused);"),
        ("An error occurred while calling o1.load", "An error occurred while calling o1.load;"),
        ("[TABLE_NOT_FOUND] no table\n'Project [a]", "[TABLE_NOT_FOUND] no table;"),
        ("", "of 't': ;"),
    ],
)  # fmt: skip
def test_spark_says_what_it_did_not_like_on_one_line(
    job: BatchJob, thrown: str, shown: str
) -> None:
    with pytest.raises(EngineError) as caught, write_errors(job):
        raise Py4JError(thrown)
    assert f"{shown} the batch was not committed, the next load tries it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_look_changes_nothing() -> None:
    told = "^Spark failed on a look at table 't': no such column; nothing was changed, try again$"
    with pytest.raises(EngineError, match=told), look_errors("t"):
        raise AnalysisException("no such column")


def test_a_failure_is_a_steps_when_its_steps_fail_again(job: BatchJob) -> None:
    failed = TransformError("t", "1", job.batch.id, "partition 1 offset 40", "division by zero")

    def fail_again() -> None:
        raise failed

    with pytest.raises(TransformError) as caught, write_errors(job, fail_again):
        raise Py4JError("Job aborted")
    assert caught.value is failed
    # The words alone say nothing.
    with pytest.raises(EngineError), write_errors(job, lambda: None):
        raise Py4JError("lake_transform: division by zero")


def test_errors_of_ours_and_bugs_pass() -> None:
    for error in (LakeError("ours"), ValueError("a bug")):
        with pytest.raises(type(error)) as caught, engine_errors("x", "y"):
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    "before",
    [
        "An exception was thrown from the Python worker. Please see the stack trace below.\n",
        "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted: "
        "org.apache.spark.api.python.PythonException: ",
    ],
)
def test_what_python_raised_is_shown_without_its_stack(before: str) -> None:
    stack = (
        'Traceback (most recent call last):\n  File "/defs/orders.py", line 7, in checked\n'
        "    raise ValueError('seventy')\nValueError: seventy\n\n\tat org.apache.spark.Python.run\n"
    )
    assert short(Exception(before + stack)) == "Python raises ValueError: seventy"
