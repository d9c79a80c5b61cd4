"""The columns of a schema with what the mapping says of each: where from, by which rule, since
when.

The schema says what is so; the mapping, which only ever grows, says how it came to be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lake_platform.domain.mapping import Mapped, Path, Rule, paths_of, shown
from lake_platform.domain.schema import Array, Field, Map, Struct, Type

_CLOSED = "it brought more keys than it may have: those without a column go to _rescued"
Line = tuple[int, Mapped]
"""With the schema version that says so."""


def in_force(lines: Iterable[Line]) -> dict[Path, Line]:
    """Of each path the line that counts, out of all in the order they came.

    A column that only grew keeps the rule, reason and share it was made by.
    """
    found: dict[Path, Line] = {}
    for version, new in lines:
        since, held = found.get(new.path, (version, new))
        grew = held is not new and bool(new.column) and held.column == new.column
        if grew and new.share is None:
            found[new.path] = (since, replace(held, type=new.type, doc=new.doc or held.doc))
        else:
            found[new.path] = (version, new)
    return found


def described(
    source: Struct,
    lines: Iterable[Line],
    came: Mapping[str, int] | None = None,
    table: str = "TABLE",
) -> list[Line]:
    """A line for every column of `source` and every other spelling, parents before children, then
    what is pending or has no column. `came`: the version each column came with; `table`: its
    name, for commands to type."""
    walk = _Walk({m.path: (v, m) for v, m in lines}, came or {}, table)
    found = list(walk.struct(source, (), ""))
    if source.closed:
        found.append((0, Mapped((None,), "", "", ("closed",), _CLOSED, None, "")))
        walk.met[(None,)] = source
    rest = (line for path, line in walk.told.items() if path not in walk.met)
    return found + [line for line in rest if not line[1].column and walk.stands(line[1])]


def renamed(before: Struct, after: Struct) -> list[tuple[str, str]]:
    """Columns that have another name for the same path of the record."""
    old, new = ({path: column for column, path in paths_of(s)} for s in (before, after))
    both = ((old[path], new[path]) for path in old.keys() & new.keys())
    return sorted((a, b) for a, b in both if _name(a) != _name(b))


@dataclass(slots=True)
class _Walk:
    told: dict[Path, Line]
    came: Mapping[str, int]
    table: str
    met: dict[Path, Type]

    def __init__(self, told: dict[Path, Line], came: Mapping[str, int], table: str) -> None:
        self.told, self.came, self.table, self.met = told, came, table, {}

    def struct(self, struct: Struct, path: Path, column: str) -> Iterator[Line]:
        for field in struct.fields:
            if not field.keys:
                continue
            own, *others = ((*path, key) for key in field.keys)
            below = f"{column}.{field.name}" if column else field.name
            line = self._line(own, below, field.type, _rules_of(field))
            yield (line[0], _closed(line[1], self.table)) if field.closed else line
            for other in others:
                yield self._line(other, below, field.type, ("alias",))
            yield from self._inside(field.type, own, below)

    def _inside(self, kind: Type, path: Path, column: str) -> Iterator[Line]:
        if isinstance(kind, Struct):
            yield from self.struct(kind, path, column)
        elif isinstance(kind, Array | Map):
            inner = kind.element if isinstance(kind, Array) else kind.value
            each = (*path, None)
            below = column + ("[]" if isinstance(kind, Array) else "{}")
            if each in self.told:
                yield self._line(each, below, inner, ())
            else:
                self.met[each] = inner
            yield from self._inside(inner, each, below)

    def _line(self, path: Path, column: str, kind: Type, rules: tuple[Rule, ...]) -> Line:
        self.met[path] = kind
        version, told = self.told.get(path, (0, None))
        if told is None or not told.column:
            told = Mapped(path, column, "", rules, "", None, "")
        since = version if rules == ("alias",) else self.came.get(column, version)
        return since or self.came.get(column, 0), replace(told, column=column, type=str(kind))

    def stands(self, line: Mapped) -> bool:
        """Whether there is still a place for it: what once was pending may be within json now."""
        if "pending" not in line.rules:
            return True
        parent = line.path[:-1]
        if not parent:
            return True
        kind = self.met.get(parent)
        if kind is not None:
            return isinstance(kind, Struct if line.path[-1] is not None else Array | Map)
        above = self.told.get(parent)
        return above is not None and self.stands(above[1])


def _closed(line: Mapped, table: str) -> Mapped:
    why = (
        f"{_CLOSED}; if its keys are data, make it a map: lake rebuild {table} --change "
        f'\'columns.{shown(line.path)}={{"type":"map"}}\''
    )
    rules: tuple[Rule, ...] = (*(r for r in line.rules if r != "closed"), "closed")
    reason = f"{line.reason}; {why}" if line.reason else why
    return replace(line, rules=rules, reason=reason)


def _rules_of(field: Field) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    if field.key is not None:
        rules.append("renamed")
    if field.rescue:
        rules.append("rescue")
    return tuple(rules)


def _name(column: str) -> str:
    return column.rpartition(".")[2]
