"""SQL steps, and checks that must not be green: c06-c08, c10, c11, c19, c24, c25."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.runner import Open, Tried, shared, text


@pytest.mark.parametrize(
    "layout", [{}, {"mode": "append"}, {"mode": "append", "format": "parquet"}],
    ids=["upsert", "append", "parquet"],
)  # fmt: skip
def test_c06_star_of_a_struct(tried: Open, layout: dict[str, Any]) -> None:
    case = shared("c06")
    append = layout.get("mode") == "append"
    one = tried(**case.with_(**layout, **({"primary_key": []} if append else {})))
    if one.batch(case.batches[0]) is None:
        assert "after.*" in one.said
        return
    rows = {row["_kafka_offset"]: (row["id"], row["city"]) for row in one.trial.rows().rows}
    right = {0: (1, "Oslo"), 1: (2, "Bergen"), 2: (2, "Voss")}
    assert rows == (right if append else {0: right[0], 2: right[2]})


def test_c07_column_that_was_only_null(tried: Open) -> None:
    case = shared("c07")
    one = tried(**case.dataset)
    if one.batch(case.batches[0]) is None:
        assert "nickname" in one.said
        assert "null" in one.said
        return
    assert one.rows() == [{"id": 1, "shown": "alpha"}, {"id": 2, "shown": "beta"}]
    one.load(*case.batches[1])
    assert one.rows()[2] == {"id": 3, "shown": "g"}


def test_c08_delete_when_over_a_column_that_was_only_null(tried: Open) -> None:
    case = shared("c08")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    assert [row["id"] for row in one.rows()] == [1, 2]
    step = one.load(*case.batches[1])
    assert step.balance.deleted == 1
    assert [row["id"] for row in one.rows()] == [2]


@pytest.mark.parametrize("condition", ["__deleted", "__deleted = 'true'"])
def test_c08_debezium_text_flag(tried: Open, condition: str) -> None:
    one = tried(mode="upsert", primary_key=["id"], delete_when=condition)
    step = one.batch([text('{"id":1,"__deleted":"false"}'), text('{"id":2,"__deleted":"false"}')])
    if step is None:
        assert condition == "__deleted"
        assert "delete_when" in one.said
        assert "string" in one.said.lower()
        return
    assert step.outcome == "applied", step.error
    assert one.load(text('{"id":1,"__deleted":"true"}')).balance.deleted == 1
    assert [row["id"] for row in one.rows()] == [2]


def test_c08_condition_over_no_column_is_refused(tried: Open) -> None:
    one = tried(mode="upsert", primary_key=["id"], delete_when="typo = 1")
    one.batch([text('{"id":1}')])
    assert one.refused is not None
    assert "typo" in one.said


@pytest.mark.parametrize(
    ("step", "doubled"),
    [
        ("SELECT *, lower(email) AS email FROM input", "email"),
        ("SELECT id, email, lower(email) AS email FROM input", "email"),
        ("SELECT *, id AS ID FROM input", "id"),
    ],
)
def test_c10_doubled_column_is_named(tried: Open, step: str, doubled: str) -> None:
    case = shared("c10")
    one = tried(**case.with_(transforms=[{"sql": step}]))
    ran = one.batch(case.batches[0])
    if ran is None:
        assert doubled in one.said.lower()
    elif ran.error is not None:
        assert ran.outcome == "waiting"
        assert type(ran.error).__name__ == "TransformError"
        assert doubled in str(ran.error).lower()
        # The way out that the message shows works.
        assert (
            one.act(
                "change",
                fields={"transforms": [{"sql": "SELECT id, lower(email) AS email FROM input"}]},
            ).outcome
            == "done"
        )
        assert one.act("load").outcome == "applied"
        assert one.rows() == [{"id": 1, "email": "a@example.com"}]
    else:
        assert one.rows() == [{"id": 1, "email": "a@example.com"}]


@pytest.mark.parametrize("upsert", [False, True])
def test_c11_explode_in_sql(tried: Open, upsert: bool) -> None:
    case = shared("c11")
    layout = {"mode": "upsert", "primary_key": ["id", "item"]} if upsert else {}
    one = tried(**case.with_(**layout))
    if one.batch(case.batches[0]) is None:
        assert "explode" in one.said
        return
    right = [{"id": 1, "item": "a"}, {"id": 1, "item": "b"}, {"id": 2, "item": "c"}]
    assert one.trial.steps[-1].balance.dropped == 1
    for _ in range(2):
        assert one.rows() == right
        assert one.check("primary_key").passed
        assert one.check("balance").passed
        one.replay()


def test_c19_null_ordering_value_behind_a_step(tried: Open) -> None:
    case = shared("c19")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    step = one.batch(case.batches[1])
    assert step is not None
    rows = {row["id"]: row["v"] for row in one.rows()}
    if step.outcome == "applied":
        assert rows == {1: "a", 2: "c"}
        assert "ordering field" in one.quarantine()[0]["reason"]
    else:
        assert step.outcome == "waiting"
        assert type(step.error).__name__ == "TransformError"
        assert "updated" in str(step.error)
        assert rows == {1: "a"}
    assert {r["id"]: r["v"] for r in one.spark_rows("id", "v")} == rows


_UNSTEADY = (
    "uuid()", "rand()", "now()", "current_timestamp()", "monotonically_increasing_id()",
    "input_file_name()", "spark_partition_id()",
)  # fmt: skip


@pytest.mark.parametrize("call", _UNSTEADY)
def test_c24_step_gives_the_same_rows_again(tried: Open, call: str) -> None:
    case = shared("c24")
    step = f"SELECT CAST({call} AS STRING) AS row_id, id FROM input"
    one = tried(**case.with_(transforms=[{"sql": step}]))
    _same_after_replay(one, case.batches[0], call.removesuffix("()"))


def test_c24_as_it_was_reported(tried: Open) -> None:
    case = shared("c24")
    _same_after_replay(tried(**case.dataset), case.batches[0], "uuid")


def _same_after_replay(one: Tried, records: Any, name: str) -> None:
    if one.batch(records) is None:
        assert name in one.said
        return
    before = one.rows()
    assert len(before) == 2
    one.replay()
    assert one.rows() == before


def test_c25_prefix_of_a_schema_registry(tried: Open) -> None:
    case = shared("c25")
    one = tried(**case.dataset)
    step = one.batch(case.batches[0])
    said = one.said.lower()
    assert "no record yet" not in said
    assert "prefix" in said
    assert "json" in said
    if step is None:
        return
    rows = one.rows()
    if rows:
        assert rows == [{"id": 1, "new": None}, {"id": 2, "new": None}, {"id": 3, "new": True}]
        return
    kept = [r["value_text"].encode() for r in one.quarantine()]
    assert kept == [r["value_text"].encode() for r in case.batches[0]]
    assert json.loads(kept[2][5:]) == {"id": 3, "new": True}
