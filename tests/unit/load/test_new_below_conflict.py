"""New keys below a column, in a batch where other records have something else for that column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import Lab

MIXED = {"n": [0, ["x", 2.5]]}  # what no array of one type holds without looking twice
PLACES: dict[str, tuple[Any, Any, Any]] = {
    "struct": ({"x": 1}, MIXED, 5),
    "struct, an array for it": ({"x": 1}, MIXED, [1]),
    "deep": ({"s": {"x": 1}}, {"s": MIXED}, {"s": "text"}),
    "array": ([{"x": 1}], [MIXED], [5]),
    "array, single": ([{"x": 1}], MIXED, [{"x": 2}]),
    "array, a text for it": ([{"x": 1}], [MIXED], "text"),
    "map": (
        {"10.0.0.1": {"x": 1}, "10.0.0.2": {"x": 1}, "10.0.0.3": {"x": 1}}, {"k": MIXED}, {"k": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("on_conflict", ["rescue", "quarantine"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_table_does_not_stop(tmp_path: Path, place: Any, on_conflict: str) -> None:
    held, new, other = place
    lab = Lab(tmp_path)
    lab.register(format="parquet", on_conflict=on_conflict, max_quarantine_ratio=1.0)
    lab.send({"id": 0, "o": held})
    lab.cycle()
    lab.send({"id": 1, "o": new})
    lab.send({"id": 2, "o": other})
    lab.cycle()
    version = lab.metastore.active_schema("t")
    assert version is not None
    assert "n:" in str(version.source)
    rows = {row["id"]: row for row in lab.rows()}
    assert "2.5" in str(rows[1]["o"])
    assert 2 in rows or on_conflict == "quarantine"
    if on_conflict == "rescue":
        lab.account()


@pytest.mark.parametrize("other", [5, "text", [1], {"x": 2}])
def test_a_conflict_beside_it_decides_no_type(tmp_path: Path, other: Any) -> None:
    lab = Lab(tmp_path)
    lab.register(format="parquet", on_conflict="quarantine", max_quarantine_ratio=1.0)
    lab.send({"id": 0, "o": {"x": 1}})
    lab.cycle()
    for number, value in enumerate(({"n": 1}, {"n": {"z": 2}}, other), 1):
        lab.send({"id": number, "o": value})
    lab.cycle()
    version = lab.metastore.active_schema("t")
    assert version is not None
    assert "n:json" in str(version.source)
    rows = {row["id"]: row["o"]["n"] for row in lab.rows() if row["id"] in (1, 2)}
    assert (rows[1], rows[2]) == ("1", '{"z": 2}')
