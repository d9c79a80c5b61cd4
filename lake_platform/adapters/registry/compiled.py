"""Avro that decodes without surprise, read by Python code made once for its schema: twice as fast
as by a reader that asks the schema for each value.

What the code meets and does not know (a number of more than 63 bits, an index beyond the union, an
end too early, a float that is none in JSON) it leaves to the caller: it says nothing of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import MAX_PREC, Context, Decimal
from typing import Any, NoReturn

import msgspec
from fastavro.read import LOGICAL_READERS

Read = Callable[[bytes], Any]
_EXACT = Context(prec=MAX_PREC)
_MOST_FIELDS = 2_000
_MOST_BYTES = 9  # of a number: 63 bits
_NUMBER = (
    "b = d[i]; i += 1",
    "if b > 127:",
    "    c = d[i]; i += 1",
    "    if c > 127: b, i = more(d, i, b - 128 + (c - 128 << 7))",
    "    else: b += c - 1 << 7",
)
_NATURAL = (*_NUMBER, "if b & 1: unknown()", "b >>= 1")
_EPOCH = {True: datetime(1970, 1, 1, tzinfo=UTC), False: datetime(1970, 1, 1)}  # noqa: DTZ001
_MICROS = {"millis": 1_000, "micros": 1}


class UnknownError(ValueError):
    """Left to the caller."""


def compiled(schema: Any, named: Mapping[str, Any]) -> Read | None:
    """Of a schema as fastavro parsed it; None for one that contains itself, or is too large.

    Raises of what is read: any Exception, when it is left to the caller.
    """
    writer = _Writer(named)
    try:
        found = writer.value(schema, "    ", ())
        lines = ["def read(d):", "    i = 0", *writer.lines]
        lines += ["    if i != len(d): unknown()", f"    return {found}"]
        # Names and values of the schema are no part of the text, only of what it is run with.
        exec("\n".join(lines), writer.known)  # noqa: S102
    except (UnknownError, SyntaxError, RecursionError, KeyError, ValueError, TypeError):
        return None
    read: Read = writer.known["read"]
    return read


def _more(data: bytes, at: int, found: int) -> tuple[int, int]:
    """The rest of a number behind its first two bytes, and where it ends."""
    shift = 14
    while (byte := data[at]) > 127:
        found |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if shift >= 7 * _MOST_BYTES:
            unknown()
    return found | byte << shift, at + 1


def unknown() -> NoReturn:
    raise UnknownError


class _Writer:
    """Each `value` writes what leaves a value in the variable that it returns."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named, self._count, self.lines = named, 0, list[str]()
        self.known: dict[str, Any] = {
            "more": _more, "unknown": unknown, "Decimal": Decimal, "EXACT": _EXACT,
            "delta": timedelta, "number": int.from_bytes,
            "f4": struct.Struct("<f").unpack_from, "f8": struct.Struct("<d").unpack_from,
        }  # fmt: skip

    def value(self, schema: Any, pad: str, above: tuple[str, ...]) -> str:
        if isinstance(schema, list):
            return self._union(schema, pad, above)
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, dict | list):
            return self.value(kind, pad, above)
        if kind in self._named and isinstance(schema, str):
            return self.value(self._named[kind], pad, above)
        out = self._new()
        plain = _PLAIN.get(kind)
        if plain is not None:
            self._put(pad, plain, out)
        elif kind in ("record", "error"):
            self._record(schema, out, pad, above)
        elif kind in ("array", "map"):
            self._repeated(schema, out, pad, above)
        elif kind == "fixed":
            self._put(pad, (f"j = i + {int(schema['size'])}", "{out} = d[i:j]; i = j"), out)
        elif kind == "enum":
            symbols = self._constant(tuple(schema["symbols"]))
            self._put(pad, (*_NATURAL, f"{{out}} = {symbols}[b]"), out)
        else:
            unknown()
        if isinstance(schema, dict) and "logicalType" in schema:
            self._logical(f"{kind}-{schema['logicalType']}", schema, out, pad)
        return out

    def _record(self, schema: Any, out: str, pad: str, above: tuple[str, ...]) -> None:
        name, fields = schema["name"], schema["fields"]
        if name in above:
            unknown()
        values = [self.value(f["type"], pad, (*above, name)) for f in fields]
        if self._count > _MOST_FIELDS:
            unknown()
        # A Struct is made and written faster than a dict, and its JSON is the same.
        form = msgspec.defstruct(
            "Record", [(f"f{n}", Any) for n in range(len(fields))], gc=False,
            rename={f"f{n}": f["name"] for n, f in enumerate(fields)},
        )  # fmt: skip
        self._put(pad, (f"{{out}} = {self._constant(form)}({', '.join(values)})",), out)

    def _union(self, schema: list[Any], pad: str, above: tuple[str, ...]) -> str:
        out = self._new()
        self._put(pad, _NUMBER, out)
        for number, branch in enumerate(schema):
            # An index is written in zigzag.
            word = "elif" if number else "if"
            self._put(pad, (f"{word} b == {2 * number}:",), out)
            if branch == "null":
                self._put(pad, ("    {out} = None",), out)
            else:
                found = self.value(branch, pad + "    ", above)
                self._put(pad, (f"    {{out}} = {found}",), out)
        self._put(pad, ("else: unknown()",), out)
        return out

    def _repeated(self, schema: Any, out: str, pad: str, above: tuple[str, ...]) -> None:
        is_map, left = schema["type"] == "map", self._new()
        self._put(pad, ("{out} = {}" if is_map else "{out} = []", "while True:"), out)
        inside, deeper = pad + "    ", pad + "        "
        self._put(inside, (*_NATURAL, "if not b: break", f"{left} = b", f"while {left}:"), out)
        # Of things without a byte each, a short message could have any number.
        self._put(deeper, (f"if {left} > len(d): unknown()", f"{left} -= 1"), out)
        key = self._new()
        if is_map:
            self._put(deeper, _PLAIN["string"], key)
        found = self.value(schema["values" if is_map else "items"], deeper, above)
        self._put(deeper, (f"{{out}}[{key}] = {found}" if is_map else f"{{out}}.append({found})",),
                  out)  # fmt: skip

    def _logical(self, kind: str, schema: Any, out: str, pad: str) -> None:
        if kind not in LOGICAL_READERS:
            return
        *_, what, unit = kind.split("-")
        if what == "timestamp":
            epoch = self._constant(_EPOCH["local" not in kind])
            line = f"{{out}} = {epoch} + delta(0, 0, {{out}} * {_MICROS[unit]})"
        elif unit == "decimal":
            scale = -int(schema.get("scale", 0))
            line = f'{{out}} = Decimal(number({{out}}, "big", signed=True)).scaleb({scale}, EXACT)'
        else:
            reader, given = self._constant(LOGICAL_READERS[kind]), self._constant(schema)
            line = f"{{out}} = {reader}({{out}}, {given}, None)"
        self._put(pad, (line,), out)

    def _put(self, pad: str, lines: tuple[str, ...], out: str) -> None:
        self.lines += [pad + line.replace("{out}", out) for line in lines]

    def _constant(self, held: Any) -> str:
        name = f"k{len(self.known)}"
        self.known[name] = held
        return name

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"


_LONG = (*_NUMBER, "{out} = b >> 1 ^ -(b & 1)")
_REAL = ("if {out} - {out}: unknown()",)  # of NaN and infinities no zero
_PLAIN: dict[str, tuple[str, ...]] = {
    "null": ("{out} = None",),
    "boolean": ("{out} = d[i] != 0; i += 1",),
    "int": _LONG,
    "long": _LONG,
    "float": ("{out}, = f4(d, i); i += 4", *_REAL),
    "double": ("{out}, = f8(d, i); i += 8", *_REAL),
    "bytes": (*_NATURAL, "j = i + b", "{out} = d[i:j]; i = j"),
    # A slice beyond the end is short; that the end was passed shows at the end.
    "string": (*_NATURAL, "j = i + b", "{out} = d[i:j].decode(); i = j"),
}
