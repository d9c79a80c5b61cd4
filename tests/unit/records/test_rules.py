"""A value breaks a rule, never the look at it; what is exact is compared exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lake_platform.domain.rules import Rule, conditions
from lake_platform.errors import InvalidFieldError
from lake_platform.records.rules import check_regex, held_against

UTC = pa.timestamp("us", tz="UTC")
PLACES = 4
COLUMNS: dict[str, pa.Array] = {
    "long": pa.array([1, 2**62, None, -5]),
    "double": pa.array([0.5, float("nan"), None, 2.0]),
    "text": pa.array(["ab", "x", None, ""]),
    "dec": pa.array(
        [Decimal("1.10"), None, Decimal("99.00"), Decimal("-1.00")], pa.decimal128(10, 2)
    ),
    "flag": pa.array([True, None, False, True]),
    "day": pa.array([0, None, 10**6, 2**31 - 1], pa.date32()),
    "at": pa.array([1_500_000, None, 0, 2**60], UTC),
    "bin": pa.array([b"\x00", None, b"a", b""]),
    "o": pa.array([{"p": 1}, None, {"p": None}, {"p": 3}]),
    "xs": pa.array([[{"v": 1}, {"v": None}], None, [], [{"v": 7}]]),
    "m": pa.array([[("a", 1)], None, [], [("b", 9)]], pa.map_(pa.string(), pa.int64())),
}  # fmt: skip


def broken(column: str, **said: Any) -> list[int]:
    """The rows that break a rule."""
    rows = pa.RecordBatch.from_pydict({
        **COLUMNS,
        "_kafka_partition": pa.array([0] * PLACES),
        "_kafka_offset": pa.array(range(PLACES)),
    })  # fmt: skip
    rule = Rule(column=column, policy="quarantine", **said)
    verdict = held_against(conditions((rule,)), rows)
    counted = sum(b.rows for b in verdict.broken.values())
    assert counted == len(verdict.aside)
    for one in verdict.broken.values():
        assert one.samples
        assert all(isinstance(s["value"], str) for s in one.samples)
    return sorted(verdict.aside)


@pytest.mark.parametrize(
    ("column", "nulls"),
    [
        ("long", [2]),
        ("double", [1, 2]),
        ("text", [2]),
        ("dec", [1]),
        ("flag", [1]),
        ("day", [1]),
        ("at", [1]),
        ("bin", [1]),
        ("o", [1]),
        ("xs", [1]),
        ("m", [1]),
        ("o.p", [1, 2]),
        ("xs[].v", [0]),
        ("m{}", []),
        ("xs[]", []),
        ("nope", [0, 1, 2, 3]),
        ("o.nope", [0, 1, 2, 3]),
        ("long.p", [0, 1, 2, 3]),
    ],
)
def test_not_null(column: str, nulls: list[int]) -> None:
    assert broken(column, not_null=True) == nulls


@pytest.mark.parametrize(
    ("column", "low", "below"),
    [
        ("long", -5, []),
        ("long", -4.5, [3]),
        ("long", 2**62, [0, 3]),
        ("long", 1e300, [0, 1, 3]),
        ("long", -1e300, []),
        ("double", 0.5, [1]),
        ("double", 0.6, [0, 1]),
        ("dec", 1.1, [3]),
        ("dec", 1, [3]),
        ("dec", -1e40, []),
        ("o.p", 2, [0]),
        ("xs[].v", 2, [0]),
        ("m{}", 2, [0]),
        ("text", 0, [0, 1, 3]),
        ("flag", 0, [0, 2, 3]),
        ("day", 0, [0, 2, 3]),
        ("at", 0, [0, 2, 3]),
        ("bin", 0, [0, 2, 3]),
        ("o", 0, [0, 2, 3]),
        ("xs", 0, [0, 2, 3]),
        ("nope", 0, []),
    ],
)
def test_min(column: str, low: float, below: list[int]) -> None:
    """The double of 1.1 is above 1.10, which is what is meant."""
    assert broken(column, min=low) == below


@pytest.mark.parametrize(
    ("column", "high", "above"),
    [
        ("long", 2**62, []),
        ("long", 2.0**62 - 512, [1]),
        ("long", 0.5, [0, 1]),
        ("long", -1e300, [0, 1, 3]),
        ("double", 1.5, [1, 3]),
        ("dec", 98.999, [2]),
        ("dec", 1e40, []),
        ("o.p", 1, [3]),
        ("xs[].v", 1, [3]),
        ("m{}", 5, [3]),
        ("text", 1e9, [0, 1, 3]),
    ],
)
def test_max(column: str, high: float, above: list[int]) -> None:
    assert broken(column, max=high) == above


def test_whole_numbers_are_compared_exactly() -> None:
    """2^62 and 2^62 + 1 are one double."""
    rows = pa.RecordBatch.from_pydict({
        "n": pa.array([2**62, 2**62 + 1, -(2**63)]),
        "_kafka_partition": pa.array([0] * 3), "_kafka_offset": pa.array(range(3)),
    })  # fmt: skip
    said = conditions((Rule(column="n", max=2.0**62, min=-(2.0**62)),))
    found = held_against(said, rows).broken
    assert {name: b.rows for name, b in found.items()} == {"n.max": 1, "n.min": 1}


@pytest.mark.parametrize(
    ("column", "allowed", "others"),
    [
        ("long", ["1", "-5"], [1]),
        ("double", ["0.5", "2"], [1]),
        ("double", ["2.0", "0.5"], [1]),
        ("text", ["ab", ""], [1]),
        ("dec", ["1.10", "99", "-1.00"], []),
        ("flag", ["true"], [2]),
        ("flag", ["1"], [0, 2, 3]),
        ("day", ["1970-01-01"], [2, 3]),
        ("bin", ["AA==", ""], [2]),
        ("at", ["1970-01-01 00:00:01.5", "1970-01-01 00:00:00"], [3]),
        ("o.p", ["1"], [3]),
        ("xs[].v", ["1"], [3]),
        ("m{}", ["1"], [3]),
        ("o", ['{"p": 1}'], [2, 3]),
        ("nope", ["1"], []),
    ],
)
def test_isin(column: str, allowed: list[str], others: list[int]) -> None:
    assert broken(column, isin=tuple(allowed)) == others


@pytest.mark.parametrize(
    ("column", "pattern", "others"),
    [
        ("text", "a", [1, 3]),
        ("text", "^$", [0, 1]),
        ("text", "^[a-z]*$", []),
        ("long", "1", [0, 1, 3]),
        ("day", "1", [0, 2, 3]),
        ("nope", "x", []),
        ("text", "(a|a)*(a|aa)*b$", [1, 3]),
    ],
)
def test_regex(column: str, pattern: str, others: list[int]) -> None:
    assert broken(column, regex=pattern) == others


def test_no_regex_takes_long() -> None:
    rows = pa.RecordBatch.from_pydict({
        "t": pa.array(["a" * 100_000 + "!"]),
        "_kafka_partition": pa.array([0]), "_kafka_offset": pa.array([0]),
    })  # fmt: skip
    said = conditions((Rule(column="t", regex=r"^(a+)+$"),))
    assert held_against(said, rows).broken["t.regex"].rows == 1


@pytest.mark.parametrize("pattern", ["(", "(?<=a)b", r"(a)\1", "[z-a]", "a{5000}"])
def test_what_re2_does_not_take(pattern: str) -> None:
    with pytest.raises(InvalidFieldError, match="RE2 does not take it"):
        check_regex(pattern)


def test_samples_are_few_and_short() -> None:
    rows = pa.RecordBatch.from_pydict({
        "t": pa.array(["x" * 10_000] * 50),
        "_kafka_partition": pa.array([1] * 50), "_kafka_offset": pa.array(range(50)),
    })  # fmt: skip
    found = held_against(conditions((Rule(column="t", isin=("a",)),)), rows).broken["t.isin"]
    assert (found.rows, [s["offset"] for s in found.samples]) == (50, [0, 1, 2, 3, 4])
    assert found.samples[0] == {"partition": 1, "offset": 0, "value": "x" * 200}


def test_of_two_rules_the_first_is_the_reason() -> None:
    rules = (
        Rule(column="long", max=0), Rule(column="long", min=100, policy="quarantine"),
        Rule(column="text", not_null=True, policy="quarantine"),
    )  # fmt: skip
    rows = pa.RecordBatch.from_pydict({
        **COLUMNS, "_kafka_partition": pa.array([0] * PLACES),
        "_kafka_offset": pa.array(range(PLACES)),
    })  # fmt: skip
    verdict = held_against(conditions(rules), rows)
    assert {n: c.name for n, c in verdict.aside.items()} == {
        0: "long.min", 2: "text.not_null", 3: "long.min",
    }  # fmt: skip
    assert verdict.broken["long.max"].rows == 2
