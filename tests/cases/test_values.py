"""Values, partitions and old dates: c01, c12, c14, c15, c16, r01, r07, r08."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.runner import Open, Tried, shared, text


def _verdict(one: Tried, path: str, good_ids: list[int], bad: str) -> None:
    """Of a record that does not fit: BLOCKED naming its place and showing it, with nothing written;
    or it alone in quarantine, with all others in the table."""
    step = one.trial.steps[-1]
    ids = [row["id"] for row in one.rows("id")]
    if step.outcome == "waiting":
        incident = one.incidents()[0]
        assert path in [change["path"] for change in incident.changes]
        assert bad in json.dumps(incident.samples)
        assert ids == good_ids[:1]
    else:
        assert step.outcome == "applied", step.error
        assert ids == good_ids
        assert [bad in r["value_text"] for r in one.quarantine()] == [True]


@pytest.mark.parametrize("swapped", [False, True])
def test_c01_elements_of_one_array_are_judged_each_by_each(tried: Open, swapped: bool) -> None:
    case = shared("c01")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    records = [dict(r) for r in case.batches[1]]
    if swapped:
        records[0] = text('{"id":2,"lines":[{"sku":"c","qty":"3"},{"sku":"b","qty":1}]}')
    one.batch(records)
    _verdict(one, "lines[].qty", [1, 3], '"3"')


@pytest.mark.parametrize("tags", ['[1,"x"]', '["x",1]'])
def test_c01_plain_array_has_the_same_verdict_in_both_orders(tried: Open, tags: str) -> None:
    one = tried(format="parquet")
    one.load(text('{"id":1,"tags":[1]}'))
    one.batch([text(f'{{"id":2,"tags":{tags}}}'), text('{"id":3,"tags":[4]}')])
    _verdict(one, "tags[]", [1, 3], '"x"')


def test_c12_compact_date_is_that_date_or_held_back(tried: Open) -> None:
    case = shared("c12")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    assert one.act("add_column", name="due", type="date").outcome == "done"
    step = one.batch(case.batches[1])
    assert step is not None
    dates = {row["id"]: row.get("due") for row in one.rows()}
    if step.outcome == "waiting":
        assert "due" in str(one.incidents()[0].changes)
        assert dates == {1: None}
        return
    assert step.outcome == "applied", step.error
    assert dates.get(3, "2026-11-01") == "2026-11-01"
    assert {1: None, 2: "2026-11-01"}.items() <= dates.items()
    assert len(dates) + len(one.quarantine()) == 3


C14_RIGHT = [
    {"id": 1, "created": "2026-11-01T10:00:00Z"},
    {"id": 2, "created": "0001-01-01T00:00:00Z"},
    {"id": 3, "created": "1899-12-31T23:59:59Z"},
]


@pytest.mark.parametrize(
    "layout",
    [
        {"format": "parquet"},
        {"format": "hudi"},
        {"format": "hudi", "mode": "upsert", "primary_key": ["id"]},
    ],
    ids=["parquet", "hudi-append", "hudi-upsert"],
)
def test_c14_old_times_are_the_same_for_every_reader(tried: Open, layout: dict[str, Any]) -> None:
    case = shared("c14")
    one = tried(**case.with_(**layout))
    one.load(*case.batches[0])
    for _ in range(2):
        assert one.rows() == C14_RIGHT
        frame = one.spark_frame().selectExpr("id", "cast(created as string) AS c").orderBy("id")
        assert [row["c"] for row in frame.collect()] == [
            "2026-11-01 10:00:00",
            "0001-01-01 00:00:00",
            "1899-12-31 23:59:59",
        ]
        one.replay()


@pytest.mark.parametrize("branches", [("007", "012"), ("1.10", "1.1"), ("2026-11-01", "-0")])
def test_c15_text_partitions_stay_text(tried: Open, branches: tuple[str, str]) -> None:
    case = shared("c15")
    rules = [{"column": "branch", "isin": list(branches)}]
    one = tried(**case.with_(rules=rules))
    one.load(*(text(f'{{"id":{n},"branch":"{b}"}}') for n, b in enumerate(branches)))
    right = sorted(branches)
    assert sorted(row["branch"] for row in one.rows()) == right
    assert sorted(row["branch"] for row in one.spark_frame().collect()) == right
    assert [str(b) for (b,) in one.duck("SELECT branch FROM t ORDER BY branch")] == right
    assert one.check("rules").passed


def test_c16_widened_column_reads_in_one_piece(tried: Open) -> None:
    case = shared("c16")
    one = tried(**case.dataset)
    one.load(*case.batches[0])
    assert one.act("add_column", name="qty", type="int").outcome == "done"
    one.load(*case.batches[1])
    one.load(*case.batches[2])
    right = [{"id": 1, "qty": None}, {"id": 2, "qty": 5}, {"id": 3, "qty": 3_000_000_000}]
    for _ in range(2):
        assert one.rows() == right
        frame = one.spark_frame()
        assert dict(frame.dtypes)["qty"] == "bigint"
        assert sorted(r["qty"] or 0 for r in frame.collect()) == [0, 5, 3_000_000_000]
        assert one.duck("SELECT sum(qty) FROM t") == [(3_000_000_005,)]
        assert one.check("primary_key").passed
        one.replay()


def test_r01_year_python_cannot_hold_does_not_end_the_checks(tried: Open) -> None:
    case = shared("r01")
    one = tried(**case.dataset)
    step = one.batch(case.batches[0])
    assert step is not None
    assert step.outcome == "applied", step.error
    assert one.rows()[0] == {"id": 1, "at": "2026-11-01T10:00:00Z"}
    assert one.check("rules").error is None


def test_r07_what_a_step_cannot_parse_is_null_not_lost(tried: Open) -> None:
    case = shared("r07")
    one = tried(**case.dataset)
    step = one.load(*case.batches[0])
    assert step.balance.written == 4
    rows = {row["id"]: row["p"] for row in one.rows()}
    empty = {"amount": None, "currency": None}
    assert rows.pop(3) in (empty, None)
    assert rows == {
        1: {"amount": 1.5, "currency": "NOK"},
        2: {"amount": None, "currency": "NOK"},
        4: None,
    }


def test_r08_every_hour_of_a_load_is_told(tried: Open) -> None:
    case = shared("r08")
    one = tried(**case.dataset)
    step = one.load(*case.batches[0])
    told: dict[str, int] = {}
    for result in step.loads:
        for window, records in result.windows.items():
            told[window] = told.get(window, 0) + records
    assert told == {f"2026-11-01-{hour:02d}:00": 1 for hour in range(4)}
