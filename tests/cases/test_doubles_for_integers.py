"""A broken number in a column of whole ones, of a Parquet table: the column becomes a double where
its files prove that no integer in it would become another number."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.own_columns import COORDINATES
from tests.cases.runner import Open, Tried, value

_PLACES: dict[str, Any] = {
    "root": lambda n: {"n": n},
    "struct": lambda n: {"o": {"n": n}},
    "element": lambda n: {"l": [n, None]},
    "struct in element": lambda n: {"l": [{"n": n}, {}]},
    "map value": lambda n: {"m": {"192.168.0.1": n, "192.168.0.2": None, "192.168.0.3": n}},
}
_EXACT = 1 << 53


@pytest.fixture(params=_PLACES)
def place(request: pytest.FixtureRequest) -> Any:
    return _PLACES[request.param]


def _begun(tried: Open, *values: dict[str, Any], **more: Any) -> Tried:
    one = tried(**{"format": "parquet"} | more)
    one.load(*(value(id=n, **v) for n, v in enumerate(values)))
    return one


def _read(one: Tried) -> list[list[Any]]:
    """By another engine: old files and new ones."""
    select = f"SELECT * EXCLUDE (id, {', '.join(COORDINATES)}) FROM t ORDER BY id"
    return [_numbers({str(n): v for n, v in enumerate(row)}) for row in one.duck(select)]


def _changes(step: Any) -> list[Any]:
    return [c for result in step.loads for c in result.changes]


def test_it_becomes_a_double_for_all_rows(tried: Open, place: Any) -> None:
    one = _begun(tried, place(1), place(_EXACT), place(-_EXACT), place(None))
    step = one.load(value(id=10, **place(1.5)), value(id=11, new="x", **place(2)))
    assert {c.kind for c in _changes(step)} == {"widen", "add"}
    assert {c.verdict for c in _changes(step)} == {"automatic"}
    again = one.load(value(id=12, **place(-7)), value(id=13, **place(0.25)))
    assert _changes(again) == []
    rows = sorted(one.rows(), key=lambda row: row["id"])
    assert [_numbers(row) for row in rows] == [
        [1.0], [float(_EXACT)], [-float(_EXACT)], [], [1.5], [2.0], [-7.0], [0.25],
    ]  # fmt: skip
    assert _read(one) == [_numbers(row) for row in rows]
    one.replay()
    assert sorted(one.rows(), key=lambda row: row["id"]) == rows
    # What a double cannot hold stops it now.
    ends = one.batch([value(id=14, **place(_EXACT + 1))])
    assert ends is not None
    assert ends.outcome == "waiting"


def test_what_is_not_proven_stops_the_table(tried: Open, place: Any) -> None:
    one = _begun(tried, place(1), place(_EXACT + 1))
    before = one.rows()
    step = one.batch([value(id=10, **place(1.5))])
    assert step is not None
    assert (step.outcome, "long became double" in str(step.error)) == ("waiting", True)
    assert one.rows() == before


def test_the_batch_itself_must_fit(tried: Open, place: Any) -> None:
    one = _begun(tried, place(1))
    step = one.batch([value(id=10, **place(1.5)), value(id=11, **place(_EXACT + 1))])
    assert step is not None
    assert step.outcome == "waiting"
    assert [_numbers(row) for row in one.rows()] == [[1]]


def test_another_break_beside_it_stops_both(tried: Open) -> None:
    one = _begun(tried, {"n": 1, "d": 1})
    step = one.batch([value(id=10, n=1.5, d="x")])
    assert step is not None
    assert step.outcome == "waiting"
    assert one.act("resolve", resolution="rescue").outcome == "applied"
    assert [(r["n"], r["d"]) for r in one.rows()] == [(1, 1), (None, None)]


def test_key_and_partition_columns_stay(tried: Open) -> None:
    one = _begun(tried, {"n": 1}, partition_by=["n"], max_quarantine_ratio=1)
    one.load(value(id=10, n=1.5))
    assert len(one.quarantine()) == 1


def _numbers(row: Any) -> list[Any]:
    """Numbers in a row, less its id and coordinates; each once."""
    found: list[Any] = []

    def walk(held: Any) -> None:
        if isinstance(held, dict):
            list(map(walk, held.values()))
        elif isinstance(held, list | tuple):
            list(map(walk, held))
        elif isinstance(held, int | float) and held not in found:
            found.append(held)

    walk({k: v for k, v in row.items() if k != "id" and not k.startswith("_kafka")})
    return found
