"""Texts and numbers that become another type: the exact forms taken, and what they become.

What is listed here and in docs/delivery.md is taken; any other text is a type conflict. Each class
is what a decoded value becomes, in the unit that Arrow stores, so the value that was judged is the
value that is written.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import decimal
import re
import struct
from functools import lru_cache
from typing import Any, Self, cast

from lake_platform.domain.schema import Scalar, Type

_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_DAY_MICROS = 86_400_000_000
_YEARS_MICROS = (
    (dt.date(1, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_MICROS,
    (dt.date(9999, 12, 31).toordinal() - _EPOCH_DAY + 1) * _DAY_MICROS - 1,
)
_UNITS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_WIDE = decimal.Context(prec=2000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_DATE = r"(\d{4})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)"
_DATE_ONLY = re.compile(_DATE, re.ASCII)
_TIMESTAMP = re.compile(
    rf"(?:{_DATE})(?:[Tt ](?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{{1,9}}))?)?"
    r"|(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?)"
    r"([Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


class Days(int):
    """A date as days since 1970-01-01: `2026-11-01`, `20261101`; years 0001 to 9999."""

    @classmethod
    def read(cls, value: object) -> Self:
        found = _DATE_ONLY.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError("not a date")
        return cls(_days(found))


class Micros(int):
    """A timestamp as microseconds since 1970 UTC: a date, or a date, `T` or a space, and `10:30`,
    `10:30:15`, `10:30:15.123456789` (cut to six digits), each also without colons; then nothing
    (UTC), `Z`, or an offset up to 18 hours (`+02:00`, `+0200`, `+02`)."""

    @classmethod
    def read(cls, value: object) -> Self:
        found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError("not a timestamp")
        hour, minute, second, fraction = found.groups()[6:10]
        if hour is None:
            hour, minute, second, fraction = found.groups()[10:14]
        micros = int((fraction or "0").ljust(6, "0")[:6])
        clock = int(hour or 0), int(minute or 0), int(second or 0)
        if clock > (23, 59, 59) or clock[1] > 59 or clock[2] > 59:
            raise ValueError("no such time of day")
        seconds = clock[0] * 3600 + clock[1] * 60 + clock[2] - _offset_seconds(found[15])
        instant = _days(found) * _DAY_MICROS + seconds * 1_000_000 + micros
        if not _YEARS_MICROS[0] <= instant <= _YEARS_MICROS[1]:
            raise ValueError("outside of the years 1 to 9999")
        return cls(instant)


class Binary(bytes):
    """Bytes as standard base64 with padding."""

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError("not base64")
        try:
            data = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
        if base64.b64encode(data).decode() != value:
            raise ValueError("bits behind the last byte")
        return cls(data)


class Single(float):
    """A number that 32 bits hold: what they hold, read back as a double, is the double nearest to
    the text."""

    @classmethod
    def read(cls, value: object) -> Self:
        if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
            raise ValueError("not a number")
        number = float(value)
        if not number and value:
            raise ValueError("nearer to zero than any number of 64 bits")
        try:
            held = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            held = None
        if held != number or (isinstance(value, int) and int(number) != value):
            raise ValueError("more than 32 bits hold")
        return cls(number)


class Text(float):
    """A double together with the text it was read from."""

    text: str

    @classmethod
    def of(cls, text: str) -> Self:
        number = cls(text)
        number.text = text
        return number


def exact(value: float | decimal.Decimal) -> decimal.Decimal:
    """The number as its text has it.

    Raises: ValueError for what is not a JSON number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        raise ValueError("not a number")
    return parsed(getattr(value, "text", None) or str(value))


def parsed(text: str) -> decimal.Decimal:
    """A JSON number, exactly. Raises: ValueError when its exponent is beyond all bounds."""
    try:
        number = _WIDE.create_decimal(text)
    except decimal.DecimalException:
        raise ValueError("an exponent beyond all bounds") from None
    if not number and any(d in text.upper().split("E")[0] for d in "123456789"):
        raise ValueError("an exponent beyond all bounds")
    return number


def digits(number: decimal.Decimal) -> tuple[int, int]:
    """Digits before and after the point that a decimal column needs for it; zeros at the end of the
    fraction need none."""
    if not number:
        return 0, 0
    _, found, exponent = number.as_tuple()
    held, exponent = "".join(map(str, found)), cast("int", exponent)
    kept = held.rstrip("0")
    exponent += len(held) - len(kept)
    return max(0, len(kept) + exponent), max(0, -exponent)


def numeric(value: Any, precision: int, scale: int) -> decimal.Decimal:
    """Raises: ValueError when a `decimal(precision, scale)` does not hold the number exactly."""
    number = exact(value)
    whole, fraction = digits(number)
    if fraction > scale or whole > precision - scale:
        raise ValueError("more digits than the column has")
    # With just the digits of the column: 0E+500 and 1.000… are too long for what stores them.
    return number.quantize(decimal.Decimal(1).scaleb(-scale), context=_WIDE)


def _days(found: re.Match[str]) -> int:
    year, month, day = (int(a or b) for a, b in zip(found.groups()[:3], found.groups()[3:6]))  # noqa: B905
    return dt.date(year, month, day).toordinal() - _EPOCH_DAY


def _offset_seconds(text: str | None) -> int:
    if not text or text in "Zz":
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 18 or minutes > 59:
        raise ValueError("no such offset")
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60)


@lru_cache(maxsize=16)
def _since_1970(name: str, unit: str) -> Any:
    """A number of units since 1970, to the microsecond below; for a date to the day, which must be
    whole."""

    def read(value: Any) -> Any:
        number = exact(value)
        if digits(number)[0] > 22:
            raise ValueError("outside of the years 1 to 9999")
        number = number.scaleb(_UNITS[unit], _WIDE)
        micros = int(number.to_integral_value(decimal.ROUND_FLOOR, _WIDE))
        if not _YEARS_MICROS[0] <= micros <= _YEARS_MICROS[1]:
            raise ValueError("outside of the years 1 to 9999")
        if name == "timestamp":
            return kind(micros)
        if number != micros or micros % _DAY_MICROS:
            raise ValueError("not a whole day")
        return kind(micros // _DAY_MICROS)

    kind = type(f"Since1970_{name}_{unit}", (int,), {"read": staticmethod(read)})
    return kind


READERS: dict[str, type[Days | Micros | Binary | Single]] = {
    "date": Days,
    "timestamp": Micros,
    "binary": Binary,
    "float": Single,
}


def reader(kind: Type) -> Any:
    """The class whose `read` takes a value for a column of this type; None where JSON has values of
    it."""
    if not isinstance(kind, Scalar):
        return None
    return _since_1970(kind.name, kind.format) if kind.format else READERS.get(kind.name)


def in_text(kind: Scalar, value: Any) -> str:
    """A date or timestamp that is written as a number, as ISO text. Raises: ValueError."""
    number = reader(kind).read(value)
    if kind.name == "date":
        return dt.date.fromordinal(_EPOCH_DAY + number).isoformat()
    day, micros = divmod(number, _DAY_MICROS)
    midnight = dt.datetime.combine(dt.date.fromordinal(_EPOCH_DAY + day), dt.time(), dt.UTC)
    return (midnight + dt.timedelta(microseconds=micros)).isoformat()
