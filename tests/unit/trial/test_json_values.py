"""Arrow columns as JSON: every value as it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_platform.trial.values import plain

_STAMP = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("kind", "values", "right"),
    [
        (pa.int64(), [2**63 - 1, -(2**63), None], [2**63 - 1, -(2**63), None]),
        (pa.float64(), [0.1, -0.0, 1e300], [0.1, -0.0, 1e300]),
        (pa.float64(), [float("nan"), float("inf"), -float("inf")],
         ["NaN", "Infinity", "-Infinity"]),
        (pa.decimal128(38, 9), [Decimal("1.100000000"), Decimal("0.000000001")],
         ["1.100000000", "0.000000001"]),
        (pa.decimal128(20, 0), [Decimal(10) ** 19], ["10000000000000000000"]),
        (pa.binary(), [b"\x00\xff", b""], ["AP8=", ""]),
        (pa.bool_(), [True, False, None], [True, False, None]),
        (pa.string(), ["", "\x00\u2028", "null"], ["", "\x00\u2028", "null"]),
        (_STAMP, [0, -1, 1_793_527_200_500_000, 1_793_527_200_000_000_000],
         ["1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2026-11-01T10:00:00.500000Z",
          "+58804-08-12T16:00:00Z"]),
        (pa.timestamp("ns"), [1_500], ["1970-01-01T00:00:00.000001Z"]),
        (pa.date32(), [0, -719_162, 20_261_101, -719_529],
         ["1970-01-01", "0001-01-01", "+57443-01-05", "-0001-12-31"]),
        (pa.list_(pa.int32()), [[1, None], None, []], [[1, None], None, []]),
        (pa.map_(pa.string(), pa.date32()), [[("a", 0)], None, [("b", None)]],
         [{"a": "1970-01-01"}, None, {"b": None}]),
        (pa.struct([("a", pa.binary()), ("b", pa.list_(pa.struct([("c", _STAMP)])))]),
         [{"a": b"x", "b": [{"c": 0}, None]}, None, {"a": None, "b": None}],
         [{"a": "eA==", "b": [{"c": "1970-01-01T00:00:00Z"}, None]}, None,
          {"a": None, "b": None}]),
    ],
)  # fmt: skip
def test_value(kind: pa.DataType, values: list[Any], right: list[Any]) -> None:
    array = pa.array(values, kind)
    assert plain(array) == right
    assert plain(array.slice(1)) == right[1:]
    assert plain(pa.chunked_array([array, array.slice(0, 1)])) == [*right, right[0]]


@given(st.dates(), st.times(), st.integers(-(10**6), 10**6))
def test_times_are_those_of_python(day: date, time: Any, shift: int) -> None:
    moment = datetime.combine(day, time, UTC)
    try:
        moment += timedelta(microseconds=shift)
    except OverflowError:
        return
    shown = moment.isoformat().replace("+00:00", "Z")
    assert plain(pa.array([moment], _STAMP)) == [shown]
    assert plain(pa.array([day], pa.date32())) == [day.isoformat()]
