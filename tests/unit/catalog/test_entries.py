"""The entries a table should have: types, formats, Spark's parameters, names, notes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake_platform.catalog.comments import comments
from lake_platform.catalog.entries import entry_names, wanted
from lake_platform.catalog.types import hive_type, unreadable
from lake_platform.domain.catalog import OWNER, Column, Entry, Stored
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.mapping import Mapped
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.schema import (
    JSON,
    RESCUED,
    UNKNOWN,
    Array,
    Decimal,
    Field,
    Map,
    Scalar,
    Struct,
    Type,
)

LONG, TEXT = Scalar("long"), Scalar("string")
ROOT = "s3://bucket/root"


def dataset(**values: Any) -> Dataset:
    return Dataset(topic="t", table=values.pop("table", "orders"), **values)


def entries(stored: Stored, **values: Any) -> dict[str, Entry]:
    return {e.name: e for e in wanted(dataset(**values), stored, ROOT).entries}


def spark_schema(entry: Entry) -> Any:
    held = entry.parameters
    count = int(held["spark.sql.sources.schema.numParts"])
    parts = (held[f"spark.sql.sources.schema.part.{n}"] for n in range(count))
    return json.loads("".join(parts))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((Scalar(n), n) for n in
          ("int", "float", "double", "boolean", "string", "binary", "date", "timestamp")),
        (Scalar("timestamp", "ms"), "timestamp"),
        (LONG, "bigint"),
        (JSON, "string"),
        (RESCUED, "string"),
        (Decimal(38, 9), "decimal(38,9)"),
        (Array(Array(LONG)), "array<array<bigint>>"),
        (Map(Decimal(9, 2)), "map<string,decimal(9,2)>"),
        (Struct((Field("A", LONG), Field("b", Map(Struct((Field("c", JSON),)))))),
         "struct<a:bigint,b:map<string,struct<c:string>>>"),
    ],
)  # fmt: skip
def test_every_type_has_its_text(kind: Type, text: str) -> None:
    assert hive_type(kind) == text


def test_a_field_that_hive_cannot_read_is_left_out_and_named() -> None:
    inner = Struct((Field("a-b", LONG), Field("c", Array(Struct((Field("d:e", LONG),))))))
    kind = Struct((Field("x", inner), Field("y", LONG)))
    assert hive_type(kind) == "struct<y:bigint>"
    assert unreadable(kind, "o") == ["o.x.a-b", "o.x.c[].d:e"]


def test_a_copy_on_write_table() -> None:
    stored = Stored(Struct((Field("_hoodie_commit_time", TEXT), Field("Id", LONG))), 1, "cow")
    (entry,) = entries(stored).values()
    assert entry.name == "orders"
    assert entry.location == "s3://bucket/root/lake/orders"
    assert [c.name for c in entry.columns] == ["_hoodie_commit_time", "id"]
    assert entry.input_format == "org.apache.hudi.hadoop.HoodieParquetInputFormat"
    assert entry.serde_parameters["hoodie.query.as.ro.table"] == "false"
    assert entry.serde_parameters["path"] == entry.location
    assert entry.parameters["spark.sql.sources.provider"] == "hudi"
    assert entry.parameters[OWNER] == "orders@s3://bucket/root"
    assert [f["name"] for f in spark_schema(entry)["fields"]] == ["_hoodie_commit_time", "Id"]


def test_a_merge_on_read_table_has_one_entry_that_merges_and_one_that_does_not() -> None:
    found = entries(Stored(Struct((Field("id", LONG),)), 1, "mor"))
    assert list(found) == ["orders", "orders_rt", "orders_ro"]
    assert set(found) == set(entry_names(dataset(), True))
    merges = "org.apache.hudi.hadoop.realtime.HoodieParquetRealtimeInputFormat"
    assert found["orders"].input_format == found["orders_rt"].input_format == merges
    assert found["orders_ro"].input_format.endswith("hadoop.HoodieParquetInputFormat")
    ro = {n: e.serde_parameters["hoodie.query.as.ro.table"] for n, e in found.items()}
    assert ro == {"orders": "false", "orders_rt": "false", "orders_ro": "true"}


def test_a_parquet_table_whose_folders_are_named_apart() -> None:
    columns = Struct((Field("day", Scalar("date")), Field("id", LONG)))
    folders = ((("2026-11-01",), "lake_part_day=2026-11-01"),)
    stored = Stored(columns, 1, "", ("lake_part_day",), folders)
    found = wanted(dataset(format="parquet"), stored, ROOT)
    (entry,) = found.entries
    assert entry.keys == (Column("lake_part_day", "string"),)
    assert [c.name for c in entry.columns] == ["day", "id"]
    names = [f["name"] for f in spark_schema(entry)["fields"]]
    assert names == ["day", "id", "lake_part_day"]
    assert entry.parameters["spark.sql.sources.schema.partCol.0"] == "lake_part_day"
    assert entry.parameters["spark.sql.partitionProvider"] == "catalog"
    (partition,) = found.partitions
    assert partition.location == f"{entry.location}/lake_part_day=2026-11-01"
    assert partition.columns == entry.columns


def test_keys_that_are_columns_come_last_and_once() -> None:
    columns = Struct((Field("day", Scalar("date")), Field("id", LONG)))
    (entry,) = entries(Stored(columns, 1, "cow", ("day",))).values()
    assert entry.keys == (Column("day", "date"),)
    assert [c.name for c in entry.columns] == ["id"]
    assert [f["name"] for f in spark_schema(entry)["fields"]] == ["id", "day"]


def test_a_long_schema_is_cut_into_parts_and_comes_together_again() -> None:
    columns = Struct(tuple(Field(f"column_{n}", LONG) for n in range(400)))
    (entry,) = entries(Stored(columns, 1, "cow")).values()
    parts = [v for n, v in entry.parameters.items() if ".schema.part." in n]
    assert len(parts) > 5
    assert max(map(len, parts)) <= 4000
    assert [f["name"] for f in spark_schema(entry)["fields"]] == [f.name for f in columns.fields]


def test_spark_reads_json_as_text_at_any_depth() -> None:
    kind = Struct((Field("a", Array(JSON)), Field("m", Map(JSON))))
    (entry,) = entries(Stored(Struct((Field("o", kind), Field("_rescued", RESCUED))), 1)).values()
    assert "json" not in json.dumps(spark_schema(entry)).replace("rescued", "")
    assert "metadata" in spark_schema(entry)["fields"][0]


def test_columns_that_are_one_to_hive_are_told() -> None:
    columns = Struct((Field("Id", LONG), Field("ID", TEXT), Field("none", UNKNOWN)))
    found = wanted(dataset(), Stored(columns, 1), ROOT)
    assert [c.name for c in found.entries[0].columns] == ["id"]
    assert found.notes == (
        "column ID is not in the catalog: to Hive it is column Id, case does not count",
    )


def test_names_are_as_hive_takes_them() -> None:
    (entry,) = entries(Stored(Struct((Field("id", LONG),)), 1), table="Shop.orders-v2").values()
    assert entry.name == "shop_orders_v2"
    assert entry.location.endswith("/lake/Shop.orders-v2")


def test_comments_are_one_line_and_not_too_long() -> None:
    told = {"Id": "first\nsecond " + "x" * 300}
    stored = Stored(Struct((Field("id", LONG),)), 1)
    (entry,) = wanted(dataset(description="a\nb"), stored, ROOT, told).entries
    assert entry.columns[0].comment.startswith("first second x")
    assert len(entry.columns[0].comment) == 255
    assert entry.description == "a b"


def test_comments_say_where_columns_come_from() -> None:
    source = Struct((Field("id", LONG), Field("e_mail", TEXT, key="e-mail")))
    lines = [(1, Mapped(("e-mail",), "e_mail", "string", ("renamed",), "no name", 1.0, ""))]
    found = comments(dataset(mode="upsert", primary_key=("id",)), SchemaVersion(1, source), lines)
    assert found["id"] == "primary key"
    assert found["e_mail"] == 'from "e-mail"; no name'
    assert found["_kafka_offset"] == "Kafka offset of the record"
