"""Steps that are code, on the real engines: functions of JARs in SQL, classes over a whole
DataFrame, functions of the definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.adapters.spark.registration import analyse_apart
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.code.pins import CodeBase, pinned
from lake_platform.domain.batches import BatchJob, WriteResult
from lake_platform.domain.dataset import Dataset, Format
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import (
    InvalidFieldError,
    RebuildStoppedError,
    StepCodeError,
    TransformError,
)
from lake_platform.rebuild.rebuild import Rebuilder
from tests.audit_support import Copy
from tests.spark_support import spark, table_rows
from tests.step_jars import Jar, build_jar
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = pytest.mark.spark
MakeLab = Callable[..., Lab]
BATCH = "000000000001-000000000001"
TIDY = """
from pyspark.sql import DataFrame, functions as F
from .words import RATES

def tidy(frame: DataFrame) -> DataFrame:
    return frame.where(F.col("n") >= 0).withColumn("eur", F.col("n") * RATES["eur"])
"""
WORDS = 'RATES = {"eur": 2}\n'
ROWS = (
    {"id": 1, "name": "alice", "n": 3},
    {"id": 2, "name": "test-1", "n": 4},
    {"id": 3, "name": "bob", "n": -1},
    {"id": 4, "name": "carol", "n": 5},
)


@pytest.fixture(scope="session")
def jar(java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Jar:
    return build_jar(java_home, tmp_path_factory.mktemp("jars") / "example.jar")


@pytest.fixture
def base(tmp_path: Path, jar: Jar) -> CodeBase:
    definitions = tmp_path / "definitions"
    (definitions / "steps").mkdir(parents=True)
    (definitions / "steps" / "orders.py").write_text(TIDY)
    (definitions / "steps" / "words.py").write_text(WORDS)
    return CodeBase((jar.path.parent,), definitions)


@pytest.fixture
def make_lab(spark: SparkSession, tmp_path: Path, base: CodeBase) -> Iterator[MakeLab]:
    labs: list[Lab] = []

    def make(*values: Any, steps: tuple[Transform, ...], **fields: Any) -> Lab:
        lab = Lab(tmp_path)
        labs.append(lab)
        lab.store = open_store((tmp_path / "storage").as_uri())
        format_: Format = fields.get("format", "hudi")
        lab.engine = spark_engines(lambda: spark, lab.store, base)(format_)
        lab.read_rows = table_rows(spark, lab.store)
        table = fields.pop("table", "t")
        wanted = pinned(Dataset(topic="topic.t", table="t", transforms=steps, **fields), base)
        lab.register(table, transforms=wanted.transforms, max_quarantine_ratio=1.0, **fields)
        lab.send_all(values, table=table)
        return lab

    yield make
    for lab in labs:
        lab.close()


def values(lab: Lab) -> list[dict[str, Any]]:
    return [
        {c: v for c, v in row.items() if not c.startswith("_lake_")} for row in lab.plain_rows()
    ]


def chain(jar: Jar) -> tuple[Transform, ...]:
    return (
        Transform(
            kind="jar", jar=jar.path.name, sha256=jar.sha256,
            functions={"masked": "example.Mask"}, class_name="example.WithoutTests",
        ),
        Transform(sql="SELECT id, masked(name) AS name, initial, n FROM input WHERE n <> 100"),
        Transform(kind="python", function="steps.orders:tidy"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"format": "parquet"}, {}, {"mode": "upsert", "primary_key": ("id",)}],
    ids=["parquet", "hudi", "upsert"],
)
def test_steps_of_all_kinds_run_in_their_order(
    make_lab: MakeLab, tmp_path: Path, jar: Jar, fields: dict[str, Any]
) -> None:
    lab = make_lab(*ROWS, steps=chain(jar), **fields)
    (result,) = lab.cycle()
    found = result.applied.balance
    assert (found.records, found.written, found.dropped, found.difference) == (4, 2, 2, 0)
    wanted = [
        {"id": 1, "name": "***ce", "initial": "a", "n": 3, "eur": 6},
        {"id": 4, "name": "***ol", "initial": "c", "n": 5, "eur": 10},
    ]
    assert values(lab) == wanted
    assert [row["_kafka_offset"] for row in lab.rows()] == [0, 3]
    (again,) = lab.load(replay=["2026-11-01-00:00"])
    assert again.applied.balance.difference == 0
    assert values(lab) == wanted
    report = Copy(lab, tmp_path / "storage").audit(deep=True)
    assert report.sound, report


def test_steps_wait_for_a_record_that_has_their_columns(make_lab: MakeLab) -> None:
    step = Transform(sql="SELECT id, n + 1 AS m FROM input")
    lab = make_lab(b"{", None, steps=(step,), format="parquet")
    assert lab.cycle() == []
    assert lab.metastore.progress("t").load_error_kind == "NoRecordYetError"
    lab.send({"id": 1, "n": 2})
    lab.cycle()
    assert values(lab) == [{"id": 1, "m": 3}]
    assert len(lab.quarantined()) == 1


def python_step(base: CodeBase, text: str, **more: Any) -> Transform:
    path = base.definitions / "steps" / "mine.py"
    path.write_text("from pyspark.sql import Window, functions as F\n\n" + text)
    return Transform(kind="python", function="steps.mine:step", **more)


def one(jar: Jar, **fields: Any) -> Transform:
    return Transform(kind="jar", jar=jar.path.name, sha256=jar.sha256, **fields)


def columns(lab: Lab) -> str:
    """What the engine says the steps give, or why they cannot."""
    try:
        return str(lab.engine.derive(lab.dataset(), SOURCE))
    except TransformError as error:
        return str(error)


SOURCE = Struct(
    (Field("id", Scalar("long")), Field("name", Scalar("string")), Field("n", Scalar("long")))
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("frame.join(frame.select('id'), 'id')", "has a Join, which looks at other records"),
        ("frame.union(frame)", "has a Union, which looks at other records"),
        ("frame.groupBy('id', '_lake_record').agg(F.max('n'))", "has a Aggregate"),
        ("frame.withColumn('r', F.row_number().over(Window.orderBy('id')))", "has a Window"),
        ("frame.dropDuplicates(['id'])", "has a Deduplicate"),
        ("frame.limit(1)", "has a GlobalLimit"),
        ("frame.sample(0.5)", "has a Sample"),
        ("frame.withColumn('x', F.explode(F.split('name', 'a')))", "the dataset's field explode"),
        ("frame.withColumn('x', F.rand())", "gives another result each time"),
        ("frame.withColumn('x', F.current_timestamp())", "calls current_timestamp, which gives"),
        ("frame.withColumn('x', F.expr('(select 1)'))", "looks at other records"),
        ("frame.sparkSession.range(3)", "gives no column _lake_record"),
        ("frame.sparkSession.createDataFrame(frame.collect(), frame.schema)", "something else"),
        ("frame.select('id')", "gives no column _lake_record.*keep it"),
        ("frame.withColumn('_lake_record', F.lit(1))", "changes column _lake_record"),
        ("frame.withColumn('_kafka_day', F.lit(1))", "makes a column _kafka_day"),
        ("frame.select('*', F.lit(1).alias('ID'))", "gives columns id and ID"),
        ("frame.withColumn('x', F.expr('make_interval(1)'))", "column x is a interval"),
        ("frame.where('nothing > 1')", "nothing"),
        ("None", "gives a NoneType, not a DataFrame"),
        ("1 / 0", "raises ZeroDivisionError"),
    ],
)
def test_what_no_step_may_do_is_refused_by_its_plan(
    make_lab: MakeLab, base: CodeBase, body: str, said: str
) -> None:
    step = python_step(base, f"def step(frame):\n    return {body}\n")
    lab = make_lab(steps=(step,), format="parquet")
    told = columns(lab)
    assert re.search(said, told), told
    assert "transform 1 (steps.mine:step)" in told


@pytest.mark.parametrize(
    "body",
    [
        "frame.drop('n').withColumnRenamed('name', 'title')",
        "frame.select('_lake_record', 'id', F.upper('name').alias('title'))",
        "frame.where('n > 0').repartition(2).sort('id').select('id', F.col('name').alias('title'), "
        "'_lake_record')",
        "frame.drop('n', '_kafka_key', '_kafka_order').toDF('id', 'title', *frame.columns[3:6], "
        "'_lake_record')",
    ],
)
def test_a_step_may_do_with_columns_and_rows_what_it_likes(
    make_lab: MakeLab, base: CodeBase, body: str
) -> None:
    step = python_step(base, f"def step(frame):\n    return {body}\n")
    lab = make_lab(steps=(step,), format="parquet")
    assert columns(lab) == "struct<id:long,title:string>"


def test_python_udfs_reach_executors_with_what_they_use(make_lab: MakeLab, base: CodeBase) -> None:
    step = python_step(
        base,
        "from . import late\nfrom .words import RATES\n\n"
        "@F.udf('long')\ndef dear(n):\n    return n * RATES['eur'] + more()\n\n"
        "def more():\n    return late.MORE\n\n"
        "def pages(batches):\n    for page in batches:\n        yield page[page['n'] > 0]\n\n"
        "def step(frame):\n"
        "    made = frame.withColumn('n', dear('n'))\n"
        "    return made.mapInPandas(pages, made.schema)\n",
    )
    (base.definitions / "steps" / "late.py").write_text("MORE = 1\n")
    lab = make_lab(*ROWS, steps=(step,), format="parquet")
    lab.cycle()
    assert [(row["id"], row["n"]) for row in values(lab)] == [(1, 7), (2, 9), (4, 11)]


def test_a_record_with_two_rows_stops_the_batch(
    make_lab: MakeLab, base: CodeBase, jar: Jar
) -> None:
    lab = make_lab(*ROWS, steps=(one(jar, class_name="example.Twice", name="two"),))
    said = rf"1 \(two\) failed on batch {BATCH} \(first record partition 0 offset 1\): gives more"
    with pytest.raises(TransformError, match=said):
        lab.cycle()
    assert lab.rows() == []
    mixed = python_step(
        base,
        "def confuse(batches):\n    for page in batches:\n"
        "        page['_lake_record'] = [page['_lake_record'][0]] * len(page)\n"
        "        yield page\n\n"
        "def step(frame):\n    return frame.mapInPandas(confuse, frame.schema)\n",
    )
    other = make_lab(*ROWS, steps=(mixed,), format="parquet", table="other")
    with pytest.raises(TransformError, match=r"offset 0\): gives more than one row of it"):
        other.cycle("other")


@pytest.mark.parametrize(
    ("place", "bad", "said"),
    [
        ("sql", {"id": 9, "name": "refused", "n": 1}, r"transform 2 \(hide\).*cannot mask refused"),
        ("class", {"id": 9, "name": None, "n": 1}, r"transform 1 \(example.WithoutTests\).*Null"),
        ("python", {"id": 9, "name": "x", "n": 77}, r"transform 3 \(steps.mine:step\).*seventy"),
    ],
)
def test_a_step_that_fails_names_itself_batch_and_first_record(
    make_lab: MakeLab, base: CodeBase, jar: Jar, place: str, bad: dict[str, Any], said: str
) -> None:
    step = python_step(
        base,
        "@F.udf('long')\ndef checked(n):\n    if n == 77:\n        raise ValueError('seventy')\n"
        "    return n\n\ndef step(frame):\n    return frame.withColumn('m', checked('n'))\n",
    )
    code = one(jar, functions={"masked": "example.Mask"}, class_name="example.WithoutTests")
    sql = Transform(name="hide", sql="SELECT id, masked(name) AS name, n FROM input")
    good = {"id": 1, "name": "alice", "n": 3}
    lab = make_lab(good, good, bad, good, bad, steps=(code, sql, step), format="parquet")
    with pytest.raises(TransformError) as caught:
        lab.cycle()
    told = str(caught.value)
    assert re.search(said, told), told
    assert f"batch {BATCH} (first record partition 0 offset 2)" in told
    assert lab.rows() == [], place


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"functions": {"masked": "example.Nothing"}}, "class example.Nothing of .*jar"),
        ({"functions": {"masked": "example.WithoutTests"}}, "class example.WithoutTests of"),
        ({"class_name": "example.Nothing"}, "ClassNotFoundException"),
        ({"class_name": "example.Mask"}, "is not a java.util.function.Function"),
    ],
)
def test_classes_that_do_not_fit_are_named(
    make_lab: MakeLab, jar: Jar, fields: dict[str, Any], said: str
) -> None:
    sql = Transform(sql="SELECT id, masked(name) AS name FROM input")
    lab = make_lab(steps=(one(jar, **fields), sql), format="parquet")
    told = columns(lab)
    assert re.search(said, told), told


def test_functions_are_for_the_steps_behind_and_delete_when(make_lab: MakeLab, jar: Jar) -> None:
    functions = one(jar, functions={"Masked": "example.Mask", "total": "example.Total"})
    first = Transform(sql="SELECT id, masked(name) AS name, n FROM input")
    before = make_lab(steps=(first, functions), format="parquet")
    assert "masked" in columns(before)
    assert "transform 1 failed" in columns(before)
    lab = make_lab(
        *ROWS, {"id": 1, "name": "gone", "n": 3},
        steps=(functions, Transform(sql="SELECT id, total(double(n), 2L) AS n, name FROM input")),
        delete_when="masked(name) = '**ne'", mode="upsert", primary_key=("id",), table="u",
    )  # fmt: skip
    lab.cycle("u")
    assert [(row["id"], row["n"]) for row in lab.plain_rows("u")] == [(2, 8), (3, -2), (4, 10)]


def test_a_load_stops_when_code_is_not_what_is_on_record(
    make_lab: MakeLab, base: CodeBase, jar: Jar, java_home: Path
) -> None:
    lab = make_lab(*ROWS, steps=chain(jar))
    lab.cycle()
    held = values(lab)
    lab.send({"id": 5, "name": "dora", "n": 6})
    claims = sorted(i.key for i in lab.store.list("checkpoints/t/phase2/"))
    words = base.definitions / "steps" / "words.py"
    words.write_text('RATES = {"eur": 3}\n')
    lab.dump()
    for replay in ([], ["2026-11-01-00:00"]):
        with pytest.raises(StepCodeError, match=r"step 3 \(steps.orders:tidy\) is not what is on"):
            list(lab.load(replay=replay))
    assert values(lab) == held
    assert sorted(i.key for i in lab.store.list("checkpoints/t/phase2/")) == claims
    words.write_text(WORDS)
    lab.load()
    assert values(lab)[-1] == {"id": 5, "name": "**ra", "initial": "d", "n": 6, "eur": 12}
    # A new version on record is what the next batch is made by, and the rows of before stay.
    words.write_text('RATES = {"eur": 3}\n')
    steps = pinned(replace_steps(lab.dataset(), python=""), base).transforms
    lab.metastore.update("t", {"transforms": [s.plain() for s in steps]}, 1, "ann")
    lab.send({"id": 6, "name": "emil", "n": 7})
    lab.cycle()
    assert [row["eur"] for row in values(lab)] == [6, 10, 12, 21]
    assert java_home


def replace_steps(dataset: Dataset, python: str) -> Dataset:
    """With another fingerprint on record for functions."""
    steps = tuple(
        replace(s, sha256=python) if s.kind == "python" else s for s in dataset.transforms
    )
    return replace(dataset, transforms=steps)


def test_a_writer_that_died_is_followed_with_the_code_on_record_alone(
    make_lab: MakeLab, base: CodeBase, jar: Jar
) -> None:
    lab = make_lab(*ROWS, steps=chain(jar), format="parquet")
    real = lab.engine

    class Dying(ParquetEngine):
        def write(self, job: BatchJob) -> WriteResult:
            raise KeyboardInterrupt(job.batch.id)

    lab.engine = Dying(real._session, lab.store, base)  # type: ignore[attr-defined]
    lab.dump()
    with pytest.raises(KeyboardInterrupt):
        lab.load()
    lab.workers.crash()
    lab.engine = real
    words = base.definitions / "steps" / "words.py"
    words.write_text('RATES = {"eur": 3}\n')
    with pytest.raises(StepCodeError):
        lab.load()
    words.write_text(WORDS)
    lab.load()
    assert [(row["id"], row["eur"]) for row in values(lab)] == [(1, 6), (4, 10)]


def test_a_rebuild_runs_the_code_on_record_alone(
    make_lab: MakeLab, spark: SparkSession, base: CodeBase, jar: Jar
) -> None:
    lab = make_lab(*ROWS, steps=chain(jar), format="parquet")
    lab.cycle()
    held = values(lab)
    ports = replace(lab.ports(), engine=spark_engines(lambda: spark, lab.store, base))
    work = Rebuilder(lab.metastore, ports, lab.limits)
    words = base.definitions / "steps" / "words.py"
    words.write_text('RATES = {"eur": 3}\n')
    with pytest.raises((StepCodeError, RebuildStoppedError), match="is not what is on record"):
        work.begin("t", {"partition_by": ["id"]}, "ops")
        list(work.build("t"))
    words.write_text(WORDS)
    work.abort("t", "ops")
    work.begin("t", {"partition_by": ["id"]}, "ops")
    assert list(work.build("t"))
    assert work.compare("t").problems == ()
    work.swap("t")
    assert values(lab) == held
    assert lab.dataset().partition_by == ("id",)
    assert lab.dataset().transforms == chain_pinned(jar, base)


def chain_pinned(jar: Jar, base: CodeBase) -> tuple[Transform, ...]:
    return pinned(Dataset(topic="t", table="t", transforms=chain(jar)), base).transforms


def test_registration_looks_at_code_with_the_engine(
    base: CodeBase, jar: Jar, java_home: Path
) -> None:
    analyse = analyse_apart({"JAVA_HOME": str(java_home)}, {}, "", base)
    good = pinned(Dataset(topic="t", table="t", transforms=chain(jar)), base)
    assert analyse(good, SOURCE, None) == []
    builtin = replace(good, transforms=(one(jar, functions={"mask": "example.Mask"}),))
    with pytest.raises(InvalidFieldError, match="is a function of Spark SQL"):
        analyse(builtin, SOURCE, None)
    bad = python_step(base, "def step(frame):\n    return frame.select('id', 'nothing')\n")
    with pytest.raises(InvalidFieldError, match="nothing") as caught:
        analyse(pinned(replace(good, transforms=(bad,)), base), SOURCE, None)
    assert (caught.value.field, caught.value.value) == ("transforms.function", "steps.mine:step")
