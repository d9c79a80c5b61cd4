"""The one type that holds all numbers seen at a path, without a change of value."""

from __future__ import annotations

from lake_platform.domain.schema import EXACT_IN_DOUBLE, MAX_DIGITS, Decimal, Scalar, Type
from lake_platform.sight.seen import Seen

_INT64 = 2**63
_USUAL_DIGITS = 20  # of a whole number in a decimal, so that the next record does not widen it


def number_type(seen: Seen) -> Type | None:
    """Long where all are whole and some are written so, double where it is exact, else a decimal;
    None where no type holds them."""
    low, high = _range(seen)
    if seen.integers and not seen.fractions and -_INT64 <= low <= high < _INT64:
        return Scalar("long")
    if seen.numbers > seen.integers and not seen.inexact and _doubles(seen):
        return Scalar("double")
    whole = max(len(str(abs(low))), len(str(abs(high))), seen.before)
    if seen.integers or not seen.fractions:
        whole = max(whole, min(_USUAL_DIGITS, MAX_DIGITS - seen.after))
    kind = Decimal(whole + seen.after, seen.after)
    return kind if kind.storable else None


def _range(seen: Seen) -> tuple[int, int]:
    """Of the whole numbers."""
    bounds = [0] * (not seen.integers and not seen.wholes)
    bounds += [seen.low, seen.high] if seen.integers else []
    bounds += [seen.whole_low, seen.whole_high] if seen.wholes else []
    return min(bounds), max(bounds)


def _doubles(seen: Seen) -> bool:
    """Whether doubles stand for all that is written as an integer."""
    return -EXACT_IN_DOUBLE <= seen.low <= seen.high <= EXACT_IN_DOUBLE
