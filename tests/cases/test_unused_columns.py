"""A record of another type stops the tables whose steps use it, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases.runner import Open, text

_STEP = "SELECT id, upper(c) AS c, o.a AS a, l[0].q AS q FROM input"
_FIRST = text('{"id":1,"c":"x","n":1,"o":{"a":1,"b":1},"l":[{"q":1,"r":1}]}')
_UNFIT = [
    text('{"id":2,"c":"y","n":"text","o":{"a":2,"b":{"deep":1}},"l":[{"q":2,"r":"z"}]}'),
    text('{"id":3,"c":"z","n":[1],"o":{"a":3,"b":true},"l":{"q":3,"r":[]}}'),
]
_ROWS = [
    {"id": 1, "c": "X", "a": 1, "q": 1},
    {"id": 2, "c": "Y", "a": 2, "q": 2},
    {"id": 3, "c": "Z", "a": 3, "q": 3},
]
_LAYOUTS: list[dict[str, Any]] = [
    {"format": "parquet"},
    {"mode": "upsert", "primary_key": ["id"]},
    {"format": "parquet", "on_conflict": "quarantine"},
    {"format": "parquet", "on_conflict": "rescue", "max_rescued_ratio": 0},
]


@pytest.mark.parametrize("layout", _LAYOUTS, ids=["parquet", "upsert", "aside", "rescue"])
def test_what_no_step_uses_need_not_fit(tried: Open, layout: dict[str, Any]) -> None:
    one = tried(transforms=[{"sql": _STEP}], **layout)
    one.load(_FIRST)
    one.load(*_UNFIT)
    rescued = layout.get("on_conflict") == "rescue"
    rows = one.rows()
    kept = [row.pop("_rescued", None) for row in rows]
    assert rows == _ROWS
    assert [text is not None for text in kept] == [False, rescued, rescued]
    one.replay()
    assert [{k: v for k, v in row.items() if k != "_rescued"} for row in one.rows()] == _ROWS
    assert one.quarantine() == []


def test_what_a_step_uses_must_fit(tried: Open) -> None:
    one = tried(transforms=[{"sql": _STEP}], format="parquet")
    one.load(_FIRST)
    step = one.batch([*_UNFIT, text('{"id":4,"o":{"a":"x"}}')])
    assert step is not None
    assert step.outcome == "waiting"
    assert "o.a" in str(step.error)
    assert "o.b" not in str(step.error)


def test_steps_that_use_it_later_say_so_at_a_replay(tried: Open) -> None:
    one = tried(transforms=[{"sql": _STEP}], format="parquet")
    one.load(_FIRST)
    one.load(*_UNFIT)
    changed = one.act("change", fields={"transforms": [{"sql": f"{_STEP.replace('o.a', 'n')}"}]})
    assert changed.outcome == "done", changed.error
    one.load(text('{"id":5,"n":7,"l":[{"q":5}]}'))
    assert one.rows()[-1] == {"id": 5, "c": None, "a": 7, "q": 5}
    one.act("replay")
    assert [row["id"] for row in one.rows()] == [1, 5]
    assert {q["reason"] for q in one.quarantine()} == {"a value is of another type than its column"}
