"""How the values of records become columns: one line for each path that records have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lake_platform.domain.schema import Array, Struct
from lake_platform.domain.schema import Map as MapType

Rule = Literal[
    "renamed",  # the key is no name of a column
    "alias",  # another spelling of a column
    "wrap",  # a single value where others have an array
    "text",  # a number or boolean where others have text
    "map",  # an object whose keys are data
    "json",  # values of several kinds, kept as they are
    "rescue",  # what does not fit goes to _rescued
    "closed",  # an object that brought too many keys: further ones go to _rescued
    "pending",  # only null, {} or [] so far: no column yet
    "hint",  # the definition says so
]

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_quoted = json.JSONDecoder().raw_decode
Path = tuple[str | None, ...]
"""Keys from the record down; None stands for each element of an array or value of a map."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """`column` is the path of the column, as SQL writes it, and `type` its type; both are empty
    while pending. `share`: of the records looked at, 0 to 1; None where nobody counted. `example`
    is JSON text, cut. `keys`: how many different ones a map had. `doc`: what a registered schema
    says of the field."""

    path: Path
    column: str
    type: str
    rules: tuple[Rule, ...]
    reason: str
    share: float | None
    example: str
    keys: int = 0
    doc: str = ""


@dataclass(frozen=True, slots=True)
class FirstSight:
    """The source schema that records came to, and what was counted of them (sight/profile), so
    that more can be added."""

    source: Struct
    mapped: tuple[Mapped, ...]
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a topic found. `sight` is None when no record could become a row; why not is
    among the `warnings`, which are empty for a topic without records. `seen` has also the columns
    that were only null or empty so far, as unknown. `key`: columns that the keys of change events
    have."""

    sight: FirstSight | None = None
    seen: Struct = field(default_factory=Struct)
    warnings: Sequence[str] = ()
    key: tuple[str, ...] = ()


def mapped_to_json(mapped: Iterable[Mapped]) -> list[dict[str, Any]]:
    return [asdict(m) | {"path": list(m.path), "rules": list(m.rules)} for m in mapped]


def mapped_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[Mapped, ...]:
    made = (dict(m) | {"path": tuple(m["path"]), "rules": tuple(m["rules"])} for m in data)
    return tuple(Mapped(**m) for m in made)


def paths_of(struct: Struct, column: str = "", path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Each column and nested field (`a.b`, `items[].id`, `m{}.x`) with the path in the records."""
    for one in struct.fields:
        if not one.keys:
            continue
        own = f"{column}.{one.name}" if column else one.name
        where = (*path, one.keys[0])
        yield own, where
        inner = one.type
        while isinstance(inner, Array | MapType):
            is_array = isinstance(inner, Array)
            own, where = own + ("[]" if is_array else "{}"), (*where, None)
            inner = inner.element if isinstance(inner, Array) else inner.value
        if isinstance(inner, Struct):
            yield from paths_of(inner, own, where)


def shown(path: Path) -> str:
    """`a."x.y"[].id`: a key that is not plain is quoted as JSON."""
    text = ""
    for part in path:
        if part is None:
            text += "[]"
        else:
            plain = _PLAIN.fullmatch(part)
            text += ("." if text else "") + (part if plain else json.dumps(part))
    return text


def parse_path(text: str) -> Path:
    """The inverse of `shown`. Raises: ValueError, which says where the text is no path."""
    path: list[str | None] = []
    at = 0
    while at < len(text):
        if path and text.startswith("[]", at):
            path.append(None)
            at += 2
            continue
        if path and text[at] != ".":
            raise ValueError(f"at character {at + 1} ({text[at:][:20]!r}) a . or [] must come")
        key, at = _key(text, at + bool(path))
        path.append(key)
    if not path:
        raise ValueError("it is empty")
    return tuple(path)


def _key(text: str, at: int) -> tuple[str, int]:
    """A key and where it ends."""
    if text.startswith('"', at):
        try:
            key, end = _quoted(text, at)
        except ValueError:
            raise ValueError(f"the quotes from character {at + 1} on are no JSON text") from None
        return str(key), end
    found = _PLAIN.match(text, at)
    if found is None:
        rest = f"({text[at:][:20]!r}) " if at < len(text) else ""
        raise ValueError(f"at character {at + 1} {rest}a key must come")
    end = found.end()
    if end < len(text) and text[end] not in ".[":
        whole = re.split(r"[.\[]", text[at:])[0]
        raise ValueError(
            f"the key at character {at + 1} has other characters than letters, digits and _: "
            f"write it as {json.dumps(whole)}"
        )
    return found[0], end


def summary(mapped: Iterable[Mapped]) -> str:
    """`3 renamed, 2 merged, 1 map (412 keys), 4 json, 14 pending`; what there is none of is left
    out."""
    lines = list(mapped)
    maps = [line.keys for line in lines if "map" in line.rules]
    counts = {
        "renamed": _number(lines, "renamed"),
        "merged": _number(lines, "alias"),
        "wrapped": _number(lines, "wrap"),
        "mixed as text": _number(lines, "text"),
        f"map{'s' * (len(maps) > 1)} ({sum(maps)} keys)": len(maps),
        "json": _number(lines, "json"),
        "by hint": _number([m for m in lines if "alias" not in m.rules], "hint"),
        "partly rescued": _number(lines, "rescue"),
        "closed to new keys": _number(lines, "closed"),
        # An array of nulls is pending once, not once more for its elements.
        "pending": _number([m for m in lines if m.path[-1] is not None], "pending"),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def share_text(part: float | None) -> str:
    """`98 %`, `<0.1 %`; empty where nobody counted."""
    if part is None:
        return ""
    if 0 < part < 0.001:
        return "<0.1 %"
    percent = f"{part * 100:.1f}".removesuffix(".0")
    # Nearly all is not all.
    return f"{'99.9' if percent == '100' and part < 1 else percent} %"


def _number(lines: Iterable[Mapped], rule: Rule) -> int:
    return sum(rule in line.rules for line in lines)
