"""Which columns the SQL of a dataset names, and which of them its records do not have (yet).

This needs no engine, so it answers at once. It decides about names only; types and functions are
for Spark to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import sqlglot
from sqlglot import exp

from lake_platform.adapters.spark.paths import Path, below, can_have, element_in_place, find
from lake_platform.adapters.spark.transforms import check_select, doubled, source_of
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.own_columns import COORDINATES, ORDER, ORDINAL
from lake_platform.domain.schema import UNKNOWN, Array, Struct, Type
from lake_platform.errors import InvalidFieldError

_OURS = (*COORDINATES, ORDER, ORDINAL)
_OF_ARRAYS = frozenset(
    ["SIZE", "TRANSFORM", "FILTER", "EXISTS", "FORALL", "AGGREGATE", "REDUCE", "ELEMENT_AT"]
)


@dataclass(frozen=True, slots=True)
class Column:
    """`type` None: only the engine knows. `origin`: its path in `input`, if it is one of those."""

    name: str
    type: Type | None
    origin: Path | None = None


@dataclass
class Row:
    """What a SELECT reads. `open`: other names are looked for in `input`; without `known` they may
    be anything that code made."""

    columns: dict[str, Column]
    open: bool
    known: bool = True

    def names(self) -> str:
        shown = [c.name for c in self.columns.values() if c.name not in _OURS]
        return ", ".join(shown[:40]) or "none"


@dataclass
class Resolved:
    """`missing`: what the SQL names and `input` lacks; `used`: what of it is looked at, in any case
    and with all that is below; `columns` are those of the last step, None when a star of something
    only the engine knows is among them."""

    missing: set[Path] = field(default_factory=set)
    used: set[Path] = field(default_factory=set)
    columns: Sequence[str] | None = None


def resolve(dataset: Dataset, source: Struct) -> Resolved:
    """Raises: InvalidFieldError for a name that no step before gives, and for doubled columns."""
    return _Resolver(dataset, source).resolve()


def unused(dataset: Dataset, source: Struct) -> frozenset[Path]:
    """The columns of `source`, and fields in them, that the steps never look at, with all that is
    below: paths of names. Empty where they may see all."""
    code = any(step.makes_frame for step in dataset.transforms)
    steps = [check_select(step.sql) for step in dataset.transforms if step.kind == "sql"]
    if not steps or code or any(step.find(exp.Star) for step in steps):
        return frozenset()
    try:
        used = {_folded(path) for path in resolve(dataset, source).used}
    except InvalidFieldError:
        return frozenset()  # the engine says what is wrong with them
    return frozenset(_unused(source, (), used))


def _unused(kind: Type, at: Path, used: set[Path]) -> Iterator[Path]:
    kind = kind.element if isinstance(kind, Array) else kind
    for held in kind.fields if isinstance(kind, Struct) else ():
        place, folded = (*at, held.name), _folded((*at, held.name))
        below_it = [path for path in used if path[: len(folded)] == folded]
        if folded not in below_it and below_it:
            yield from _unused(held.type, place, used)
        elif not below_it and held.keys:
            yield place


def _folded(path: Path) -> Path:
    """The names it is made of, before a star or what a map has."""
    names = takewhile(lambda part: part not in {"{}", "*"}, path)
    return tuple(name.casefold() for name in names if name != "[]")


class _Resolver:
    def __init__(self, dataset: Dataset, source: Struct) -> None:
        self._dataset, self._out = dataset, Resolved()
        columns = {f.name.casefold(): Column(f.name, f.type, (f.name,)) for f in source.fields}
        columns |= {name: Column(name, None) for name in _OURS}
        self._row = Row(columns, open=True)

    def resolve(self) -> Resolved:
        if self._dataset.explode:
            self._explode(self._dataset.explode)
        for number, step in enumerate(self._dataset.transforms, 1):
            if step.kind != "sql":
                self._row = Row({}, open=False, known=False) if step.makes_frame else self._row
                continue
            where = f"step {number}" + (f" ({step.name})" if step.name else "")
            select = check_select(step.sql)
            self._row = self._select(select, self._row, {}, step.sql, where)
        if self._dataset.delete_when:
            parsed = sqlglot.parse_one(self._dataset.delete_when, dialect="spark")
            self._check([parsed], self._row, "", ("delete_when", self._dataset.delete_when), [])
        if not self._row.known or (self._row.open and not self._row.columns):
            return self._out
        names = [c.name for c in self._row.columns.values() if c.name not in _OURS]
        self._out.columns = None if "*" in names else names
        return self._out

    def _explode(self, path: str) -> None:
        parts = tuple(path.split("."))
        column = self._row.columns.get(parts[0].casefold())
        if column is not None:
            self._out.used.add((column.name,))
        kind: Type | None = column.type if column else None
        for part in parts[1:]:
            inner = find(kind, part)
            kind = inner.type if inner else None
        if kind is None:
            self._out.missing.add((*parts, "[]"))
        elif not isinstance(kind, Array):
            raise InvalidFieldError("explode", path, f"is a {kind}", "name an array column")
        if column is not None:
            exploded = element_in_place(column.type or UNKNOWN, parts[1:])
            self._row.columns[parts[0].casefold()] = Column(column.name, exploded)

    def _select(
        self, select: exp.Select, given: Row, ctes: Mapping[str, Row], sql: str, where: str
    ) -> Row:
        known = dict(ctes)
        for cte in select.ctes:
            row = self._select(cte.this, given, known, sql, where)
            known[cte.alias_or_name.casefold()] = row
        source, row = source_of(select), given
        if isinstance(source, exp.Select):
            row = self._select(source, given, known, sql, where)
        elif isinstance(source, exp.Table):
            row = known.get(source.name.casefold(), given)
        alias = select.args["from_"].this.alias_or_name.casefold()
        place = ("transforms.sql", sql)
        aliases: list[str] = []
        for column in select.expressions:
            self._check([column], row, alias, place, aliases, where)
            aliases.append(column.alias_or_name.casefold())
        condition = select.args.get("where")
        self._check([condition] if condition else [], row, alias, place, [], where)
        return self._output(select, row, alias, sql)

    def _output(self, select: exp.Select, row: Row, alias: str, sql: str) -> Row:
        out: dict[str, Column] = {}
        whole = False
        for column in select.expressions:
            for given in self._given(column, row, alias):
                if given.name in _OURS and given.name in out:
                    continue
                twin = out.get(given.name.casefold())
                if twin is not None:
                    raise InvalidFieldError(*doubled(sql, twin.name, given.name))
                out[given.name.casefold()] = given
            whole = whole or _is_star(column, alias)
        out |= {name: Column(name, None) for name in _OURS}
        return Row(out, open=whole and row.open, known=row.known or not whole)

    def _given(self, column: exp.Expr, row: Row, alias: str) -> list[Column]:
        if _is_star(column, alias):
            return list(row.columns.values())
        if isinstance(column, exp.Column) and isinstance(column.this, exp.Star):
            kind, origin = _walk(row, _parts(column, alias)[:-1])
            if isinstance(kind, Struct):
                return [Column(f.name, f.type, origin and (*origin, f.name)) for f in kind.fields]
            return [Column("*", None)]
        name = column.alias_or_name
        bare = column.this if isinstance(column, exp.Alias) else column
        if not name:
            return []  # Spark names it after its text
        if isinstance(bare, exp.Column | exp.Dot):
            head = bare.find(exp.Column)
            if head is not None and _top(head) is bare:
                kind, origin = _walk(row, _parts(head, alias))
                return [Column(name, kind, origin)]
        return [Column(name, None)]

    def _check(
        self, parsed: Sequence[exp.Expr], row: Row, alias: str, place: tuple[str, str],
        aliases: Sequence[str], where: str = "",
    ) -> None:  # fmt: skip
        for column in (c for e in parsed for c in e.find_all(exp.Column)):
            if _is_star(column, alias):
                continue
            parts = _parts(column, alias)
            root = parts[0].casefold()
            if root in _lambda_names(column):
                continue
            held = row.columns.get(root)
            if held is None and not row.known:
                continue
            if held is None and not row.open and "*" not in row.columns:
                if root in aliases:
                    continue  # an alias of the same SELECT
                raise unknown(*place, column.sql(dialect="spark"), row.names(), where)
            if held is None and root in aliases:
                continue
            self._note(held, parts)

    def _note(self, held: Column | None, parts: Path) -> None:
        if held is not None and held.origin is not None:
            self._out.used.add((*held.origin, *parts[1:]))
        if held is None:
            self._out.missing.add(parts)
        elif held.origin is not None and held.type is not None:
            base, kind = held.origin, held.type
            for at, part in enumerate(parts[1:], 1):
                inner = below(kind, part)
                if inner is None:
                    if can_have(kind, part):
                        self._out.missing.add((*base, *parts[at:]))
                    return
                kind = inner


def unknown(
    field_: str, sql: str, name: str, known: str, where: str = ""
) -> InvalidFieldError:  # fmt: skip
    prefix = f"{where}: " if where else ""
    return InvalidFieldError(
        field_, sql, f"{prefix}there is no column {name}", f"columns are: {known}"
    )


def _is_star(column: exp.Expr, alias: str) -> bool:
    """A star of everything the SELECT reads."""
    if isinstance(column, exp.Star):
        return True
    if not (isinstance(column, exp.Column) and isinstance(column.this, exp.Star)):
        return False
    return [p.name.casefold() for p in column.parts[:-1]] == [alias]


def _parts(column: exp.Column, alias: str) -> Path:
    """The names from the root down, with what is taken of them: `a.b[0].c`."""
    parts = [p.name if not isinstance(p, exp.Star) else "*" for p in column.parts]
    if len(parts) > 1 and parts[0].casefold() == alias:
        parts = parts[1:]
    node: exp.Expr = column
    while (parent := node.parent) is not None and parent.args.get("this") is node:
        if isinstance(parent, exp.Dot):
            parts.append(parent.expression.name)
        elif isinstance(parent, exp.Bracket):
            index = parent.expressions[0] if parent.expressions else None
            text = isinstance(index, exp.Literal) and index.is_string
            parts.append("{}" if text else "[]")
        else:
            name = parent.sql_name() if isinstance(parent, exp.Func) else ""
            if name.startswith("ARRAY_") or name in _OF_ARRAYS:
                parts.append("[]")
            break
        node = parent
    return tuple(parts)


def _top(column: exp.Column) -> exp.Expr:
    """The whole chain of fields that begins with `column`."""
    node: exp.Expr = column
    while isinstance(node.parent, exp.Dot) and node.parent.this is node:
        node = node.parent
    return node


def _walk(row: Row, parts: Path) -> tuple[Type | None, Path | None]:
    held = row.columns.get(parts[0].casefold())
    if held is None:
        return None, parts if row.open else None
    kind = held.type
    for part in parts[1:]:
        kind = below(kind, part) if kind is not None else None
    return kind, held.origin and (*held.origin, *parts[1:])


def _lambda_names(column: exp.Expr) -> set[str]:
    found: set[str] = set()
    node = column.find_ancestor(exp.Lambda)
    while node is not None:
        found |= {p.name.casefold() for p in node.expressions}
        node = node.find_ancestor(exp.Lambda)
    return found
