"""Which rows lose a value in a cast: hidden columns beside those of each SELECT.

A cast is found in the text of a step by its brackets; what it is given and what it gives are put
into the SELECT once more, as they were typed. The hidden column of a column has the text that a
cast of it was given and made NULL of, and is NULL where none did; it follows its column through
later SELECTs and steps. What cannot be looked at is left out, never said to lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from lake_platform.adapters.spark.cast_types import is_lost, keeps_all, some_value, typed
from lake_platform.adapters.spark.clauses import Clauses

LOST = "_lake_cast_"
_CHARS = 200
_OPEN, _CLOSE = TokenType.L_PAREN, TokenType.R_PAREN
_CASTS = frozenset(["cast", "try_cast"])
# What else is NULL for a text that it cannot read, with the type it gives.
_FUNCTIONS: Mapping[str, str | None] = {
    "to_date": "DATE", "date": "DATE", "to_timestamp": "TIMESTAMP", "timestamp": "TIMESTAMP",
    "try_to_timestamp": "TIMESTAMP", "to_timestamp_ltz": "TIMESTAMP",
    "to_timestamp_ntz": "TIMESTAMP_NTZ", "unix_timestamp": "BIGINT", "to_unix_timestamp": "BIGINT",
    "tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INT", "bigint": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "decimal": "DECIMAL(10, 0)", "boolean": "BOOLEAN",
    "try_to_number": None,
}  # fmt: skip
# Where it is said what becomes of a NULL, or which value is taken at all.
_DECIDES = (
    exp.Case, exp.If, exp.Coalesce, exp.Nvl2, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.And,
    exp.Or,
)  # fmt: skip
_DECIDING = frozenset(["isnull", "isnotnull", "ifnull", "nvl", "nvl2", "coalesce", "if", "iff"])
# With a value instead of NULL they may fail.
_FAILING = frozenset(["raise_error", "assert_true", "element_at", "to_number", "to_binary"])
_HOLDERS = (exp.Struct, exp.Array, exp.Map, exp.StarMap, exp.VarMap)


@dataclass(frozen=True)
class Held:
    """Hidden columns of a row, by the column they are about (case is nothing), and columns whose
    casts nobody can look at."""

    flags: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Cast:
    """Indices of the tokens: the whole of it, and what it is given. `type` is None where nobody
    knows it."""

    first: int
    last: int
    given: tuple[int, int]
    type: exp.DataType | None


def looks_inside(select: exp.Select) -> bool:
    """Whether a star within a function would see hidden columns."""
    for star in select.find_all(exp.Star):
        node = star.parent if isinstance(star.parent, exp.Column) else star
        if node is not None and not isinstance(node.parent, exp.Select):
            return True
    return False


def hidden(
    sql: str, select: exp.Select, place: Clauses, held: Held, number: int
) -> tuple[list[str], Held]:
    """Columns to add to a SELECT whose source has `held`, the first of them called `number`; and
    what its rows have then."""
    whole = place.whole
    flags = dict(held.flags) if whole else {}
    unknown = set(held.unknown) if whole else set[str]()
    added: list[str] = []
    columns = select.expressions
    if len(columns) != len(place.items):
        return [], Held({}, frozenset([*held.flags, *unknown]))
    own: set[str] = set()
    for column, tokens in zip(columns, place.items, strict=True):
        name = column.alias_or_name.casefold()
        if isinstance(column, exp.Star) or name in ("", "*"):
            continue
        item = _Item(sql, column, tokens, select)
        said = item.lost(held, own)
        if said is None:
            unknown.add(name)
        elif said:
            if name not in item.named:  # else it is the source's that others mean
                own.add(name)
            flags[name] = f"{LOST}{number + len(added)}"
            added.append(f"{said} AS `{flags[name]}`")
    flags = {n: f for n, f in flags.items() if n not in unknown}
    return added, Held(flags, frozenset(unknown))


class _Item:
    """One column of a SELECT."""

    def __init__(
        self, sql: str, column: exp.Expr, tokens: Sequence[Token], select: exp.Select
    ) -> None:
        self._sql, self._select = sql, select
        self._bare = column.this if isinstance(column, exp.Alias) else column
        end = len(tokens)
        if isinstance(column, exp.Alias):
            end -= 1
            end -= tokens[end - 1].token_type == TokenType.ALIAS
        start = int(tokens[0].token_type == TokenType.HINT)
        self._tokens = tokens[start:end]
        self.named = {self._root(c) for c in self._bare.find_all(exp.Column)}

    def lost(self, held: Held, own: set[str]) -> str | None:
        """The text a cast lost, as SQL; "" without a cast, None where it cannot be told. `own` are
        columns of the same SELECT with a cast."""
        made = self.named & own and not isinstance(self._bare, exp.Column)
        if self.named & held.unknown or made:
            return None
        before = [f"`{held.flags[n]}`" for n in sorted(self.named) if n in held.flags]
        casts = list(_casts(self._sql, self._tokens, 0, len(self._tokens)))
        parts: list[str] = []
        if casts:
            now = self._of_casts(casts)
            if now is None:
                return None
            parts.append(now)
        if before and isinstance(self._bare, exp.Column):
            parts.append(_first_of(before))
        elif before:
            holds = isinstance(self._bare, _HOLDERS) and not self._decides()
            told = _first_of(before)
            parts.append(told if holds else f"CASE WHEN ({self._text()}) IS NULL THEN {told} END")
        return _first_of(parts) if parts else ""

    def _of_casts(self, casts: Sequence[_Cast]) -> str | None:
        in_lambda = self._bare.find(exp.Lambda) is not None
        if not in_lambda and not self._decides():
            return _first_of([self._direct(c) for c in _all(self._sql, self._tokens, casts)])
        if (in_lambda and self._decides()) or self._calls() & _FAILING:
            return None
        instead = self._instead(0, len(self._tokens), casts)
        if instead is None:
            return None
        is_now, would_be = f"({self._text()})", f"({instead})"
        if in_lambda:
            shown = f"CAST({is_now} AS STRING)"
            differs = f"NOT ({shown} <=> CAST({would_be} AS STRING))"
            return f"CASE WHEN {differs} THEN coalesce(left({shown}, {_CHARS}), 'NULL') END"
        given = _first_of([self._direct(c) for c in _all(self._sql, self._tokens, casts)])
        return f"CASE WHEN {is_now} IS NULL AND {would_be} IS NOT NULL THEN {given} END"

    def _direct(self, cast: _Cast) -> str:
        given, gives = self._span(*cast.given), self._span(cast.first, cast.last + 1)
        lost = is_lost(given, gives, cast.type)
        return f"CASE WHEN {lost} THEN left(CAST(({given}) AS STRING), {_CHARS}) END"

    def _instead(self, start: int, stop: int, casts: Sequence[_Cast]) -> str | None:
        """The text of these tokens, with a value wherever a cast loses one."""
        text, at = "", start
        for cast in casts:
            if cast.type is None or cast.type.args.get("nested"):
                return None
            inner = list(_casts(self._sql, self._tokens, *cast.given))
            given = self._instead(*cast.given, inner)
            if given is None:
                return None
            gives = self._span(cast.first, cast.last + 1)
            text += self._between(at, cast.first)
            text += f"coalesce({gives}, IF(({given}) IS NULL, NULL, {some_value(cast.type)}))"
            at = cast.last + 1
        return text + self._between(at, stop)

    def _decides(self) -> bool:
        if self._bare.find(*_DECIDES) is not None:
            return True
        return bool(self._calls() & _DECIDING)

    def _calls(self) -> set[str]:
        """Names before brackets."""
        pairs = zip(self._tokens, self._tokens[1:], strict=False)
        return {one.text.casefold() for one, then in pairs if then.token_type == _OPEN}

    def _root(self, column: exp.Column) -> str:
        parts = [p.name.casefold() for p in column.parts]
        alias = self._select.args["from_"].this.alias_or_name.casefold()
        return parts[1] if len(parts) > 1 and parts[0] == alias else parts[0]

    def _text(self) -> str:
        return self._span(0, len(self._tokens))

    def _span(self, start: int, stop: int) -> str:
        return self._sql[self._tokens[start].start : self._tokens[stop - 1].end + 1]

    def _between(self, start: int, stop: int) -> str:
        """From where the token before ends, so that what is typed between them stays."""
        if start >= stop:
            return " "
        return f" {self._span(start, stop)} "


def _casts(sql: str, tokens: Sequence[Token], start: int, stop: int) -> Iterator[_Cast]:
    """The outermost that can lose a value."""
    at = start
    while at < stop - 1:
        found = _cast_at(sql, tokens, at)
        if found is not None and not keeps_all(found.type):
            yield found
            at = found.last + 1
        elif found is not None:
            yield from _casts(sql, tokens, *found.given)
            at = found.last + 1
        else:
            at += 1


def _all(sql: str, tokens: Sequence[Token], casts: Sequence[_Cast]) -> Iterator[_Cast]:
    for cast in casts:
        yield from _all(sql, tokens, list(_casts(sql, tokens, *cast.given)))
        yield cast


def _cast_at(sql: str, tokens: Sequence[Token], at: int) -> _Cast | None:
    name = tokens[at].text.casefold()
    known = name in _CASTS or name in _FUNCTIONS
    if not known or tokens[at + 1].token_type != _OPEN:
        return None
    if tokens[at].token_type == TokenType.IDENTIFIER or (
        at and tokens[at - 1].token_type == TokenType.DOT
    ):
        return None
    level, last = _level(tokens, at + 1)
    if last == at + 2:
        return None  # nothing in its brackets
    if name in _CASTS:
        end = [i for i in level if tokens[i].token_type == TokenType.ALIAS][-1:]
        if not end:
            return None
        text = sql[tokens[end[0]].end + 1 : tokens[last].start]
        return _Cast(at, last, (at + 2, end[0]), typed(text))
    comma = [i for i in level if tokens[i].token_type == TokenType.COMMA][:1]
    kind = _FUNCTIONS[name]
    known_type = typed(kind) if kind else None
    return _Cast(at, last, (at + 2, comma[0] if comma else last), known_type)


def _level(tokens: Sequence[Token], opened: int) -> tuple[list[int], int]:
    """Indices of what is in these brackets and no others, and that of the one that closes them."""
    depth, found = 0, list[int]()
    for index in range(opened, len(tokens)):
        kind = tokens[index].token_type
        depth += (kind == _OPEN) - (kind == _CLOSE)
        if depth == 0:
            return found, index
        if depth == 1 and index > opened:
            found.append(index)
    return found, len(tokens) - 1


def _first_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"
