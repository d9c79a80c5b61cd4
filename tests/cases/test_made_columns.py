"""`keep_raw` and `parse: json` on real engines, read by another than the one that wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.runner import Open, text, tombstone

_COLUMNS: dict[str, Any] = {
    "p": {"parse": "json"}, '"p json".at': {"type": "date", "format": "s"},
    "l[].p": {"parse": "json"},
}  # fmt: skip
_FIRST = [
    text('{"id":1,"p":"{\\"at\\":86400,\\"n\\":1}","l":[{"p":"[1,2]"},{"p":"no"}]}', key="1"),
    text('{"id":2,"p":"no json","l":null}', key="2"),
    text('{ "id" : 3 , "p" : "" }', key="3"),
]
_SECOND = [
    text('{"id":4,"p":"{\\"n\\":2,\\"new\\":{\\"deep\\":true}}","l":{"p":"[]"}}', key="4"),
    text('{"id":2,"p":{"n":3}}', key="2"),
]
_LAYOUTS: dict[str, dict[str, Any]] = {
    "parquet": {"format": "parquet"},
    "append": {"format": "hudi"},
    "upsert": {"mode": "upsert", "primary_key": ["id"]},
    "cow": {"mode": "upsert", "primary_key": ["id"], "table_type": "cow"},
    "step": {
        "format": "parquet",
        "transforms": [{"sql": "SELECT id, p, p_json, l[0] AS one FROM input"}],
    },
}  # fmt: skip


@pytest.fixture(params=_LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    found = row["p_json"] or {}
    new = found.get("new") or {}
    return {"n": found.get("n"), "deep": new.get("deep"), "at": str(found.get("at"))[:19]}


def test_they_are_what_the_records_say(tried: Open, layout: str) -> None:
    one = tried(columns=_COLUMNS, keep_raw=True, on_conflict="rescue", **_LAYOUTS[layout])
    one.load(*_FIRST)
    one.load(*_SECOND)
    for again in range(2):
        rows = sorted(one.rows(), key=lambda row: (row["id"], row["_raw"]))
        sent = sorted(
            (json.loads(s["value_text"])["id"], s["value_text"]) for s in _FIRST + _SECOND
        )
        if "primary_key" in _LAYOUTS[layout]:
            sent.remove((2, _FIRST[1]["value_text"]))
        assert [(row["id"], row["_raw"]) for row in rows] == sent
        by_id = {row["id"]: row for row in rows if row["p"] != "no json"}
        assert _said(by_id[1]) == {"n": 1, "deep": None, "at": "1970-01-02"}
        assert _said(by_id[2]) == {"n": 3, "deep": None, "at": "None"}
        assert _said(by_id[3]) == {"n": None, "deep": None, "at": "None"}
        assert _said(by_id[4]) == {"n": 2, "deep": True, "at": "None"}
        assert json.loads(by_id[1]["_rescued"])["/l/1/p"] == "no"
        if layout == "step":
            assert by_id[1]["one"]["p_json"] == [1, 2]
        else:
            assert by_id[1]["l"][0]["p_json"] == [1, 2]
        spark = one.spark_rows("id", "_raw")
        assert sorted((r["id"], r["_raw"]) for r in spark) == sent
        if not again:
            one.replay()
    if layout == "upsert":
        one.compact()
        one.load(tombstone("4"))
        assert [row["id"] for row in one.rows()] == [1, 2, 3]
