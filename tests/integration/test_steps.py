"""Steps on the real engines: each case is a kind, read back by Spark and, where it is a matter of
files, by a second engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_platform.adapters.engines import spark_engines
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Format
from lake_platform.domain.quality import Balance
from lake_platform.domain.transform import Transform
from lake_platform.errors import TransformError
from tests.audit_support import Copy
from tests.spark_support import spark, table_rows
from tests.support import Lab

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["spark"]
pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MakeLab = Callable[..., Lab]
UPSERT = {"mode": "upsert", "primary_key": ("id",)}
KINDS: dict[str, dict[str, Any]] = {
    "parquet": {"format": "parquet"},
    "hudi": {},
    "upsert": UPSERT,
}


@pytest.fixture
def make_lab(spark: SparkSession, tmp_path: Path) -> Iterator[MakeLab]:
    labs: list[Lab] = []

    def make(*values: Any, steps: tuple[str, ...] = (), **fields: Any) -> Lab:
        lab = Lab(tmp_path)
        labs.append(lab)
        lab.store = open_store((tmp_path / "storage").as_uri())
        format_: Format = fields.get("format", "hudi")
        lab.engine = spark_engines(lambda: spark, lab.store)(format_)
        lab.read_rows = table_rows(spark, lab.store)
        transforms = tuple(Transform(sql=sql) for sql in steps)
        lab.register(transforms=transforms, max_quarantine_ratio=1.0, **fields)
        lab.send_all(values)
        return lab

    yield make
    for lab in labs:
        lab.close()


def balance(lab: Lab) -> Balance:
    (result,) = lab.cycle()
    found = result.applied.balance
    assert found.difference == 0
    return found


def values(lab: Lab) -> list[dict[str, Any]]:
    return [
        {c: v for c, v in row.items() if not c.startswith("_lake_")} for row in lab.plain_rows()
    ]


def offsets(lab: Lab) -> list[int]:
    return [row["_kafka_offset"] for row in lab.rows()]


CHANGES = (
    {"op": "c", "before": None, "after": {"id": 1, "city": "Oslo"}},
    {"op": "c", "before": None, "after": {"id": 2, "city": "Bergen"}},
    {"op": "u", "before": {"id": 2, "city": "Bergen"}, "after": {"id": 2, "city": "Voss"}},
)


STARS = [
    ("SELECT after.* FROM input WHERE after IS NOT NULL",),
    ("SELECT i.after.* FROM input AS i",),
    ("WITH a AS (SELECT `after` FROM input) SELECT after.id, after.city FROM a",),
    ("SELECT x.id, x.city FROM (SELECT after AS x, op FROM input) WHERE op <> 'd'",),
    ("SELECT after FROM input", "SELECT after.* FROM input"),
    ("SELECT input.* FROM input", "SELECT after.id, after.city FROM input"),
]


@pytest.mark.parametrize(
    ("kind", "steps"),
    [*(("parquet", steps) for steps in STARS), ("hudi", STARS[0]), ("upsert", STARS[0])],
)
def test_coordinates_are_kept_whatever_the_star(
    make_lab: MakeLab, kind: str, steps: tuple[str, ...]
) -> None:
    lab = make_lab(*CHANGES, steps=steps, **KINDS[kind])
    balance(lab)
    oslo, bergen, voss = ({"id": i, "city": c} for i, c in
                          [(1, "Oslo"), (2, "Bergen"), (2, "Voss")])  # fmt: skip
    assert values(lab) == ([oslo, voss] if kind == "upsert" else [oslo, bergen, voss])
    assert offsets(lab) == ([0, 2] if kind == "upsert" else [0, 1, 2])


@pytest.mark.parametrize("kind", ["parquet", "hudi"])
def test_column_that_was_only_null_is_null_until_a_value_brings_it(
    make_lab: MakeLab, kind: str
) -> None:
    sql = "SELECT id, coalesce(nickname, name) AS shown, nickname, extra.at AS at FROM input"
    lab = make_lab(
        {"id": 1, "name": "alpha", "nickname": None, "extra": None},
        {"id": 2, "name": "beta", "nickname": None, "extra": {}},
        steps=(sql,), **KINDS[kind],
    )  # fmt: skip
    balance(lab)
    assert values(lab) == [{"id": 1, "shown": "alpha"}, {"id": 2, "shown": "beta"}]
    lab.send({"id": 3, "name": "gamma", "nickname": "g", "extra": {"at": 7}})
    balance(lab)
    empty = {"nickname": None, "at": None}
    assert values(lab) == [
        {"id": 1, "shown": "alpha", **empty},
        {"id": 2, "shown": "beta", **empty},
        {"id": 3, "shown": "g", "nickname": "g", "at": 7},
    ]


@pytest.mark.parametrize(
    "steps", [(), ("SELECT * FROM input",), ("SELECT id, deleted_at FROM input",)]
)
def test_delete_when_over_a_column_that_is_null_until_the_first_delete(
    make_lab: MakeLab, steps: tuple[str, ...]
) -> None:
    lab = make_lab(
        {"id": 1, "deleted_at": None}, {"id": 2, "deleted_at": None},
        steps=steps, delete_when="deleted_at IS NOT NULL", **UPSERT,
    )  # fmt: skip
    balance(lab)
    assert [row["id"] for row in values(lab)] == [1, 2]
    lab.send({"id": 1, "deleted_at": "2026-11-01T10:00:00Z"})
    assert balance(lab).deleted == 1
    assert [row["id"] for row in values(lab)] == [2]


@pytest.mark.parametrize("kind", ["parquet", "hudi"])
def test_result_types_without_a_column_type_are_widened(make_lab: MakeLab, kind: str) -> None:
    sql = """SELECT id, CAST(a AS SMALLINT) AS s, CAST(a AS TINYINT) AS t, NULL AS nothing,
      array(CAST(a AS SMALLINT)) AS l, struct(CAST(a AS TINYINT) AS x, NULL AS y) AS st,
      map('k', CAST(a AS SMALLINT)) AS m, CAST(b AS VARCHAR(3)) AS v, CAST(b AS CHAR(5)) AS c
      FROM input"""
    lab = make_lab({"id": 1, "a": 7, "b": "abc"}, steps=(sql,), **KINDS[kind])
    balance(lab)
    (row,) = values(lab)
    assert row.pop("c").strip() == "abc"
    assert row == {"id": 1, "s": 7, "t": 7, "l": [7], "st": {"x": 7}, "m": {"k": 7}, "v": "abc"}
    schema = lab.metastore.active_schema("t")
    assert schema is not None
    types = {f.name: str(f.type) for f in schema.columns.fields}
    assert (types["s"], types["t"], types["l"]) == ("int", "int", "array<int>")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("CAST(at AS TIMESTAMP_NTZ)", "column x is a timestamp_ntz.*CAST it AS TIMESTAMP"),
        ("array(CAST(at AS TIMESTAMP_NTZ))", r"column x\[\] is a timestamp_ntz"),
        ("make_dt_interval(1)", "column x is a interval day to second"),
        ("make_interval(1)", "column x is a interval"),
    ],
)
def test_result_type_that_no_table_stores_is_named(
    make_lab: MakeLab, column: str, said: str
) -> None:
    lab = make_lab(
        {"id": 1, "at": "2026-11-01 10:00:00"}, steps=(f"SELECT id, {column} AS x FROM input",)
    )
    with pytest.raises(TransformError, match=said):
        lab.cycle()


def test_doubled_columns_of_stars_that_only_the_engine_knows_are_named(make_lab: MakeLab) -> None:
    lab = make_lab(
        {"id": 1, "p": "{}"},
        steps=("SELECT id, j.* FROM (SELECT id, from_json(p, 'ID INT') AS j FROM input)",),
    )
    with pytest.raises(TransformError, match="columns id and ID, which differ only in case"):
        lab.cycle()


ITEMS = ({"id": 1, "items": ["a", "b"]}, {"id": 2, "items": ["c"]}, {"id": 3, "items": []},
         {"id": 4, "items": None})  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("parquet", ("SELECT id, items AS item FROM input",)),
        ("upsert", ("SELECT id, items AS item FROM input",)),
        ("hudi", ()),
        ("partitioned", ()),
    ],
)
def test_exploded_records_close_their_balance_and_replay(
    make_lab: MakeLab, tmp_path: Path, kind: str, steps: tuple[str, ...]
) -> None:
    name = "item" if steps else "items"
    fields = KINDS.get(kind, {"partition_by": (name,)})
    if kind == "upsert":
        fields = {"mode": "upsert", "primary_key": ("id", name)}
    lab = make_lab(*ITEMS, steps=steps, explode="items", **fields)
    found = balance(lab)
    assert (found.records, found.written, found.dropped, found.exploded) == (4, 3, 2, 1)
    expected = [(1, "a"), (1, "b"), (2, "c")]
    assert sorted((r["id"], r[name]) for r in values(lab)) == expected
    profile = lab.engine.profile(lab.dataset())
    assert (profile.rows, profile.keys, profile.null_keys) == (3, 3, 0)
    (again,) = lab.load(replay=["2026-11-01-00:00"])
    assert again.applied.balance.difference == 0
    assert sorted((r["id"], r[name]) for r in values(lab)) == expected
    for deep in (False, True):
        report = Copy(lab, tmp_path / "storage").audit(deep=deep)
        assert report.sound, report
        assert report.total.table == 2
        assert kind == "upsert" or report.total.filtered == 2


def test_exploded_structs_filtered_and_nested(make_lab: MakeLab) -> None:
    lab = make_lab(
        {"id": 1, "o": {"lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 0}], "k": "x"}},
        {"id": 2, "o": {"lines": [{"sku": "c", "n": 0}], "k": "y"}},
        steps=("SELECT id, o.k AS k, o.lines.* FROM input WHERE o.lines.n > 0",),
        explode="o.lines", format="parquet",
    )  # fmt: skip
    found = balance(lab)
    assert (found.written, found.dropped, found.exploded) == (1, 1, 0)
    assert values(lab) == [{"id": 1, "k": "x", "sku": "a", "n": 1}]


def test_exploded_record_with_an_unfit_row_is_quarantined_whole(make_lab: MakeLab) -> None:
    lab = make_lab(
        {"id": 1, "items": ["a", None]}, {"id": 2, "items": ["b", "c"]},
        explode="items", mode="upsert", primary_key=("id", "items"),
    )  # fmt: skip
    found = balance(lab)
    assert (found.written, found.quarantined, found.exploded) == (2, 1, 1)
    assert [r["id"] for r in values(lab)] == [2, 2]
    assert [q["reason"] for q in lab.quarantined()] == ["primary key is null or missing"]


CAST_KEY = "SELECT CAST(n AS BIGINT) AS id, CAST(at AS TIMESTAMP) AS at, day, v FROM input"


def test_rows_unfit_behind_a_step_are_quarantined_byte_for_byte(make_lab: MakeLab) -> None:
    good = {"n": "1", "at": "2026-11-01T10:00:00Z", "day": "d", "v": "a"}
    lab = make_lab(
        good, good | {"n": "x"}, good | {"at": "never"}, good | {"day": "d" * 201, "n": "2"},
        good | {"day": "a\x00b", "n": "3"}, good | {"n": "4", "v": "z"},
        steps=(CAST_KEY,), mode="upsert", primary_key=("id",), ordering_field="at",
        partition_by=("day",),
    )  # fmt: skip
    found = balance(lab)
    assert (found.written, found.quarantined, found.dropped) == (2, 4, 0)
    assert [r["id"] for r in values(lab)] == [1, 4]
    reasons = {q["record"]["offset"]: q["reason"] for q in lab.quarantined()}
    assert reasons == {
        1: "primary key is null or missing",
        2: "ordering field is null or missing",
        3: "partition value longer than 200 bytes",
        4: "partition value with a NUL character",
    }
    sent = {q["record"]["offset"]: q["record"]["value"] for q in lab.quarantined()}
    assert sent[1] == good | {"n": "x"}
    lab.send(good | {"at": "2026-11-01T09:00:00Z", "v": "older"})
    balance(lab)
    assert values(lab)[0]["v"] == "a"


@pytest.mark.parametrize(
    ("filtered", "ordering"), [("keep", None), ("delete", None), ("delete", "ver")]
)
def test_record_that_no_longer_passes(
    make_lab: MakeLab, filtered: str, ordering: str | None
) -> None:
    lab = make_lab(
        {"id": 1, "ver": 1, "active": True}, {"id": 2, "ver": 1, "active": True},
        {"id": 9, "ver": 1, "active": False}, {"id": None, "ver": 1, "active": False},
        steps=("WITH a AS (SELECT * FROM input WHERE ver > 0) SELECT id, ver, active FROM a",
               "SELECT id, ver FROM input WHERE active"),
        filtered=filtered, ordering_field=ordering, **UPSERT,
    )  # fmt: skip
    first = balance(lab)
    assert first.written == 2
    assert first.dropped == (2 if filtered == "keep" else 1)
    lab.send({"id": 1, "ver": 2, "active": False})
    found = balance(lab)
    assert (found.dropped, found.deleted) == ((1, 0) if filtered == "keep" else (0, 1))
    assert [r["id"] for r in values(lab)] == ([1, 2] if filtered == "keep" else [2])
    lab.load(replay=["2026-11-01-00:00"])
    assert [r["id"] for r in values(lab)] == ([1, 2] if filtered == "keep" else [2])


def test_record_that_no_longer_passes_is_found_in_the_partition_it_was_in(
    make_lab: MakeLab,
) -> None:
    lab = make_lab(
        {"id": 1, "p": "a", "active": True}, {"id": 2, "p": "a", "active": True},
        steps=("SELECT id, p FROM input WHERE active",), filtered="delete", partition_by=("p",),
        **UPSERT,
    )  # fmt: skip
    assert balance(lab).written == 2
    lab.send({"id": 1, "p": "b", "active": False})
    found = balance(lab)
    assert (found.dropped, found.deleted) == (0, 1)
    assert [r["id"] for r in values(lab)] == [2]
    lab.send({"id": 2, "p": "b", "active": True})
    balance(lab)
    assert [(r["id"], r["p"]) for r in values(lab)] == [(2, "b")]


TWO = ("SELECT id, a FROM input", "SELECT id, if(a = 5, raise_error('no'), a) AS a FROM input")


@pytest.mark.parametrize(
    ("kind", "steps", "step", "offset"),
    [
        ("parquet", ("SELECT id, assert_true(a > 0) AS ok, a FROM input",), "1", 2),
        ("parquet", ("SELECT id, element_at(array(1), if(a > 0, 1, 0)) AS e FROM input",), "1", 2),
        ("parquet", ("SELECT id, map_from_arrays(array(k, 'l'), array(1, 2)) AS m FROM input",),
         "1", 1),
        ("hudi", ("SELECT id, from_json(j, 'n INT', map('mode', 'FAILFAST')) AS n FROM input",),
         "1", 1),
        ("parquet", TWO, "2", 1),
        ("hudi", TWO, "2", 1),
        ("upsert", TWO, "2", 1),
    ],
)  # fmt: skip
def test_failing_step_is_named_with_its_first_record(
    make_lab: MakeLab, kind: str, steps: tuple[str, ...], step: str, offset: int
) -> None:
    lab = make_lab(
        {"id": 1, "a": 1, "k": "k", "j": '{"n":1}'}, {"id": 2, "a": 5, "k": "l", "j": "{bad"},
        {"id": 3, "a": -1, "k": "k", "j": "{bad"},
        steps=steps, **KINDS[kind],
    )  # fmt: skip
    lab.dump()
    with pytest.raises(TransformError) as caught:
        lab.load()
    assert (caught.value.step, caught.value.first_offset) == (
        step, f"partition 0 offset {offset}"
    )  # fmt: skip
    with pytest.raises(TransformError):  # not claimed by the failed one
        lab.load()


@pytest.mark.parametrize("steps", [(), ("SELECT * FROM input",)])
def test_delete_when_that_fails_is_named(make_lab: MakeLab, steps: tuple[str, ...]) -> None:
    lab = make_lab(
        {"id": 1, "a": 1}, {"id": 2, "a": 5}, steps=steps,
        delete_when="if(a = 5, raise_error('no'), false)", **UPSERT,
    )  # fmt: skip
    lab.dump()
    with pytest.raises(TransformError) as caught:
        lab.load()
    assert (caught.value.step, caught.value.first_offset) == ("delete_when", "partition 0 offset 1")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"steps": ("SELECT id, explode(items) AS i FROM input",)}, "transform 1 .*calls explode"),
        ({"steps": ("SELECT id, nope FROM input",)}, "transform 1 .*no column nope"),
        ({"delete_when": "nope = 1", **UPSERT}, "transform delete_when .*no column nope"),
        ({"delete_when": "name", **UPSERT}, "transform delete_when .*not a condition"),
        ({"explode": "nope"}, "transform explode .*no column nope"),
    ],
)
def test_sql_that_nobody_could_check_stops_the_first_load(
    make_lab: MakeLab, fields: dict[str, Any], said: str
) -> None:
    lab = make_lab({"id": 1, "name": "a", "items": [1]}, **fields)
    lab.dump()
    for _ in range(2):
        with pytest.raises(TransformError, match=said):
            lab.load()


def test_json_text_within_the_json(make_lab: MakeLab) -> None:
    lab = make_lab(
        {"id": 1, "payload": '{"amount":1.5,"currency":"NOK"}'},
        {"id": 2, "payload": '{"amount":"1.5","currency":"NOK"}'},
        {"id": 3, "payload": "{bad"}, {"id": 4, "payload": None},
        steps=("SELECT id, from_json(payload, 'amount DOUBLE, currency STRING') AS p FROM input",),
        format="parquet",
    )  # fmt: skip
    assert balance(lab).written == 4
    nothing = {"amount": None, "currency": None}
    assert [r["p"] for r in values(lab)] == [
        {"amount": 1.5, "currency": "NOK"}, {"amount": None, "currency": "NOK"}, nothing, None,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_steps_see_columns_by_their_names_and_carry_what_was_rescued(
    make_lab: MakeLab, kind: str
) -> None:
    step = "SELECT id, plus_1 + 1 AS next, o.a_b AS ab, late FROM input WHERE id > 0"
    lab = make_lab(
        {"id": 1, "+1": 5, "o": {"a.b": "x"}, "late": None}, steps=(step,), on_conflict="rescue",
        **KINDS[kind],
    )  # fmt: skip
    balance(lab)
    lab.send(b'{"id":2,"+1":{"no": "number"},"O":{"a.b":7},"late":[1]}')
    lab.send({"id": 3, "+1": 8})
    (done,) = lab.cycle()
    assert done.rescued == {'"+1"': 1}
    rows = {r["id"]: r for r in values(lab)}
    assert {n: (r["next"], r["ab"], r["late"]) for n, r in rows.items()} == {
        1: (6, "x", None), 2: (None, "7", [1]), 3: (9, None, None),
    }  # fmt: skip
    assert {n: r["_rescued"] for n, r in rows.items()} == {
        1: None, 2: '{"/+1":{"no": "number"}}', 3: None,
    }  # fmt: skip


def test_exploded_rows_all_have_what_was_rescued_of_their_record(make_lab: MakeLab) -> None:
    lab = make_lab({"id": 1, "items": [{"x": 1}]}, explode="items", on_conflict="rescue")
    balance(lab)
    lab.send(b'{"id":2,"items":[{"x":1},{"x":"two"}]}')
    lab.cycle()
    found = [(r["id"], r["items"], r["_rescued"]) for r in values(lab) if r["id"] == 2]
    assert found == [
        (2, {"x": 1}, '{"/items/1/x":"two"}'), (2, {"x": None}, '{"/items/1/x":"two"}'),
    ]  # fmt: skip
