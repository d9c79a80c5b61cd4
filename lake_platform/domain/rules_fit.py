"""What of a rule fits the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lake_platform.domain.rules import Condition, Rule, conditions, root_of, steps_of
from lake_platform.domain.schema import UNKNOWN, Array, Decimal, Map, Scalar, Struct, Type
from lake_platform.errors import InvalidFieldError

_NUMBERS = ("int", "long", "float", "double")


def type_at(columns: Struct, path: str) -> Type | None:
    """The type of what a path leads to; None where there is none."""
    name, rest = root_of([f.name for f in columns.fields], path)
    field = columns.get(name) if name is not None else None
    kind = field.type if field else None
    for step in steps_of(rest):
        if step == "[]" and isinstance(kind, Array):
            kind = kind.element
        elif step == "{}" and isinstance(kind, Map):
            kind = kind.value
        elif isinstance(kind, Struct):
            inner = kind.get(step)
            kind = inner.type if inner else None
        else:
            return UNKNOWN if kind == UNKNOWN else None
    return kind


def check_fit(rules: Sequence[Rule], columns: Struct, seen: Callable[[], Struct] = Struct) -> None:
    """`seen` gives also what was only null so far; it is asked only when it matters.

    Raises: InvalidFieldError for a rule that no row could be held against, or hold.
    """
    for one in conditions(rules):
        if not one.column:
            continue
        kind = type_at(columns, one.column)
        if kind is None:
            kind = type_at(seen(), one.column)
        if kind is None:
            raise _unknown(columns, one)
        _check_type(one, kind)


def _unknown(columns: Struct, one: Condition) -> InvalidFieldError:
    kind = type_at(columns, one.column.partition(".")[0])
    path, _, rest = one.column.partition(".")
    if rest and isinstance(kind, Array | Map):
        inside = "[]" if isinstance(kind, Array) else "{}"
        what = "array" if isinstance(kind, Array) else "map"
        return InvalidFieldError(
            "rules.column", one.column, f"{path} is an {what}" if what == "array" else
            f"{path} is a {what}", f"write {path}{inside}.{rest} for what is in it",
        )  # fmt: skip
    listed = ", ".join(f.name for f in columns.fields) or "none"
    return InvalidFieldError(
        "rules.column", one.column, "the table has no such column", f"columns are: {listed}"
    )


def _check_type(one: Condition, kind: Type) -> None:
    if kind == UNKNOWN:
        return
    number = isinstance(kind, Decimal) or (isinstance(kind, Scalar) and kind.name in _NUMBERS)
    plain = isinstance(kind, Decimal | Scalar)
    wrong = {
        "min": not number,
        "max": not number,
        "regex": not (isinstance(kind, Scalar) and kind.name in ("string", "json")),
        "isin": not plain,
        "unique": not plain,
    }
    if wrong.get(one.kind):
        wanted = {"min": "a number", "max": "a number", "regex": "a text"}
        raise InvalidFieldError(
            f"rules.{one.kind}", one.column, f"is a {kind}",
            f"name {wanted.get(one.kind, 'a plain value')}, or leave it out",
        )  # fmt: skip
