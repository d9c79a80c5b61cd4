"""One step run: code or SQL, with what is wrong with it said of the step."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lake_platform.adapters.spark.errors import short
from lake_platform.adapters.spark.frames import FrameError, run_function
from lake_platform.adapters.spark.step_code import CodeError, frame_function, functions, renamed
from lake_platform.adapters.spark.types import NoColumnTypeError, column_type
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class StepError(Exception):
    """A step cannot be run on these columns. `step` names it; `column` where one is to blame."""

    def __init__(self, step: str, why: str, field: str = "transforms.sql", sql: str = "") -> None:
        super().__init__(why)
        self.step, self.why, self.field, self.sql = step, why, field, sql


def run_code(
    step: Transform, name: str, frame: DataFrame, technical: Sequence[str]
) -> DataFrame:  # fmt: skip
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.errors import PySparkException

    field, value = step.said
    try:
        function = frame_function(frame.sparkSession, step)
        made = run_function(function, frame, technical, lambda it: _typed(name, value, it))
        out = analysed(name, value, lambda: made)
    except (CodeError, FrameError) as error:
        raise StepError(name, str(error), field, value) from error
    except StepError as error:
        raise StepError(name, error.why, field, value) from error
    except (PySparkException, Py4JJavaError) as error:
        raise StepError(name, short(error), field, value) from error
    except (Py4JError, ConnectionError):
        raise  # the JVM is gone
    except Exception as error:  # somebody's code: whatever it raises is its error
        raise StepError(name, f"raises {type(error).__name__}: {error}", field, value) from error
    return out


def with_functions(
    steps: Sequence[Transform], frame: DataFrame, sql: str, name: str, field: str = "transforms.sql"
) -> str:  # fmt: skip
    try:
        return renamed(sql, functions(frame.sparkSession, steps))
    except CodeError as error:
        raise StepError(name, str(error), field, sql) from error


def delete_when(dataset: Dataset, frame: DataFrame) -> str:
    name = "delete_when"
    return with_functions(dataset.transforms, frame, dataset.delete_when, name, name)


def analysed(name: str, sql: str, build: Callable[[], DataFrame]) -> DataFrame:
    from pyspark.errors import PySparkException

    try:
        frame = _typed(name, sql, build())
        frame.schema  # noqa: B018 - Spark Connect analyses only when asked
    except PySparkException as error:
        raise StepError(name, short(error), sql=sql) from error
    return frame


def _typed(name: str, sql: str, frame: DataFrame) -> DataFrame:
    """Types that Python has no name for are named, too, where the session is a classic one."""
    java = getattr(frame, "_jdf", None)
    if java is None:
        return frame
    for field in json.loads(java.schema().json())["fields"]:
        try:
            column_type(field["type"], field["name"])
        except NoColumnTypeError as error:
            if error.kind == "interval":
                raise StepError(name, str(error), sql=sql) from error
    return frame
