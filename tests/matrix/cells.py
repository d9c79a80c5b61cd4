"""Every value that records may have, held against every type of a column, in every place of one.

What must come of it is written down here by hand, and shares no code with what decides it.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal as Exact
from typing import Any, Literal

from lake_platform.domain.schema import JSON, Array, Decimal, Field, Map, Scalar, Struct, Type

Verdict = Literal["fits", "automatic", "conflict"]
LONG = Scalar("long")
# A column's type, and the value that rows of before have in it.
TYPES: dict[str, tuple[Type, str]] = {
    "boolean": (Scalar("boolean"), "false"),
    "int": (Scalar("int"), "-3"),
    "long": (LONG, "9007199254740993"),
    "float": (Scalar("float"), "0.25"),
    "double": (Scalar("double"), "0.7"),
    "decimal": (Decimal(10, 2), "12345678.91"),
    "string": (Scalar("string"), '"old"'),
    "date": (Scalar("date"), '"1969-07-20"'),
    "timestamp": (Scalar("timestamp"), '"1969-07-20T20:17:40.000001Z"'),
    "binary": (Scalar("binary"), '"AP8="'),
    "json": (JSON, '{"k":[1, "x"]}'),
    "struct": (Struct((Field("x", LONG),)), '{"x":5}'),
    "array": (Array(LONG), "[8,null,9]"),
    "map": (Map(LONG), '{"x":6,"z":7}'),
}
VALUES: dict[str, str] = {
    "true": "true", "small": "7", "whole": "5.0", "large": "1099511627776",
    "huge": "12345678901234567890", "half": "0.5", "tenth": "0.1", "fine": "12.345",
    "digits": "3.141592653589793238462643", "text": '"te-xt"', "number": '"5"',
    "day": '"2026-11-01"', "moment": '"2026-11-01T10:00:00Z"', "base64": '"eHg="',
    "object": '{"x":1}', "wider": '{"x":1,"y":"new"}', "other": '{"x":"y"}', "nothing": "{}",
    "list": "[1,2]", "texts": '["a"]', "empty": "[]",
}  # fmt: skip
# `=` fits, `+` the column changes by itself, `.` a conflict; in the order of TYPES.
_VERDICTS = {
    # boolean int long float double decimal string date timestamp binary json struct array map
    "true":      "=  .  .  .  .  .  =  .  .  .  =  .  .  .",
    "small":     ".  =  =  =  =  =  =  .  .  .  =  .  =  .",
    "whole":     ".  =  =  =  =  =  =  .  .  .  =  .  =  .",
    "large":     ".  +  =  =  =  +  =  .  .  .  =  .  =  .",
    "huge":      ".  .  .  .  .  +  =  .  .  .  =  .  .  .",
    "half":      ".  .  .  =  =  =  =  .  .  .  =  .  .  .",
    "tenth":     ".  .  .  +  =  =  =  .  .  .  =  .  .  .",
    "fine":      ".  .  .  +  =  +  =  .  .  .  =  .  .  .",
    "digits":    ".  .  .  .  .  +  =  .  .  .  =  .  .  .",
    "text":      ".  .  .  .  .  .  =  .  .  .  =  .  .  .",
    "number":    ".  .  .  .  .  .  =  .  .  .  =  .  .  .",
    "day":       ".  .  .  .  .  .  =  =  =  .  =  .  .  .",
    "moment":    ".  .  .  .  .  .  =  .  =  .  =  .  .  .",
    "base64":    ".  .  .  .  .  .  =  .  .  =  =  .  .  .",
    "object":    ".  .  .  .  .  .  .  .  .  .  =  =  .  =",
    "wider":     ".  .  .  .  .  .  .  .  .  .  =  +  .  .",
    "other":     ".  .  .  .  .  .  .  .  .  .  =  .  .  .",
    "nothing":   ".  .  .  .  .  .  .  .  .  .  =  =  =  =",
    "list":      ".  .  .  .  .  .  .  .  .  .  =  .  =  .",
    "texts":     ".  .  .  .  .  .  .  .  .  .  =  .  .  .",
    "empty":     ".  .  .  .  .  .  .  .  .  .  =  =  =  =",
}  # fmt: skip
_MEANT: dict[str, Verdict] = {"=": "fits", "+": "automatic", ".": "conflict"}
PLACES = ("root", "struct", "element", "value")


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of its own in the table that tries many of them."""

    type: str
    value: str
    place: str

    @property
    def column(self) -> str:
        return f"{self.type}_{self.value}"

    @property
    def verdict(self) -> Verdict:
        return _MEANT[_VERDICTS[self.value].split()[list(TYPES).index(self.type)]]

    @property
    def kind(self) -> Type:
        kind = TYPES[self.type][0]
        if self.place == "root":
            return kind
        if self.place == "struct":
            return Struct((Field("f", kind), Field("g", LONG)))
        return Array(kind) if self.place == "element" else Map(kind)

    @property
    def before(self) -> str:
        """What old records have in the column, as JSON."""
        return self._placed(TYPES[self.type][1])

    @property
    def after(self) -> str:
        return self._placed(VALUES[self.value])

    def _placed(self, text: str) -> str:
        """Beside a value that the column takes, where there is room for it."""
        old = TYPES[self.type][1]
        return {
            "root": text, "struct": f'{{"f":{text},"g":1}}', "element": f"[{text},{old}]",
            "value": f'{{"k":{text},"l":{old}}}',
        }[self.place]  # fmt: skip

    def stored(self, text: str) -> Any:
        """What every reader must give back for a record's `text`, see `plain`."""
        inner = [stored(part, TYPES[self.type][0]) for part in self._parts(text)]
        if self.place == "root":
            return inner[0]
        if self.place == "struct":
            return plain({"f": inner[0], "g": 1}, self.kind)
        return inner if self.place == "element" else dict(zip("kl", inner, strict=True))

    def _parts(self, text: str) -> list[str]:
        old = TYPES[self.type][1]
        known = [*VALUES.values(), old]
        first = next(v for v in known if self._placed(v) == text)
        return [first] if self.place in ("root", "struct") else [first, old]


