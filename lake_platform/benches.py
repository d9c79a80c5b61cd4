"""Where trials, checks of samples and previews work: production's parts in a home of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_platform.code.pins import CodeBase
from lake_platform.compose import (
    build_limits,
    build_metastore,
    build_store,
    build_use_cases,
    clock,
    spark_session,
)
from lake_platform.domain.bundle import Ports
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.domain.ports import Kafka
from lake_platform.domain.registry import SchemaKind
from lake_platform.domain.schema import Struct
from lake_platform.domain.storage import ObjectStore
from lake_platform.metastore.repository import Repository
from lake_platform.settings import Settings
from lake_platform.step_checks import code_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_platform.trial.check import CheckBench
    from lake_platform.trial.preview import PreviewBench
    from lake_platform.trial.trial import Bench


def bench_settings(settings: Settings, home: Path) -> Settings:
    """Those of a trial: nothing of it leaves `home`, whatever storage and Spark production has."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return settings.model_copy(update={
        "home": home, "jars_dir": settings.jars,
        "storage_url": "", "storage_options": {}, "metastore_url": "", "spark_remote": "",
        "spark_master": settings.spark_master if settings.spark_master.startswith("local")
        else "local[*]",
        "spark_conf": {
            "spark.local.dir": str(temporary),
            "spark.sql.warehouse.dir": (home / "warehouse").as_uri(),
            "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={temporary} -XX:-UsePerfData",
            **settings.spark_conf,
        },
    })  # fmt: skip


def build_bench(
    settings: Settings,
    session: Callable[[], SparkSession] | None = None,
    schemas: Sequence[str] = (),
    dataset: Dataset | None = None,
) -> Bench:
    """What `lake try` works on, in the home of `settings`: production's parts, but for a topic in
    memory. `session`: a Spark session to use instead of one of its own. `schemas`: of the batches
    of `dataset`, in the place of a registry."""
    from lake_platform.adapters.engines import spark_engines
    from lake_platform.adapters.memory.registry import SchemaFiles
    from lake_platform.adapters.memory.systems import MemoryKafka
    from lake_platform.adapters.process import LocalWorkers
    from lake_platform.audit.files import open_files
    from lake_platform.trial.trial import ACTOR, Bench

    topic, store, files = MemoryKafka(), build_store(settings), None
    if schemas and dataset is not None:
        kinds: dict[str, SchemaKind] = {"json_schema": "json", "protobuf": "protobuf"}
        files = SchemaFiles(schemas, kinds.get(dataset.value_format, "avro"))
        topic.registry = files
    metastore = build_metastore(settings, ACTOR)
    opened = session or spark_session(settings)

    code = code_of(settings)
    engine = spark_engines(opened, store, code)
    return Bench(
        topic=topic,
        ports=Ports(topic, store, metastore, engine, clock, LocalWorkers()),
        # Nothing is left for a next run: there is none.
        limits=replace(build_limits(settings), load_budget_seconds=math.inf),
        use_cases=build_use_cases(
            metastore, topic, analyse=partial(_analysed_here, opened, code), code=code
        ),
        files=open_files(settings.storage_root, {}, {}),
        spark_rows=partial(_rows_by_spark, opened, store),
        schemas=files,
    )


def build_check_bench(settings: Settings, *, steps: bool = False) -> CheckBench:
    """Where the sample of a check is loaded, in the storage of `settings`. `steps`: Spark looks at
    what they make of it, when there are any."""
    from lake_platform.adapters.engines import spark_engines
    from lake_platform.adapters.memory.systems import MemoryKafka
    from lake_platform.adapters.process import LocalWorkers
    from lake_platform.trial.check import CheckBench

    store = build_store(settings)
    code = code_of(settings)
    engine = spark_engines(spark_session(settings), store, code) if steps else None
    limits = build_limits(settings)
    return CheckBench(MemoryKafka(), store, engine, clock, LocalWorkers(), limits)


def build_preview_bench(
    settings: Settings,
    at_work: Settings,
    metastore: Repository,
    kafka: Kafka,
    session: Callable[[], SparkSession] | None = None,
) -> PreviewBench:
    """What a preview works on: the storage of `settings` is read, all else is in the home of
    `at_work` (bench_settings). Spark starts when a side needs it, unless there is a `session`."""
    from lake_platform.adapters.engines import spark_engines
    from lake_platform.adapters.process import LocalWorkers
    from lake_platform.audit.files import open_files
    from lake_platform.trial.preview import PreviewBench
    from lake_platform.trial.rows import read_rows

    once, opened = build_store(at_work), session or spark_session(at_work)
    code = code_of(at_work)

    def rows(dataset: Dataset, columns: Struct) -> Sequence[Mapping[str, Any]]:
        files = open_files(at_work.storage_root, {}, {})
        return read_rows(dataset, columns, files, partial(_rows_by_spark, opened, once)).rows

    return PreviewBench(
        use_cases=build_use_cases(
            metastore, kafka, analyse=partial(_analysed_here, opened, code), code=code
        ),
        kafka=kafka,
        real=build_store(settings),
        once=once,
        engine=spark_engines(opened, once, code),
        rows=rows,
        clock=clock,
        workers=LocalWorkers(),
        limits=build_limits(settings),
    )


def _rows_by_spark(
    session: Callable[[], SparkSession], store: ObjectStore, dataset: Dataset
) -> Sequence[Mapping[str, Any]]:
    from lake_platform.adapters.spark.show import all_rows

    url = store.url(table_prefix(dataset.table).rstrip("/"))
    return all_rows(session(), dataset.table, dataset.format, url)


def _analysed_here(
    session: Callable[[], SparkSession],
    code: CodeBase,
    dataset: Dataset,
    source: Struct,
    held: Struct | None,
) -> Sequence[str]:
    from lake_platform.adapters.spark import analysis
    from lake_platform.adapters.spark.step_code import load_asked

    if not dataset.has_sql:
        return ()
    load_asked(dataset, code)
    return analysis.told(session(), dataset, source, held)
