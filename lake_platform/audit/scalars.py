"""Scalars of JSON and of Arrow as comparable values of a column's Arrow type."""

from __future__ import annotations

import base64
import datetime as dt
import math
import struct
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Self

import pyarrow as pa

from lake_platform.domain.schema import Scalar

Read = Callable[[Any], Any]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_MICROS = 86_400_000_000
_LONG_DIGITS, _DOUBLE_DIGITS = 20, 17
_WIDE = Context(prec=2_000)  # the default's 28 digits are less than a decimal(38) has
_MICROSECOND = dt.timedelta(microseconds=1)


class UnfitError(ValueError):
    """The value cannot be in this column."""


class Number(Decimal):
    """A JSON number that is no plain integer, with its text."""

    text: str

    @classmethod
    def of(cls, text: str) -> Self:
        try:
            number = cls(text)
        except InvalidOperation:  # an exponent beyond all bounds
            said = text.lower().partition("e")[0]
            number = cls("NaN" if any(digit in said for digit in "123456789") else "0")
        number.text = text
        return number


def scalar(kind: pa.DataType) -> Read:
    """Reads a value that is not null. What it gives raises UnfitError."""
    types = pa.types
    if types.is_boolean(kind):
        return _of(bool)
    if types.is_integer(kind):
        return _integer(kind.bit_width)
    if types.is_float64(kind):
        return _double
    if types.is_float32(kind):
        return _single
    if types.is_decimal(kind):
        return _decimal(kind.precision, kind.scale)
    if types.is_date(kind):
        return _date
    if types.is_timestamp(kind):
        return _timestamp
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _binary
    return _string


def since_1970(kind: Scalar) -> Read:
    """Of a date or timestamp that is written as a number."""
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.format]

    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | Number):
            raise UnfitError("no number")
        micros = Fraction(_within_reach(value)) * 10**6 / units
        try:
            at = _EPOCH + dt.timedelta(microseconds=math.floor(micros))
        except OverflowError:
            raise UnfitError("outside of the years 1 to 9999") from None
        if kind.name == "timestamp":
            return _timestamp(at)
        if micros != (at - _EPOCH).days * _DAY_MICROS:
            raise UnfitError("not a whole day")
        return at.date()

    return read


def _within_reach(value: Any) -> Any:
    """A number as near to zero as makes a difference: nobody can write down 1e-9999999999."""
    if not isinstance(value, Decimal) or not value:
        return value
    if value.is_nan() or value.adjusted() >= 99:
        raise UnfitError("outside of the years 1 to 9999")
    return value if value.adjusted() > -99 else Decimal((value.is_signed(), (1,), -99))


def _of(wanted: type) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise UnfitError(f"no {wanted.__name__}")
        return value

    return read


def _integer(bits: int) -> Read:
    def read(value: Any) -> int:
        if isinstance(value, Decimal) and value.adjusted() < _LONG_DIGITS and value % 1 == 0:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnfitError("no integer")
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise UnfitError("out of range")
        return value

    return read


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnfitError("no number")
    number = float(value)
    if not math.isfinite(number):
        raise UnfitError("not finite")
    # Whole numbers are not rounded; of others the nearest double gives 17 digits back.
    if isinstance(value, Decimal) and Decimal(number) != value:
        if not number or _significant(value) > _DOUBLE_DIGITS:
            raise UnfitError("a number that no double is")
    elif isinstance(value, int) and int(number) != value:
        raise UnfitError("a number that no double is")
    return number + 0.0  # -0.0 is 0.0


def _significant(value: Decimal) -> int:
    return len("".join(map(str, value.as_tuple().digits)).strip("0"))


def _single(value: Any) -> float:
    number = _double(value)
    try:
        (single,) = struct.unpack("f", struct.pack("f", number))
    except OverflowError:
        single = math.inf
    if single != number:
        raise UnfitError("a number that 32 bits do not hold")
    return number


def _decimal(precision: int, scale: int) -> Read:
    beyond = Decimal(1).scaleb(precision - scale)

    def read(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise UnfitError("no number")
        exact = Decimal(str(value))
        try:
            found = exact.quantize(Decimal(1).scaleb(-scale), context=_WIDE)
        except InvalidOperation:
            raise UnfitError("too many digits") from None
        if found != exact or abs(found) >= beyond:
            raise UnfitError("too many digits")
        return found or abs(found)  # -0 is 0

    return read


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date):
        return value
    return _parsed(dt.date.fromisoformat, value)  # type: ignore[no-any-return]


def _timestamp(value: Any) -> int:
    """Microseconds since 1970 UTC."""
    at = value if isinstance(value, dt.datetime) else _parsed(dt.datetime.fromisoformat, value)
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return int((at - _EPOCH) // _MICROSECOND)


def _binary(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _parsed(_base64, value)


def _base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != text.encode():
        raise ValueError("bits behind the last byte")
    return data


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    if not isinstance(value, str):
        raise UnfitError("no text")
    try:
        return parse(value)
    except ValueError as error:
        raise UnfitError(str(error)) from None


def _string(value: Any) -> str | None:
    if value in ([], {}, "[]", "{}"):
        return None  # a column of which only empty values were ever seen
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Number):
        return getattr(value, "text", str(value))
    if not isinstance(value, str):
        raise UnfitError("no text")
    return value
