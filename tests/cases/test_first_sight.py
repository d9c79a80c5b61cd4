"""Topics of mixed types, and objects that are not what they look like: c05, c27, r05, r06."""

from __future__ import annotations

import pytest

from tests.cases.runner import Open, shared, text

PARQUET = {"format": "parquet"}


def test_c05_a_second_table_holds_both_types(tried: Open) -> None:
    case = shared("c05")
    first = tried(**case.dataset)
    first.load(*case.batches[0])
    step = first.batch(case.batches[1])
    assert step is not None
    assert step.outcome == "waiting"
    assert [row["id"] for row in first.rows("id")] == [1]
    second = tried(**case.dataset)
    second.load(*case.batches[0], *case.batches[1])
    assert {r["id"]: r["amount"] for r in second.rows()} == {1: "10", 2: "n/a", 3: "12"}


@pytest.mark.parametrize("step", ["SELECT id, CAST(amount AS STRING) AS amount FROM input",
                                  "SELECT id, upper(amount) AS amount FROM input"])  # fmt: skip
def test_c05_steps_see_the_column_that_holds_both(tried: Open, step: str) -> None:
    case = shared("c05")
    one = tried(transforms=[{"sql": step}], **case.dataset)
    one.load(*case.batches[0], *case.batches[1])
    found = {r["id"]: r["amount"].lower() for r in one.rows()}
    assert found == {1: "10", 2: "n/a", 3: "12"}


@pytest.mark.parametrize("layout", [{"format": "hudi"}, PARQUET], ids=["hudi", "parquet"])
def test_c27_an_empty_map_as_php_sends_it_is_null(tried: Open, layout: dict[str, str]) -> None:
    case = shared("c27")
    one = tried(**{**case.dataset, **layout})
    for batch in case.batches:
        one.load(*batch)
    assert {r["id"]: r["props"] for r in one.rows()} == {
        1: {"color": "red"}, 2: None, 3: {"color": "blue"}, 4: {"color": None}, 5: None,
    } or [r["props"] for r in one.rows() if r["id"] in {2, 4, 5}] == [None] * 3  # fmt: skip


@pytest.mark.parametrize(
    ("first", "then", "right"),
    [
        ('{"id":1,"v":["a"]}', '{"id":2,"v":{}}', {1: ["a"], 2: None}),
        ('{"id":1,"v":[]}', '{"id":2,"v":{"x":1}}', {1: None, 2: {"x": 1}}),
        ('{"id":1,"v":{}}', '{"id":2,"v":["a"]}', {1: None, 2: ["a"]}),
    ],
)
def test_c27_whichever_comes_first(
    tried: Open, first: str, then: str, right: dict[int, object]
) -> None:
    for together in (True, False):
        one = tried(format="parquet")
        one.load(*[text(t) for t in (first, then)] if together else [text(first)])
        if not together:
            one.load(text(then))
        assert {r["id"]: r.get("v") for r in one.rows()} == right


@pytest.mark.parametrize("layout", [{"format": "hudi"}, PARQUET], ids=["hudi", "parquet"])
def test_r05_whole_numbers_however_they_are_written(tried: Open, layout: dict[str, str]) -> None:
    case = shared("r05")
    one = tried(**{**case.dataset, **layout})
    for batch in case.batches:
        one.load(*batch)
    assert {r["id"]: r["n"] for r in one.rows()} == {1: 5, 2: 5, 3: 1000}


def test_r06_ids_as_keys_are_a_map_by_hint(tried: Open) -> None:
    case = shared("r06")
    one = tried(**{**case.dataset, "columns": {"attrs": {"type": "map", "values": "long"}}})
    for batch in case.batches:
        one.load(*batch)
    found = {r["id"]: r["attrs"].replace(',"n":null', "") for r in one.rows()}
    assert found == {1: '{"10":5}', 2: '{"u.20":6}', 3: '{"30":7}', 4: "{}"}