def cells(place: str) -> Iterator[Cell]:
    return (Cell(kind, value, place) for kind in TYPES for value in VALUES)


def stored(text: str, kind: Type) -> Any:
    """A value that fits `kind`, or what `kind` becomes by itself for it."""
    value = json.loads(text, parse_float=Exact)
    if kind == JSON:
        return text
    if isinstance(kind, Array):
        return None if value == {} else value if isinstance(value, list) else [int(value)]
    if isinstance(kind, Struct | Map):
        return None if value == [] else plain(value, kind)
    if isinstance(kind, Decimal):
        return Exact(value)
    name = kind.name if isinstance(kind, Scalar) else ""
    if name == "string":
        return value if isinstance(value, str) else text
    if name == "date":
        return dt.date.fromisoformat(value)
    if name == "timestamp":
        moment = dt.datetime.fromisoformat(value)
        return moment.replace(tzinfo=dt.UTC)
    if name == "binary":
        return base64.b64decode(value)
    return {"boolean": bool, "int": int, "long": int}.get(name, float)(value)


def plain(value: Any, kind: Type | None = None) -> Any:
    """What a reader gives as Python has it: structs as dicts, less what is null in them, maps too,
    and all times in UTC. `kind` tells a map, which Arrow gives as pairs, from an array."""
    if value is None:
        return None
    if isinstance(kind, Map):
        return {k: plain(v, kind.value) for k, v in dict(value).items()}
    if isinstance(value, dict):
        known = kind if isinstance(kind, Struct) else Struct()
        fields = {k: (known.get(k), v) for k, v in value.items() if v is not None}
        return {k: plain(v, f.type if f else None) for k, (f, v) in fields.items()}
    if isinstance(value, list):
        element = kind.element if isinstance(kind, Array) else None
        return [plain(v, element) for v in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    return bytes(value) if isinstance(value, bytearray) else value
