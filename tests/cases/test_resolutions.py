"""A table that breaks again and again, and each time is resolved another way: on the real engines,
read back by two, and applied again whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases.runner import Open, Row, Tried, text, tombstone

UPSERT = {"mode": "upsert", "primary_key": ["id"]}
LAYOUTS: dict[str, dict[str, Any]] = {
    "parquet": {"format": "parquet"},
    "hudi upsert": {"format": "hudi", **UPSERT},
}
DEEP: dict[str, dict[str, Any]] = {
    "hudi append": {"format": "hudi"},
    "hudi append mor": {"format": "hudi", "table_type": "mor"},
    "hudi upsert cow": {"format": "hudi", "table_type": "cow", **UPSERT},
    "parquet partitioned": {"format": "parquet", "partition_by": ["day"]},
    "hudi upsert partitioned": {"format": "hudi", "partition_by": ["day"], **UPSERT},
}
KINDS = [
    *(pytest.param(layout, id=name) for name, layout in LAYOUTS.items()),
    *(pytest.param(layout, id=name, marks=pytest.mark.deep) for name, layout in DEEP.items()),
]


def record(id_: int, n: str, **more: str) -> dict[str, Any]:
    fields = {"id": str(id_), "n": n, "o": '{"x":1}', "day": '"d1"', **more}
    body = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return text(f"{{{body}}}", key=str(id_))


def broken(one: Tried, resolution: str, *records: dict[str, Any], **how: Any) -> None:
    step = one.batch(records)
    assert step is not None
    assert step.outcome == "waiting", step.error
    resolved = one.act("resolve", resolution=resolution, **how)
    assert resolved.outcome == "applied", resolved.error
    assert resolved.balance.difference == 0


@pytest.mark.parametrize("layout", KINDS)
def test_each_resolution_on_real_tables(tried: Open, layout: dict[str, Any]) -> None:
    one = tried(**layout)
    one.load(record(1, "1"), record(2, "2"))
    broken(one, "rescue", record(3, '"three"'), record(4, "4"))
    broken(one, "quarantine", record(5, '{"five":5}'), record(6, "6"))
    broken(one, "reject", record(7, "true"), record(8, "8"))
    broken(one, "", record(9, "9", o='{"x":"nine"}'), record(10, '"ten"'),
           columns={"o.x": "rescue", "n": "reject"}, always=True)  # fmt: skip
    one.load(record(11, '"eleven"'), record(12, "12", o='{"x":"twelve"}'))
    if "primary_key" in layout:
        one.load(tombstone("1"), record(2, "22"))
    expected = rows_of(one)
    assert {id_: (row["n"], row["_rescued"]) for id_, row in expected.items()} == {
        **({2: (22, None)} if "primary_key" in layout else {1: (1, None), 2: (2, None)}),
        3: (None, '{"/n":"three"}'), 4: (4, None), 6: (6, None), 8: (8, None),
        9: (9, '{"/o/x":"nine"}'), 12: (12, '{"/o/x":"twelve"}'),
    }  # fmt: skip
    assert [q["value_text"][:8] for q in one.quarantine()] == ['{"id":5,']
    assert spark_of(one) == {id_: (r["n"], r["_rescued"]) for id_, r in expected.items()}
    one.replay()
    assert rows_of(one) == expected
    assert len(one.quarantine()) == 1


@pytest.mark.parametrize("layout", KINDS)
def test_a_dropped_column_stays_dropped(tried: Open, layout: dict[str, Any]) -> None:
    one = tried(**layout)
    one.load(record(1, "1"))
    broken(one, "drop_column", record(2, '"two"'))
    one.load(record(3, "3"), record(4, "4", new="5"))
    found = {id_: (row["n"], row["new"]) for id_, row in rows_of(one).items()}
    assert found == {1: (1, None), 2: (None, None), 3: (None, None), 4: (None, 5)}
    one.act("add_column", name="n", type="long")
    one.load(record(5, "5"))
    assert {id_: row["n"] for id_, row in rows_of(one).items()}[5] == 5
    assert one.trial.dataset.columns == {}


def rows_of(one: Tried) -> dict[int, Row]:
    names = ("n", "o", "new", "_rescued")
    return {r["id"]: {n: r.get(n) for n in names} for r in one.rows()}


def spark_of(one: Tried) -> dict[int, tuple[Any, Any]]:
    found = one.spark_frame().select("id", "n", "_rescued").collect()
    return {row["id"]: (row["n"], row["_rescued"]) for row in found}


RIGHT = {
    "text": {1: "1", 2: "2", 3: "three", 4: "4.50", 5: "5"},
    "json": {1: "1", 2: "2", 3: '"three"', 4: "4.50", 5: "5"},
}


@pytest.mark.parametrize("layout", KINDS)
@pytest.mark.parametrize("resolution", ["text", pytest.param("json", marks=pytest.mark.deep)])
def test_a_column_of_another_type_for_all_rows(
    tried: Open, layout: dict[str, Any], resolution: str
) -> None:
    one = tried(**layout)
    one.load(record(1, "1"), record(2, "2"))
    broken(one, resolution, record(3, '"three"'), record(4, "4.50"))
    one.load(record(5, "5"))
    assert {id_: row["n"] for id_, row in rows_of(one).items()} == RIGHT[resolution]
    in_spark = one.spark_frame().select("id", "n").collect()
    assert {row["id"]: row["n"] for row in in_spark} == RIGHT[resolution]
    assert one.incidents() == []
    one.replay()
    assert {id_: row["n"] for id_, row in rows_of(one).items()} == RIGHT[resolution]


@pytest.mark.deep
@pytest.mark.parametrize("layout", KINDS)
def test_a_number_that_holds_both(tried: Open, layout: dict[str, Any]) -> None:
    one = tried(**layout)
    one.load(record(1, "1"))
    if layout["format"] == "parquet" and "transforms" not in layout:
        one.load(record(2, "2.5"))  # its files prove that all its integers are doubles, too
    else:
        broken(one, "widen", record(2, "2.5"))
    one.load(record(3, "3"))
    assert {id_: row["n"] for id_, row in rows_of(one).items()} == {1: 1.0, 2: 2.5, 3: 3.0}


@pytest.mark.parametrize("layout", KINDS)
def test_columns_by_hand(tried: Open, layout: dict[str, Any]) -> None:
    """Widened over old files, renamed, and with another key for the one that rows have."""
    one = tried(**layout)
    one.load(record(1, "1"))
    one.act("add_column", name="w", type="int")
    one.load(record(2, "2", w="5"))
    one.act("widen_column", name="w", type="long")
    one.load(record(3, "3", w=str(2**40)), record(4, "4", n2="40"))
    one.act("rename_column", name="w", to="weight")
    one.act("alias", column="n", key="n2")
    one.load(text('{"id":5,"n2":50,"w":7,"day":"d1"}', key="5"))
    expected = {1: (1, None), 2: (2, 5), 3: (3, 2**40), 4: (4, None), 5: (50, 7)}
    assert {r["id"]: (r["n"], r["weight"]) for r in one.rows()} == expected
    in_spark = one.spark_frame().select("id", "n", "weight").collect()
    assert {row["id"]: (row["n"], row["weight"]) for row in in_spark} == expected
    one.replay()
    assert {r["id"]: (r["n"], r["weight"]) for r in one.rows()} == expected
