"""What a failed write of Spark says: the exception and its last cause, not which call it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from py4j.protocol import Py4JError

from lake_platform.adapters.spark_rows import engine_errors
from lake_platform.domain.batches import BatchJob
from lake_platform.errors import EngineError

_OF_S3A = """An error occurred while calling o918.parquet.
: org.apache.spark.SparkException: Job aborted.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.jobAbortedError(QueryExecutionErrors.scala)
Caused by: java.io.IOException: cannot close the file
\tat org.apache.hadoop.fs.s3a.S3ABlockOutputStream.close(S3ABlockOutputStream.java)
Caused by: com.amazonaws.SdkClientException: Unable to execute HTTP request: Connection refused
\t... 12 more
"""


@pytest.mark.parametrize(
    ("thrown", "shown"),
    [
        (_OF_S3A, "Job aborted. (Caused by: com.amazonaws.SdkClientException: Unable to execute "
         "HTTP request: Connection refused)"),
        ("An error occurred while calling o1.load", "An error occurred while calling o1.load"),
        ("[TABLE_NOT_FOUND] no table\n'Project [a]", "[TABLE_NOT_FOUND] no table"),
        ("", "of 't': ;"),
    ],
)  # fmt: skip
def test_the_cause_is_shown_on_one_line(thrown: str, shown: str) -> None:
    job = SimpleNamespace(batch="1-1", dataset=SimpleNamespace(table="t", transformed=False))
    with pytest.raises(EngineError) as caught, engine_errors(cast(BatchJob, job)):
        raise Py4JError(thrown)
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "the next load tries it again" in str(caught.value)
