"""Parquet tables as their readers see them: Spark with and without mergeSchema, DuckDB, Arrow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset as ds
import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.schema import Array, Decimal, Field, Map, Scalar, Struct, Type
from tests.spark_support import spark
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LONG, TEXT = Scalar("long"), Scalar("string")


class Readers:
    """Each reads the whole table; rows by id."""

    def __init__(self, session: SparkSession, root: Path) -> None:
        self._session, self._root = session, root / "storage/lake/t"

    def rows(self, column: str) -> list[dict[int, Any]]:
        return [
            self._spark(column, merge=True), self._spark(column, merge=False),
            self._duckdb(column), self._arrow(column),
        ]  # fmt: skip

    def _spark(self, column: str, merge: bool) -> dict[int, Any]:
        reader = self._session.read.option("mergeSchema", str(merge).lower())
        if not merge:
            # Without it Spark takes the columns of one file, whichever comes first.
            newest = max(self._root.rglob("*.parquet"), key=lambda p: p.name)
            reader = reader.schema(self._session.read.parquet(str(newest)).schema)
        frame = reader.parquet(str(self._root))
        if dict(frame.dtypes)[column] == "timestamp":  # Python's own go wrong in the year 1
            texts = frame.selectExpr("id", f"cast({column} AS string) AS v").collect()
            return {r["id"]: dt.datetime.fromisoformat(r["v"]) for r in texts}
        return {r["id"]: r[column] for r in frame.select("id", column).collect()}

    def _duckdb(self, column: str) -> dict[int, Any]:
        found: Any = duckdb.sql(
            f'SELECT id, "{column}" FROM '
            f"read_parquet('{self._root}/**/*.parquet', "
            f"union_by_name=true, hive_partitioning=true)"
        )
        return dict(found.fetchall())

    def _arrow(self, column: str) -> dict[int, Any]:
        newest = max(self._root.rglob("*.parquet"), key=lambda p: p.name)
        schema = ds.dataset(newest).schema
        table = ds.dataset(self._root, schema=schema, partitioning=None).to_table()
        return {r["id"]: r[column] for r in table.select(["id", column]).to_pylist()}


@pytest.fixture
def lab(tmp_path: Path, spark: SparkSession) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.store = open_store((tmp_path / "storage").as_uri())
    lab.engine = spark_engines(lambda: spark, lab.store)("parquet")
    yield lab
    lab.close()


@pytest.fixture
def readers(spark: SparkSession, tmp_path: Path) -> Readers:
    return Readers(spark, tmp_path)


def _source(kind: Type) -> Struct:
    return Struct((Field("id", LONG), Field("v", kind)))


PARTITIONS = [
    "007",
    "012",
    "1.10",
    "1.1",
    "2026-11-01",
    "-0",
    "true",
    "a/b",
    "x=y",
    "%2f",
    "\U0001f642",
]


def test_text_partitions_stay_text(lab: Lab, readers: Readers) -> None:
    lab.register(format="parquet", partition_by=("v",), source=_source(TEXT))
    sent: dict[int, str | None] = dict(enumerate(PARTITIONS))
    sent |= {100: "", 101: None}
    for number, text in sent.items():
        lab.send({"id": number, "v": text})
    lab.cycle()
    for rows in readers.rows("v"):
        assert rows == sent
    lab.load(replay=["2026-11-01-00:00"])
    for rows in readers.rows("v"):
        assert rows == sent


@pytest.mark.parametrize(
    ("narrow", "wide", "first", "second"),
    [
        (Scalar("int"), LONG, 5, 3_000_000_000),
        (Scalar("float"), Scalar("double"), 0.5, 0.1),
        (Decimal(4, 2), Decimal(7, 3), 12.25, 1000.125),
        (Struct((Field("x", Scalar("int")),)), None, {"x": 5}, {"x": 3_000_000_000}),
        (Array(Scalar("int")), None, [5, None], [3_000_000_000]),
        (Map(Scalar("int")), None, {"k": 5, "n": None}, {"k": 3_000_000_000}),
        (Array(Struct((Field("x", Scalar("float")),))), None, [{"x": 0.5}, None], [{"x": 0.1}]),
    ],
    ids=str,
)
def test_a_widened_column_is_read_together_with_older_files(
    lab: Lab, readers: Readers, narrow: Type, wide: Type | None, first: Any, second: Any
) -> None:
    lab.register(format="parquet", source=_source(narrow))
    lab.send({"id": 1, "v": first})
    lab.send({"id": 2, "v": None})
    lab.cycle()
    lab.send({"id": 3, "v": second})
    lab.cycle()
    lab.send({"id": 4, "v": first})
    lab.cycle()
    active = lab.metastore.active_schema("t")
    assert active is not None
    assert active.version == 2, "the widening, and nothing else"
    if wide is not None:
        assert active.source == _source(wide)

    def check() -> None:
        for rows in readers.rows("v"):
            plain = {k: _plain(v) for k, v in rows.items()}
            assert plain == {1: first, 2: None, 3: second, 4: first}

    check()
    assert lab.engine.profile(lab.metastore.get("t").dataset).rows == 4
    lab.load(replay=["2026-11-01-00:00"])  # also what was rewritten since is replaced, once
    check()


def _plain(value: Any) -> Any:
    if hasattr(value, "asDict"):
        return _plain(value.asDict())
    if isinstance(value, list) and value and type(value[0]) is tuple:
        return {k: _plain(v) for k, v in value}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value if isinstance(value, int | float | str | None) else float(value)


def test_old_dates_and_times(lab: Lab, readers: Readers) -> None:
    source = Struct(
        (Field("id", LONG), Field("d", Scalar("date")), Field("at", Scalar("timestamp")))
    )
    lab.register(format="parquet", source=source)
    days = ["0001-01-01", "1582-10-10", "1899-12-31", "20261101", "9999-12-31"]
    for number, day in enumerate(days):
        lab.send({"id": number, "d": day, "at": f"{day} 23:59:59.000001"})
    lab.cycle()
    wanted = [dt.date(1, 1, 1), dt.date(1582, 10, 10), dt.date(1899, 12, 31),
              dt.date(2026, 11, 1), dt.date(9999, 12, 31)]  # fmt: skip
    for rows in readers.rows("d"):
        assert rows == dict(enumerate(wanted))
    late = dt.time(23, 59, 59, 1)
    for rows in readers.rows("at"):
        found = {k: v.replace(tzinfo=None) for k, v in rows.items()}
        assert found == {n: dt.datetime.combine(d, late) for n, d in enumerate(wanted)}
