"""Whether raw values conform to a schema, and what they look like when they do not.

The fast path is a msgspec decoder generated from the schema (0.4 us a record); only a value it
refuses is parsed into Python and observed. Nothing that would change a value conforms: integers
beyond 64 bits and numbers a double cannot hold are conflicts.
"""

from __future__ import annotations

import decimal
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec

from lake_platform.domain.quality import MAX_NUMBER_CHARS
from lake_platform.domain.schema import (
    Array,
    Decimal,
    Map,
    Struct,
    Type,
    columns,
    leaf,
)
from lake_platform.records.forms import Text, numeric, parsed, reader

_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
# From 2^53 on a double skips integers (and 2^53 may be 2^53 + 1 rounded): looked at closely.
_DOUBLE = Annotated[float, msgspec.Meta(gt=-(2.0**53), lt=2.0**53)]
_NOTHING = (
    Annotated[list[Any], msgspec.Meta(max_length=0)]
    | Annotated[dict[str, Any], msgspec.Meta(max_length=0)]
    | None
)
_RAW = ("json", "dropped")
_FAST: dict[str, Any] = {
    "boolean": bool,
    "int": _INT32,
    "long": _INT64,
    "double": _DOUBLE,
    "string": str,
    "unknown": _NOTHING,
    "rescued": type(None),  # in no record
}
# 18 significant digits and more may not fit a double. Searching for the run of digits first, in C,
# makes that question cost 3 ns a byte less than asking the expression alone.
_INEXACT = re.compile(rb"[1-9](?:[0-9]{17,}|[0-9.]{18,})")
# Nearer to zero than any double but zero.
_TINY = re.compile(rb"[eE]-0*(?:[3-9][0-9]{2}|[1-9][0-9]{3,})")
_SMALL = b"e-000"
_ZEROS = b"." + b"0" * 300
_RUN = b"0" * 19
_LONG_RUN = b"0" * (MAX_NUMBER_CHARS // 2)
_SHAPES = {"e": 0x65, "E": 0x65, "-": 0x2D, **dict.fromkeys("0123456789.", 0x30)}
_DIGITS = bytes(_SHAPES.get(chr(c), 0x20) for c in range(256))
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_EXACT = decimal.Context(prec=1200)


class Line(msgspec.Struct, gc=False):
    """The envelope of a raw line without its value; `reason` is set for a rejected one."""

    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    order: int | None = None
    tombstone: bool = False
    reason: str | None = None


head_of = msgspec.json.Decoder(Line).decode


class _ValueOnly(msgspec.Struct, gc=False):
    value: msgspec.Raw = msgspec.Raw(b"null")


_value_only = msgspec.json.Decoder(_ValueOnly)


def value_bytes(line: bytes) -> bytes | None:
    """The value of a raw line as it came; None for tombstones and rejected values."""
    value = bytes(_value_only.decode(line).value)
    return None if value == b"null" else value


@lru_cache(maxsize=256)
def _decoder(schema: Struct, lenient: bool) -> msgspec.json.Decoder[Any]:
    """Generating the classes takes as long as decoding 500 records; small batches come often."""
    value = _struct_type(schema, "Value", lenient)
    envelope = [("partition", int), ("offset", int), ("timestamp", int)]
    line = msgspec.defstruct(
        "ValueLine",
        [*envelope, ("key", str | None, None), ("order", int | None, None),
         ("value", value | None, None)],
        gc=False,
    )  # fmt: skip
    return msgspec.json.Decoder(line, dec_hook=_read, float_hook=parsed)


class Conformer:
    """Decodes lines against `schema`: the verdict and the value in one act.

    A decoded line has partition, offset, timestamp, key, order and value (None for tombstones and
    rejected values). A value is a struct with one place for each field of `schema`; texts and
    numbers of another form are there as `records.forms` has them. `lenient`: fields that `schema`
    does not have are passed over.
    """

    def __init__(self, schema: Struct, lenient: bool = False) -> None:
        self.schema = schema
        self.attributes = {f.name: f"f{i}" for i, f in enumerate(schema.fields)}
        try:
            self._decoder = _decoder(schema, lenient)
        except RecursionError:  # too deep to be hashed and compared on a deep stack
            self._decoder = _decoder.__wrapped__(schema, lenient)
        leaves = {str(leaf(kind)) for _, kind in columns(schema)}
        self._doubles, self._json = "double" in leaves, not leaves.isdisjoint(_RAW)

    def decode(self, line: bytes) -> Any:
        """Raises ValueError when the value does not conform, or only the slow path can tell."""
        return self._decoder.decode(line)

    def decode_all(self, lines: bytes) -> list[Any]:
        """All lines of a text. Raises as `decode`, when one of them does not conform."""
        return self._decoder.decode_lines(lines)

    def suspicious(self, text: bytes) -> bool:
        """Whether a number in `text` may have more digits than a double column would keep, be
        nearer to zero than it can be, or have more digits than any reader takes."""
        if not self._doubles and not self._json:
            return False
        digits = text.translate(_DIGITS)
        if self._doubles and _SMALL in digits and _TINY.search(text) is not None:
            return True
        if _RUN not in digits:
            return False
        inexact = self._doubles and (_ZEROS in text or _INEXACT.search(text) is not None)
        return _LONG_RUN in digits or inexact


class LongNumberError(ValueError):
    """A number of more than MAX_NUMBER_CHARS characters."""


def parse_value(line: bytes) -> dict[str, Any]:
    """The value of a raw line; inexact numbers come as `decimal.Decimal`.

    Raises: LongNumberError.
    """
    parsed = json.loads(line, parse_float=_exact_float)
    return cast("dict[str, Any]", parsed["value"])


def _exact_float(text: str) -> float | decimal.Decimal:
    """A float when it is the nearest one to `text` within 17 digits, and zero only for zero; else
    the exact number."""
    if len(text) > MAX_NUMBER_CHARS:
        raise LongNumberError
    number = Text.of(text)
    exact = _EXACT.create_decimal(text)
    if len(exact.normalize(_EXACT).as_tuple().digits) <= 17 and bool(number) == bool(exact):
        return number
    return number if exact == decimal.Decimal(number) else exact


def _read(kind: type, value: object) -> Any:
    """msgspec's hook for types of ours. Numbers come as int or `decimal.Decimal`."""
    return kind.read(value)  # type: ignore[attr-defined]


def _struct_type(struct: Struct, name: str, lenient: bool) -> Any:
    # Attributes are f0, f1, ...: JSON names may be anything, Python's may not.
    attributes: list[tuple[str, Any, None]] = []
    behind: list[tuple[str, Any, None]] = []
    rename: dict[str, str] = {}
    spellings: dict[str, list[str]] = {}
    for i, f in enumerate(struct.fields):
        kind = _field_type(f.type, f"{name}_{i}", lenient)
        attributes.append((f"f{i}", kind, None))
        own, *aliases = f.keys or ("",)
        rename[f"f{i}"] = _fast_name(own) if f.keys else uuid.uuid4().hex
        if aliases:
            # Behind all others: who unpacks a struct takes as many as there are fields.
            spellings[f"f{i}"] = others = [f"f{i}_{n}" for n in range(len(aliases))]
            behind += [(other, kind, None) for other in others]
            rename |= zip(others, map(_fast_name, aliases), strict=True)
    return msgspec.defstruct(
        name, attributes + behind, rename=rename, gc=False, eq=False,
        forbid_unknown_fields=not lenient, namespace=_one_spelling(spellings),
    )  # fmt: skip


def _one_spelling(spellings: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A struct that takes a field's value from whichever key has one. Several are looked at
    closely: what they say may differ."""
    if not spellings:
        return {}

    def settle(self: Any) -> None:
        for own, others in spellings.items():
            found = [v for a in (own, *others) if _given(v := getattr(self, a))]
            if len(found) > 1:
                raise ValueError("two spellings of one key")
            if found:
                setattr(self, own, found[0])

    return {"__post_init__": settle}


def _given(value: Any) -> bool:
    if isinstance(value, msgspec.Raw):
        return bytes(value) != b"null"
    return value is not None


def _field_type(kind: Type, name: str, lenient: bool) -> Any:
    # msgspec takes only null for `Raw | None`; where there is no value the default stays.
    return msgspec.Raw if str(kind) in _RAW else _fast_type(kind, name, lenient) | None


def _fast_name(name: str) -> str:
    """msgspec refuses names that JSON must escape. One that no record can have takes the place, so
    a record with such a column is an unknown field to the fast path and takes the slow one."""
    return uuid.uuid4().hex if _ESCAPED.search(name) else name


def _fast_type(kind: Type, name: str, lenient: bool) -> Any:
    if isinstance(kind, Struct):
        return _struct_type(kind, name, lenient)
    if isinstance(kind, Array):
        return list[_field_type(kind.element, name, lenient)]  # type: ignore[misc]
    if isinstance(kind, Map):
        return dict[str, _field_type(kind.value, name, lenient)]  # type: ignore[misc]
    if isinstance(kind, Decimal):
        return _decimal_class(kind.precision, kind.scale)
    return reader(kind) or _FAST[str(kind)]


@lru_cache(maxsize=256)
def _decimal_class(precision: int, scale: int) -> Any:
    def read(value: object) -> Any:
        return kind(numeric(value, precision, scale))

    kind = type(f"Decimal_{precision}_{scale}", (decimal.Decimal,), {"read": staticmethod(read)})
    return kind
