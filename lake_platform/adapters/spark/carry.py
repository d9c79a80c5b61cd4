"""SQL steps made to carry the Kafka coordinates and hidden columns beside what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from lake_platform.adapters.spark.casts import LOST, Held, hidden, looks_inside
from lake_platform.adapters.spark.clauses import Clauses, selects
from lake_platform.adapters.spark.transforms import check_select, in_text_order, source_of
from lake_platform.domain.dataset import Dataset

PASSED = "_lake_passed_"


def carry(
    sql: str, columns: Sequence[str], *, flags: Sequence[str] | None = None,
    casts: Held | None = None,
) -> tuple[str, Held]:  # fmt: skip
    """`sql` with `columns` of `input` added to each SELECT that lacks them.

    With `flags`, which are the flags of the steps before, no WHERE leaves a record out: each
    becomes a column `_lake_passed_<n>` that says whether it would. With `casts`, which are the
    hidden columns of `input`, it has those of what its own casts lose, too; they are given back.
    """
    select = check_select(sql)
    places = dict(zip(map(id, in_text_order(select)), selects(sql), strict=True))
    carrier = _Carrier(sql, places, None if flags is None else len(flags), casts)
    _, held = carrier.visit(select, ([*columns, *(flags or ())], casts or Held()), {})
    for start, end, text in sorted(carrier.edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql, held


_Given = tuple[Sequence[str], Held]


class _Carrier:
    """Collects what is to be put where; `number` is that of the next flag."""

    def __init__(
        self, sql: str, places: Mapping[int, Clauses], number: int | None, casts: Held | None
    ) -> None:
        self._sql, self._places, self._number = sql, places, number
        self._casts = None if casts is None else _next_number(casts)
        self.edits: list[tuple[int, int, str]] = []

    def visit(self, select: exp.Select, given: _Given, ctes: Mapping[str, _Given]) -> _Given:
        """What it carries then, of the columns that `input` has (`given`) or its source made."""
        known = dict(ctes)
        for cte in select.ctes:
            known[cte.alias_or_name.casefold()] = self.visit(cte.this, given, known)
        source, held = source_of(select), given
        if isinstance(source, exp.Select):
            held = self.visit(source, given, known)
        elif isinstance(source, exp.Table):
            held = known.get(source.name.casefold(), given)
        return self._edit(select, *held)

    def _edit(self, select: exp.Select, held: Sequence[str], casts: Held) -> _Given:
        place = self._places[id(select)]
        named = {e.alias_or_name for e in select.expressions}
        wanted = [] if place.whole else [f"`{c}`" for c in held if c not in named]
        if self._number is not None and place.where:
            flag = f"{PASSED}{self._number}"
            self._number += 1
            wanted.append(f"coalesce(({place.condition}), false) AS `{flag}`")
            self.edits.append((*place.where, ""))
            held = [*held, flag]
        if self._casts is not None:
            more, casts = hidden(self._sql, select, place, casts, self._casts)
            self._casts += len(more)
            wanted += more
        if wanted:
            self.edits.append((place.source_at, place.source_at, f", {', '.join(wanted)} "))
        return held, casts


def _next_number(held: Held) -> int:
    return 1 + max((int(f.removeprefix(LOST)) for f in held.flags.values()), default=-1)


def lost_columns(dataset: Dataset) -> Held:
    """What of the last step's columns a cast may have lost. Empty where a step could see it."""
    held = Held()
    if not casts_are_followed(dataset):
        return held
    for step in dataset.transforms:
        if step.kind != "sql":
            continue
        held = carry(step.sql, (), casts=held)[1]
    return held


def casts_are_followed(dataset: Dataset) -> bool:
    """Not behind code, nor where a star within a function would see hidden columns."""
    if any(step.makes_frame for step in dataset.transforms):
        return False
    steps = [step for step in dataset.transforms if step.kind == "sql"]
    return not any(looks_inside(check_select(step.sql)) for step in steps)
