"""Whether a key of an object is data, as those of a map are."""

from __future__ import annotations

import re

_LOOKED_AT = 200
_DATA = re.compile(
    r"\d{4,}"  # a number; also a date or an hour without dashes
    r"|(?=[^\d]*\d)[0-9a-f]{8,}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID
    r"|\d{4}[-/]\d\d(?:[-/]\d\d(?:[T ].*)?)?"  # a day or month, and an instant
    r"|\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d{1,5})?"  # IPv4, with a port or the size of a network
    r"|(?=[^:]*:[^:]*:)[0-9a-f:.]{2,45}(?:/\d{1,3})?"  # IPv6
    r"|[a-z][a-z0-9+.-]*://.+"
    r"|arn:[^:]+:.+"
    r"|[^@\s]+@[^@\s]+\.[^@\s]+",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


def looks_like_data(key: str) -> bool:
    """An address of any kind, UUID, long hex or decimal number, date, URL, e-mail or ARN."""
    return _DATA.fullmatch(key[:_LOOKED_AT]) is not None
