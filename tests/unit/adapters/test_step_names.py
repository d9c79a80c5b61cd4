"""Columns that SQL names, held against the records' own: answered without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake_platform import compose
from lake_platform.adapters.spark.names import resolve, unused
from lake_platform.adapters.spark.paths import with_missing
from lake_platform.domain.dataset import Dataset, Rule
from lake_platform.domain.schema import Array, Field, Scalar, Struct
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError
from tests.support import Lab

LONG, TEXT = Scalar("long"), Scalar("string")
ROW = Struct((Field("id", LONG), Field("city", TEXT)))
SOURCE = Struct(
    (
        Field("id", LONG),
        Field("name", TEXT),
        Field("after", ROW),
        Field("items", Array(Struct((Field("sku", TEXT),)))),
    )
)


def dataset(*sql: str, **fields: Any) -> Dataset:
    steps = tuple(Transform(sql=s) for s in sql)
    return Dataset(topic="t", table="t", transforms=steps, **fields)


@pytest.mark.parametrize(
    ("sql", "missing", "columns"),
    [
        (["SELECT id, coalesce(nick, NAME) AS n FROM input"], ["nick"], ["id", "n"]),
        (["SELECT * FROM input", "SELECT nick, ID FROM input"], ["nick"], ["nick", "ID"]),
        (["SELECT after.* FROM input WHERE after.day > 0"], ["after.day"], ["id", "city"]),
        (["SELECT before.*, id AS x FROM input"], ["before.*"], None),
        (
            ["WITH a AS (SELECT i.after AS x FROM input i) SELECT a.x.id, x.zz AS z FROM a"],
            ["after.zz"],
            ["id", "z"],
        ),
        (["SELECT transform(items, x -> x.sku) AS s FROM input"], [], ["s"]),
        (["SELECT items.sku AS s, items[0].tax AS t FROM input"], ["items.tax"], ["s", "t"]),
        (["SELECT id + 1 AS a, a + 1 AS b FROM input"], [], ["a", "b"]),
        (["SELECT _kafka_offset AS at, id FROM input"], [], ["at", "id"]),
        (["SELECT `id` AS `a b` FROM `input` AS `i` WHERE `i`.`id` > 0"], [], ["a b"]),
    ],
)
def test_names_are_found_or_missing(
    sql: list[str], missing: list[str], columns: list[str] | None
) -> None:
    found = resolve(dataset(*sql), SOURCE)
    shown = sorted(".".join(p) for p in found.missing)
    assert [m.replace(".[]", "") for m in shown] == missing
    assert found.columns == columns


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (["SELECT id FROM input", "SELECT name FROM input"], "step 2: .*no column name.*are: id"),
        (["WITH a AS (SELECT id FROM input) SELECT name FROM a"], "step 1: .*no column name"),
        (["SELECT *, lower(name) AS name FROM input"], "gives column name twice"),
        (["SELECT *, id AS ID FROM input"], "columns id, ID, which differ only in case"),
        (["SELECT id, after.* FROM input"], "gives column id twice"),
    ],
)
def test_what_no_record_can_mend_is_refused(sql: list[str], said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        resolve(dataset(*sql), SOURCE)


def test_missing_paths_become_nulls_in_their_place() -> None:
    found = with_missing(SOURCE, [("nick",), ("after", "day"), ("tags", "[]"), ("items", "tax")])
    assert str(found) == (
        "struct<id:long,name:string,after:struct<id:long,city:string,day:unknown>,"
        "items:array<struct<sku:string,tax:unknown>>,nick:unknown,tags:array<unknown>>"
    )


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.kafka.create_topic("t", 1)
    for value in (
        b'{"id":1,"name":"a","nick":null,"extra":{},"tags":[],"after":{"id":1,"day":null}}',
        b'{"id":2,"name":"b","__deleted":"false"}',
    ):
        lab.kafka.produce("t", None, value, partition=0, timestamp_ms=lab.now_ms)
    return lab


@pytest.mark.parametrize(
    "given",
    [
        dataset("SELECT id, nick, extra.any.thing AS x, tags[0].a AS t, after.day FROM input"),
        dataset(mode="upsert", primary_key=("id",), delete_when="nick IS NOT NULL"),
        dataset(explode="tags"),
        dataset(rules=(Rule(column="nick", not_null=True),)),
    ],
)
def test_name_seen_only_as_null_is_registered(lab: Lab, given: Dataset) -> None:
    registered = compose.build_use_cases(lab.metastore, lab.kafka).register_dataset(given, "ann")
    assert registered.schema is not None
    lab.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dataset("SELECT nope FROM input"), "transforms.sql='SELECT nope.*no column nope; columns"),
        (dataset("SELECT id, user AS u FROM input"), "no column user"),
        (dataset("SELECT after.nope AS n FROM input"), "no column after.nope"),
        (
            dataset("SELECT * FROM input", mode="upsert", primary_key=("id",), delete_when="typo"),
            "delete_when='typo'.*no column typo",
        ),
        (dataset(mode="upsert", primary_key=("id",), delete_when="typo = 1"), "no column typo"),
        (dataset(explode="nope"), "explode='nope'"),
        (dataset(explode="name"), "explode='name': is a string; name an array"),
        (dataset(rules=(Rule(column="nope", not_null=True),)), "rules.column='nope'"),
        (
            dataset("SELECT id FROM input", rules=(Rule(column="name", not_null=True),)),
            "rules.column='name'.*columns are: id",
        ),
        (dataset("SELECT id FROM input", partition_by=("name",)), "partition_by='name'"),
    ],
)
def test_name_that_no_record_has_is_refused(lab: Lab, given: Dataset, said: str) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    with pytest.raises(InvalidFieldError, match=said):
        use_cases.register_dataset(given, "ann")
    assert not lab.metastore.name_taken("t")
    lab.close()


def test_changed_sql_is_held_against_the_schema(lab: Lab) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    use_cases.register_dataset(dataset("SELECT id, name FROM input"), "ann")
    with pytest.raises(InvalidFieldError, match="no column nope"):
        use_cases.change_dataset("t", {"transforms": [{"sql": "SELECT nope FROM input"}]}, 1, "ann")
    changed = use_cases.change_dataset(
        "t", {"transforms": [{"sql": "SELECT id, nick FROM input"}]}, 1, "ann"
    )
    assert changed.version == 2
    lab.close()


def test_empty_topic_takes_what_cannot_be_checked_yet(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.kafka.create_topic("t", 1)
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    registered = use_cases.register_dataset(dataset("SELECT nope FROM input"), "ann")
    assert registered.schema is None
    lab.close()


def test_plan_holds_changed_sql_against_the_schema(lab: Lab) -> None:
    use_cases = compose.build_use_cases(lab.metastore, lab.kafka)
    use_cases.check(dataset("SELECT nope FROM input"))  # of a new one only its form is known
    use_cases.register_dataset(dataset("SELECT id, name FROM input"), "ann")
    use_cases.check(dataset("SELECT id, name FROM input"))
    with pytest.raises(InvalidFieldError, match="no column nope"):
        use_cases.check(dataset("SELECT nope FROM input"))
    lab.close()


@pytest.mark.parametrize(
    ("sql", "fields", "never"),
    [
        (["SELECT id FROM input"], {}, {"name", "after", "items"}),
        (["SELECT ID, Name FROM input"], {}, {"after", "items"}),
        (["SELECT id FROM input WHERE after.CITY = 'x'"], {}, {"name", "after.id", "items"}),
        (["SELECT after FROM input", "SELECT after.id AS i FROM input"], {},
         {"id", "name", "items"}),
        (["SELECT items.sku AS s FROM input"], {}, {"id", "name", "after"}),
        (["SELECT transform(items, x -> x.sku) AS s FROM input"], {}, {"id", "name", "after"}),
        (["SELECT items[0].sku AS id FROM input"], {}, {"id", "name", "after"}),
        (["SELECT items[0].tax AS id FROM input"], {}, {"id", "name", "after", "items.sku"}),
        (["WITH a AS (SELECT i.after AS x FROM input i) SELECT x.id FROM a"], {},
         {"id", "name", "items"}),
        (["SELECT id + 1 AS a, a + 1 AS name FROM input"], {}, {"name", "after", "items"}),
        (["SELECT id FROM input"], {"explode": "items"}, {"name", "after"}),
        (["SELECT id FROM input"],
         {"mode": "upsert", "primary_key": ("id",), "delete_when": "id < 0"},
         {"name", "after", "items"}),
        (["SELECT * FROM input", "SELECT id FROM input"], {}, set()),
        (["SELECT after.*, id AS x FROM input"], {}, set()),
        (["SELECT struct(*) AS whole FROM input"], {}, set()),
        ([], {"explode": "items"}, set()),
        (["SELECT nope.x FROM input x", "SELECT y FROM input"], {}, set()),
    ],
)  # fmt: skip
def test_what_steps_never_look_at(sql: list[str], fields: dict[str, Any], never: set[str]) -> None:
    assert {".".join(place) for place in unused(dataset(*sql, **fields), SOURCE)} == never
