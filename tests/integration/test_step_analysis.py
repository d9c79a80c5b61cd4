"""What the engine says of SQL before anything is registered, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform import compose
from lake_platform.adapters.spark.analysis import analyse
from lake_platform.adapters.spark.registration import analyse_apart
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError
from lake_platform.settings import load_settings
from tests.spark_support import spark
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = pytest.mark.spark
SOURCE = Struct(
    (
        Field("id", Scalar("long")),
        Field("at", Scalar("string")),
        Field("__deleted", Scalar("string")),
    )
)
UPSERT: dict[str, Any] = {"mode": "upsert", "primary_key": ("id",)}


def dataset(*sql: str, **fields: Any) -> Dataset:
    steps = tuple(Transform(sql=s) for s in sql)
    return Dataset(topic="t", table="t", transforms=steps, **fields)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dataset("SELECT id, nothing_such(at) AS x FROM input"), "step 1: .*nothing_such"),
        (dataset("SELECT id + map(1, 2) AS x FROM input"), "transforms.sql.*DATATYPE_MISMATCH"),
        (dataset("SELECT id, CAST(at AS TIMESTAMP_NTZ) AS x FROM input"), "CAST it AS TIMESTAMP"),
        (dataset("SELECT id, id + 1 FROM input"), "gives columns .*id \\+ 1.*hudi table cannot"),
        (
            dataset("SELECT id, j.* FROM (SELECT id, from_json(at, 'ID INT') AS j FROM input)"),
            "columns id and ID, which differ only in case",
        ),
        (
            dataset("SELECT id FROM input WHERE CAST(at AS DATE) < 'today'"),
            "another result each time",
        ),
        (
            dataset("SELECT id, array(at) AS d FROM input", partition_by=("d",)),
            "is a array<string>",
        ),
        (
            dataset(delete_when="__deleted", **UPSERT),
            "delete_when='__deleted'.*is a string, not a condition.*__deleted = 'true'",
        ),
        (dataset("SELECT * FROM input", delete_when="id", **UPSERT), "bigint, not a condition"),
        (dataset(explode="id"), "explode='id'"),
    ],
)
def test_what_can_never_work_is_refused(spark: SparkSession, given: Dataset, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        analyse(spark, given, SOURCE)


def test_what_works_is_taken(spark: SparkSession) -> None:
    sql = "SELECT id, CAST(id AS SMALLINT) AS s, nick, coalesce(nick, at) AS n FROM input"
    found = analyse(spark, dataset(sql), SOURCE)
    assert str(found) == "struct<id:long,s:int,n:string>"
    good = dataset(delete_when="__deleted = 'true'", **UPSERT)
    assert str(analyse(spark, good, SOURCE)) == str(SOURCE)


def test_registration_asks_a_process_of_its_own(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.kafka.create_topic("t", 1)
    lab.kafka.produce("t", None, b'{"id":1,"at":"x"}', partition=0, timestamp_ms=lab.now_ms)
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka, settings=load_settings())
    with pytest.raises(InvalidFieldError, match=r"transforms.sql='SELECT nothing_such"):
        use_cases.register_dataset(dataset("SELECT nothing_such(id) AS x FROM input"), "ann")
    registered = use_cases.register_dataset(dataset("SELECT id FROM input"), "ann")
    assert list(registered.warnings) == []
    lab.close()


def test_without_java_the_registration_warns(tmp_path: Path) -> None:
    ask = analyse_apart({"JAVA_HOME": str(tmp_path / "none")}, {}, "")
    (warning,) = ask(dataset("SELECT id FROM input"), SOURCE, None)
    assert "the first load checks them whole" in warning
