"""Where the clauses of each SELECT stand in the text of a step.

Columns are put into the text itself: SQL that a parser writes anew may say something else
(`unix_timestamp()`, date formats), and then a step would not do what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot.dialects import Spark
from sqlglot.tokenizer_core import Token, TokenType

_OPEN, _CLOSE = TokenType.L_PAREN, TokenType.R_PAREN


@dataclass(frozen=True, slots=True)
class Clauses:
    """One SELECT; positions are of characters. `where` is the span of its WHERE with the condition,
    None without one; `stars` are the qualifiers of the stars among its columns, "" for a plain one;
    `row` are the names a star of all columns of its source may have; `items` the tokens of
    each of its columns."""

    source_at: int
    where: tuple[int, int] | None
    condition: str
    stars: tuple[str, ...]
    row: frozenset[str]
    items: tuple[tuple[Token, ...], ...] = ()

    @property
    def whole(self) -> bool:
        """Whether one of its stars gives every column of its source."""
        return any(star.casefold() in self.row for star in self.stars)


def tokens_of(sql: str) -> list[Token]:
    return list(Spark().tokenize(sql))


def selects(sql: str) -> Iterator[Clauses]:
    """Every SELECT of one whole statement, in the order of the text."""
    tokens = tokens_of(sql)
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.SELECT:
            yield _clauses(sql, tokens, at)


def from_at(tokens: Sequence[Token], at: int) -> int | None:
    """Index of the FROM of the SELECT at index `at`."""
    for index in _level(tokens, at):
        before = tokens[index - 1].token_type
        # IS DISTINCT FROM is a comparison.
        if tokens[index].token_type == TokenType.FROM and before != TokenType.DISTINCT:
            return index
    return None


def _level(tokens: Sequence[Token], at: int) -> Iterator[int]:
    """Indices behind `at` that are in the same brackets, to where they close."""
    depth = 0
    for index in range(at + 1, len(tokens)):
        kind = tokens[index].token_type
        depth += (kind == _OPEN) - (kind == _CLOSE)
        if depth < 0 or kind == TokenType.SEMICOLON:
            return
        if depth == 0 or (depth == 1 and kind == _OPEN):
            yield index


def _clauses(sql: str, tokens: Sequence[Token], at: int) -> Clauses:
    source = from_at(tokens, at)
    if source is None:  # refused before, see transforms.check_select
        raise ValueError(f"no FROM behind character {tokens[at].end} of {sql!r}")
    level = list(_level(tokens, source))
    items = tuple(_items(tokens[at + 1 : source]))
    where = next((i for i in level if tokens[i].token_type == TokenType.WHERE), None)
    end = tokens[level[-1]].end + 1 if level else tokens[source].end + 1
    return Clauses(
        source_at=tokens[source].start,
        where=None if where is None else (tokens[where].start, end),
        condition="" if where is None else sql[tokens[where].end + 1 : end].strip(),
        stars=tuple(_stars(items)),
        row=frozenset(_row_names(tokens, [i for i in level if where is None or i < where])),
        items=items,
    )


def _items(listed: Sequence[Token]) -> Iterator[tuple[Token, ...]]:
    """What is between the commas that are in no brackets."""
    depth, item = 0, list[Token]()
    for token in (*listed, None):
        kind = token.token_type if token else TokenType.COMMA
        depth += (kind == _OPEN) - (kind == _CLOSE)
        if kind == TokenType.COMMA and depth == 0:
            yield tuple(item)
            item = []
        elif token:
            item.append(token)


def _stars(items: Sequence[Sequence[Token]]) -> Iterator[str]:
    for item in items:
        if item and item[-1].token_type == TokenType.STAR and _only_names(item[:-1]):
            yield ".".join(t.text for t in item if t.token_type not in _NOT_NAMES)


_NOT_NAMES = frozenset([TokenType.DOT, TokenType.STAR, TokenType.HINT])


def _only_names(before: Sequence[Token]) -> bool:
    """Nothing, or `a.b.` before a star: else it multiplies."""
    return not before or before[-1].token_type in {TokenType.DOT, TokenType.HINT}


def _row_names(tokens: Sequence[Token], level: Sequence[int]) -> Iterator[str]:
    """'' and how the source is called; its alias hides its own name."""
    yield ""
    words = [
        tokens[i]
        for i in level
        if tokens[i].token_type not in {TokenType.ALIAS, _OPEN, _CLOSE, TokenType.SEMICOLON}
    ]
    if words:
        yield words[-1].text.casefold()
