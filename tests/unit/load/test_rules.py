"""A value breaks a rule, never the check."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_platform.adapters.parquet.engine import ParquetEngine
from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.dataset import Rule
from lake_platform.domain.schema import Field, Scalar, Struct
from lake_platform.load import checks
from tests.support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


class Newest:
    """An engine of which only the newest rows are asked."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def newest_rows(self, *_: object) -> Sequence[Mapping[str, Any]]:
        return self._rows


def broken(lab: Lab, values: Sequence[Any], **rule: Any) -> list[tuple[str, int]]:
    """Names of the broken rules, and how many rows break each."""
    lab.register(rules=(Rule(column="c", **rule),))
    engine = Newest([{"c": v} for v in values])
    found = checks.rules("t", lab.ports(engine=engine))
    assert all(f["column"] == "c" for f in found)
    return [(str(f["rule"]).partition("(")[0], int(str(f["rows"]))) for f in found]


NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
NUMBERS = [1, 2.5, Decimal("3.75"), 2**62, Decimal(10) ** 37, -0.0, None]
ODD = [
    float("nan"), "text", "", "x" * 100_000, b"\x00\xff", True, {"a": [1]}, [1, None],
    dt.date(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
    "+58804-08-12 16:00:00", "-0044-03-15", Decimal("NaN"),
]  # fmt: skip


def test_numbers_of_every_kind_hold_within_their_bounds(lab: Lab) -> None:
    assert broken(lab, NUMBERS, min=-1, max=1e38) == []


def test_each_bound_is_broken_by_what_is_beyond_it(lab: Lab) -> None:
    values = [*NUMBERS, float("inf"), float("-inf"), Decimal("-1e30")]
    assert broken(lab, values, min=2, max=1e30) == [
        ("greater_than_or_equal_to", 4), ("less_than_or_equal_to", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("bound", [{"min": 0}, {"max": 10**40}])
@pytest.mark.parametrize("value", ODD, ids=lambda v: str(v)[:20])
def test_what_is_no_number_breaks_a_bound(lab: Lab, value: Any, bound: dict[str, float]) -> None:
    assert broken(lab, [value, 1, None], **bound) == [(next(
        {"min": "greater_than_or_equal_to", "max": "less_than_or_equal_to"}[n] for n in bound
    ), 1)]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=lambda v: str(v)[:20])
def test_only_null_breaks_not_null(lab: Lab, value: Any) -> None:
    is_nan = isinstance(value, float | Decimal) and math.isnan(value)
    expected = [("not_nullable", 2 if is_nan else 1)]
    assert broken(lab, [value, None], not_null=True) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), (-7, "-7"), (2.0, "2"), (2.0, "2.0"), (2.5, "2.5"), (True, "true"),
        (False, "false"), (Decimal("1.50"), "1.50"), (Decimal("4.00"), "4"), ("a", "a"), ("", ""),
        ("2026-11-01", "2026-11-01"), (2**62, str(2**62)), (b"\x00", "AA=="),
        (dt.date(2026, 11, 1), "2026-11-01"), (NOON, "2026-11-01 12:00:00"),
        (NOON.replace(microsecond=500_000), "2026-11-01 12:00:00.5"),
        (NOON.astimezone(dt.timezone(dt.timedelta(hours=2))), "2026-11-01 12:00:00"),
    ],
)  # fmt: skip
def test_isin_compares_texts(lab: Lab, value: Any, text: str) -> None:
    assert broken(lab, [value, None], isin=(text, "other")) == []


@pytest.mark.parametrize(("value", "text"), [(True, "1"), (1, "true"), (0, "false"), ("A", "a")])
def test_isin_takes_no_other_type_for_the_same(lab: Lab, value: Any, text: str) -> None:
    assert broken(lab, [value], isin=(text,)) == [("isin", 1)]


def test_a_column_the_table_does_not_have_breaks_its_rule(lab: Lab) -> None:
    lab.register(rules=(Rule(column="nope", min=1), Rule(column="id", min=0)))
    lab.send({"id": 1})
    lab.cycle()
    (found,) = checks.rules("t", lab.ports())
    assert (found["rule"], found["column"], found["rows"]) == ("column_in_table", "nope", 1)


def test_the_example_of_a_broken_rule_is_short(lab: Lab) -> None:
    lab.register(rules=(Rule(column="c", isin=("a",)),))
    (found,) = checks.rules("t", lab.ports(engine=Newest([{"c": "x" * 100_000}])))
    assert found["example"] == "x" * 200


def test_without_rows_every_rule_holds(lab: Lab) -> None:
    assert broken(lab, [], not_null=True, min=1, isin=("a",)) == []


def test_rules_on_a_parquet_table_without_spark(tmp_path: Path) -> None:
    """Files of one batch, of which the table's newer column is in none."""
    lab = Lab(tmp_path)
    lab.store = open_store((tmp_path / "storage").as_uri())
    lab.engine = ParquetEngine(no_session, lab.store)
    rules = (
        Rule(column="nope", not_null=True), Rule(column="id", min=2),
        Rule(column="day", isin=("x",)),
    )  # fmt: skip
    source = Struct((Field("id", Scalar("long")), Field("day", Scalar("date"))))
    lab.register(format="parquet", rules=rules, source=source)
    lab.send({"id": 1, "day": "2026-11-01"})
    lab.send({"id": 2, "day": "9999-12-31"})
    lab.cycle()
    found = {(f["column"], f["rows"]): f["example"] for f in checks.rules("t", lab.ports())}
    assert found == {("nope", 2): "no such column", ("id", 1): "1", ("day", 2): "2026-11-01"}
    only = lab.metastore.get("t")
    change = {"rules": [{"column": "nope", "not_null": True}]}
    lab.metastore.update("t", change, only.version, "test")
    assert len(checks.rules("t", lab.ports())) == 1
    lab.close()


def no_session() -> Any:
    raise AssertionError("no Spark is needed")
