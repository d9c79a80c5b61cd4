"""Which paths of the record a column behind SQL steps is made of, as far as the steps say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """`plain`: the column is the one path itself, so what is inside it is too."""

    paths: tuple[str, ...]
    plain: bool


def origins(steps: Sequence[str], roots: Sequence[str]) -> Mapping[str, Origin]:
    """By column behind the last step, names folded; `roots` are the record's own columns. Empty
    where a step is more than a SELECT of its input's columns."""
    held = {name.casefold(): Origin((name,), True) for name in roots}
    for sql in steps:
        made = _behind(sql, held)
        if made is None:
            return {}
        held = made
    return held


def source_of(column: str, known: Mapping[str, Origin]) -> str | None:
    """Of a column or a path inside it (`a.b`, `items[].id`)."""
    root = min((column.partition(mark)[0] for mark in (".", "[", "{")), key=len)
    origin = known.get(root.casefold())
    if origin is None or not origin.paths:
        return None
    if origin.plain:
        return origin.paths[0] + column[len(root) :]
    return ", ".join(origin.paths) if column == root else None


def _behind(sql: str, held: Mapping[str, Origin]) -> dict[str, Origin] | None:
    import sqlglot
    from sqlglot import exp

    select = sqlglot.parse_one(sql, dialect="spark")
    if not isinstance(select, exp.Select) or len(list(select.find_all(exp.Select))) > 1:
        return None
    made: dict[str, Origin] = {}
    for shown in select.expressions:
        if isinstance(shown, exp.Star) and not any(shown.args.values()):
            made |= held
        elif shown.is_star or not shown.alias_or_name:
            return None
        else:
            made[shown.alias_or_name.casefold()] = _origin(shown, held)
    return made


def _origin(shown: Any, held: Mapping[str, Origin]) -> Origin:
    """`shown`: one expression of a SELECT."""
    from sqlglot import exp

    inner = shown.this if isinstance(shown, exp.Alias) else shown
    found: dict[str, None] = {}  # in the order they are named
    plain = isinstance(inner, exp.Column)
    for column in inner.find_all(exp.Column):
        parts = [part.name for part in column.parts]
        if len(parts) > 1 and parts[0].casefold() == "input":
            parts = parts[1:]
        before = held.get(parts[0].casefold())
        if before is None:
            continue
        plain = plain and before.plain
        inside = parts[1:] if before.plain else []
        found |= dict.fromkeys(".".join([path, *inside]) for path in before.paths)
    return Origin(tuple(found), plain)
