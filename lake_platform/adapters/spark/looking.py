"""What every engine whose steps are run by Spark says of them; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lake_platform.adapters.spark.culprit import judged
from lake_platform.adapters.spark.errors import look_errors
from lake_platform.adapters.spark.names import unused
from lake_platform.adapters.spark.rows import derive
from lake_platform.adapters.spark.step_code import clashes, load_code
from lake_platform.code.pins import NO_CODE, CodeBase, check_pins
from lake_platform.domain.batches import BatchJob, Judgement
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Names
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class StepsBySpark:
    """A part of `domain.ports.TableEngine`. `session` opens the Spark session on first use; `code`
    is where code of steps comes from."""

    def __init__(
        self, session: Callable[[], SparkSession], store: ObjectStore, code: CodeBase = NO_CODE
    ) -> None:
        self._session, self._store, self._code = session, store, code

    def check_steps(self, dataset: Dataset) -> None:
        check_pins(dataset, self._code)

    def derive(self, dataset: Dataset, source: Struct, seen: Struct | None = None) -> Struct:
        with look_errors(dataset.table):
            return derive(self._ready(dataset), dataset, source, seen)

    def unused(self, dataset: Dataset, source: Struct) -> frozenset[Names]:
        return unused(dataset, source)

    def judge(self, job: BatchJob) -> Judgement:
        return judged(lambda: self._ready(job.dataset), job, self._store)

    def _ready(self, dataset: Dataset) -> SparkSession:
        """The session that the steps of `dataset` can run in. Raises: StepCodeError."""
        load_code(dataset, self._code)
        spark = self._session()
        if clashes(spark, dataset):
            spark.stop()  # its executors keep the classes they have
            spark = self._session()
        return spark
