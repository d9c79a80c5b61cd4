"""Types as casts name them: what can be lost on the way to one, and how it shows."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.errors import SqlglotError

_TEXTS = frozenset(
    [exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.CHAR, exp.DType.BINARY, exp.DType.VARBINARY]
)


def typed(text: str) -> exp.DataType | None:
    try:
        return exp.DataType.build(text.strip(), dialect="spark")
    except SqlglotError:
        return None


def keeps_all(kind: exp.DataType | None) -> bool:
    """Everything has a text."""
    if kind is None:
        return False
    leaves = [t for t in kind.find_all(exp.DataType) if not t.args.get("nested")]
    return all(t.this in _TEXTS for t in leaves)


def is_lost(given: str, gives: str, kind: exp.DataType | None) -> str:
    if kind is None or not kind.args.get("nested"):
        return f"(({given}) IS NOT NULL AND ({gives}) IS NULL)"
    texts = kind.copy()
    for leaf in list(texts.find_all(exp.DataType)):
        if not leaf.args.get("nested"):
            leaf.replace(exp.DataType.build("text"))
    as_texts = f"CAST(({given}) AS {texts.sql(dialect='spark')})"
    return f"coalesce({_within(as_texts, f'({gives})', kind, 0)}, false)"


def _within(given: str, gives: str, kind: exp.DataType, depth: int) -> str:
    """Whether something of `given` is NULL in `gives`, which has the same shape."""
    if kind.this in (exp.DType.ARRAY, exp.DType.LIST, exp.DType.MAP):
        inner = kind.expressions[-1]
        if kind.this == exp.DType.MAP:
            given, gives = f"map_values({given})", f"map_values({gives})"
        old, new = f"_i{depth}", f"_o{depth}"
        lost = f"coalesce({_within(old, new, inner, depth + 1)}, false)"
        return f"exists(zip_with({given}, {gives}, ({old}, {new}) -> {lost}), _b -> _b)"
    if kind.this == exp.DType.STRUCT:
        parts = []
        for one in kind.expressions:
            name = f"`{one.name.replace('`', '``')}`"
            below = _within(f"{given}.{name}", f"{gives}.{name}", one.args["kind"], depth)
            parts.append(f"coalesce({below}, false)")
        return f"({' OR '.join(parts)})"
    return f"({given} IS NOT NULL AND {gives} IS NULL)"


def some_value(kind: exp.DataType) -> str:
    """Any value of a type."""
    text = kind.sql(dialect="spark")
    if kind.this == exp.DType.DATE:
        return "DATE'2000-01-01'"
    if kind.this in (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPNTZ,
                     exp.DType.TIMESTAMPLTZ):  # fmt: skip
        return f"CAST(DATE'2000-01-01' AS {text})"
    return f"coalesce(CAST(1 AS {text}), CAST(0 AS {text}))"
