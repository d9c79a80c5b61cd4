"""What Spark, Hudi and a JVM that is gone throw, as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import takewhile

from lake_platform.domain.batches import BatchJob
from lake_platform.errors import EngineError, EngineUnavailableError

_SHORT = 350
# What systems say that do not answer, are full or do not let us in: no fault of a batch, and over
# as soon as they are well again.
_AWAY = re.compile(
    r"ConnectException|UnknownHostException|NoRouteToHostException|SocketException"
    r"|SocketTimeoutException|InterruptedIOException|ConnectTimeoutException|Connection refused"
    r"|Unable to execute HTTP request|AWSClientIOException|AWSServiceIOException|AWSStatus500"
    r"|AWSServiceThrottled|SlowDown|Service Unavailable|Status Code: (403|5\d\d)"
    r"|AccessDeniedException|StatusCode\.(UNAVAILABLE|DEADLINE_EXCEEDED|UNAUTHENTICATED)"
    r"|SparkContext was shut down|stopped SparkContext|No space left on device"
    r"|HoodieWriteConflictException|heartbeat"
)


@contextmanager
def engine_errors(what: str, remedy: str) -> Iterator[None]:
    """Raises: EngineError, EngineUnavailableError where Spark or what it needs is away. `what` was
    tried, `remedy` is what is so now and what to do."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    # Once the JVM is gone py4j cannot even connect, and says so in Python's own words.
    except (PySparkException, Py4JError, ConnectionError) as error:
        gone = _is_gone(error)
        why = "the Spark JVM is gone" if gone else short(error)
        kind = EngineUnavailableError if gone or _AWAY.search(str(error)) else EngineError
        raise kind(f"Spark failed on {what}: {why}; {remedy}") from error


def look_errors(table: str) -> AbstractContextManager[None]:
    """Raises: EngineError."""
    return engine_errors(f"a look at table {table!r}", "nothing was changed, try again")


@contextmanager
def write_errors(job: BatchJob, check_steps: Callable[[], None] = lambda: None) -> Iterator[None]:
    """`check_steps` is called after a failure, and raises when it was a step of the dataset.

    Raises: EngineError, and what `check_steps` raises."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    with engine_errors(
        f"batch {job.batch} of {job.dataset.table!r}",
        "the batch was not committed, the next load tries it again",
    ):
        try:
            yield
        except (PySparkException, Py4JError):
            check_steps()
            raise


def first_record(job: BatchJob) -> str:
    first = job.objects[0]
    return f"partition {first.partition} offset {first.first_offset}"


def short(error: BaseException) -> str:
    """What was thrown and the last cause of it, without the stack. py4j puts a line of its own
    before that, which says only which call it was."""
    raised = _raised_in_python(str(error))
    if raised:
        return f"Python raises {raised[:_SHORT]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if lines[0].startswith("An error occurred while calling") and len(lines) > 1:
        lines = [lines[1].removeprefix(": "), *lines[2:]]
    causes = [line for line in lines[1:] if line.startswith("Caused by: ")]
    thrown = _sentence(lines)[:_SHORT]
    return f"{thrown} ({causes[-1][:_SHORT]})" if causes else thrown


def _raised_in_python(text: str) -> str:
    """The line behind a Python worker's stack; empty where there is none."""
    _, _, stack = text.partition("Traceback (most recent call last):\n")
    indent = len(stack) - len(stack.lstrip())
    # The driver's own text of it is indented as a whole.
    ended = (line for line in stack.splitlines() if len(line) - len(line.lstrip()) < indent)
    return next((line.strip() for line in ended if line.strip()), "")


def _sentence(lines: list[str]) -> str:
    """The first line; where it ends in a colon, with those it announces (a config conflict's)."""
    thrown = lines[0]
    if thrown.endswith(":"):
        told = takewhile(lambda line: not line.startswith(("at ", "Caused by: ")), lines[1:])
        thrown = " ".join([thrown, *(" ".join(line.split()) for line in told)])
    return thrown


def _is_gone(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or "Py4JNetworkError" in type(error).__name__
