"""The archive of class data for Spark's JVM: of what small loads use of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lake_platform import benches
from lake_platform.adapters.spark import class_data
from lake_platform.adapters.spark.session import session_jars
from lake_platform.compose import ensure_java, spark_session
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.embedded.jars import exclusive
from lake_platform.errors import SetupError
from lake_platform.settings import Settings
from lake_platform.trial.acts import parse_act
from lake_platform.trial.records import Record
from lake_platform.trial.trial import Trial

_RECORDS = 200


def made(settings: Settings) -> Path | None:
    """The archive for sessions of these settings, if there is one.

    Raises:
        SetupError: there are no jars, or no Java 17.
    """
    return class_data.find(settings.jars, _name(settings))


def _name(settings: Settings) -> str:
    ensure_java(settings)
    name = class_data.name_of(session_jars(settings.jars))
    if name is None:
        raise SetupError("class data: JAVA_HOME has no file `release`; set it to a JDK 17")
    return name


def make(settings: Settings, home: Path) -> Path:
    """Takes a minute and 170 MB; gives back what another process made meanwhile. `home`: an empty
    directory to work in.

    Raises:
        SetupError: as `made`, and when the JVM cannot archive what it loaded.
    """
    with exclusive(settings.jars):
        found = made(settings)
        if found is not None:
            return found
        classes = home / "classes"
        path = _class_path_of_loads(settings, home, classes)
        return class_data.make(settings.jars, _name(settings), classes, path)


def _class_path_of_loads(settings: Settings, home: Path, classes: Path) -> str:
    """Of a JVM that notes its classes while it writes and compacts small tables."""
    # What is short-lived gains nothing from the second compiler.
    options = f"-Djava.io.tmpdir={home} -XX:TieredStopAtLevel=1 {class_data.noting(classes)}"
    noting = settings.model_copy(update={"spark_conf": {"spark.driver.extraJavaOptions": options}})
    at_work = benches.bench_settings(noting, home)
    session = spark_session(at_work)
    bench = benches.build_bench(at_work, session)
    for dataset, batches in _datasets():
        trial = Trial(bench, dataset)
        for number in range(batches):
            trial.batch(_records(number))
        trial.act(parse_act({"op": "compact"}))
        if failed := next((step.error for step in trial.steps if step.error), None):
            raise SetupError(f"class data: the load of a small table failed: {failed}")
    path = class_data.class_path(session())
    class_data.end(session())
    return path


def _datasets() -> Iterator[tuple[Dataset, int]]:
    """Each with the number of its batches."""
    steps = (Transform(kind="sql", sql="SELECT *, upper(text) AS loud FROM input WHERE n >= 0"),)
    append = Dataset(topic="append", table="append", format="hudi")
    upsert = replace(append, topic="upsert", table="upsert", mode="upsert", primary_key=("id",))
    partitioned = replace(
        upsert, topic="steps", table="steps", partition_by=("day",), ordering_field="n",
        transforms=steps,
    )  # fmt: skip
    yield from ((append, 1), (upsert, 2), (partitioned, 2))


def _records(batch: int) -> Iterator[Record]:
    for line in range(_RECORDS):
        number = batch * _RECORDS // 2 + line
        value = {
            "id": f"r{number}", "n": number, "text": f"text {number}", "share": number / 7,
            "day": f"2026-01-0{number % 3 + 1}", "at": "2026-01-01T10:00:00Z",
            "inside": {"items": [{"name": "a", "count": number}], "fine": True},
        }  # fmt: skip
        yield Record(line, json.dumps(value).encode(), key=f'{{"id":"r{number}"}}'.encode())
