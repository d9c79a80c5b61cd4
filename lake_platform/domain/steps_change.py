"""What other steps make of the columns of a table that is there."""

from __future__ import annotations

from collections.abc import Sequence

from lake_platform.domain.commands import field_text, rebuild_command
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.schema import Struct
from lake_platform.errors import InvalidFieldError


def check_steps_change(dataset: Dataset, held: Struct, made: Struct) -> Sequence[str]:
    """`held`: the columns of the table, `made`: those of the steps of `dataset`. Says what changes;
    a column that is gone stays in the table, NULL in new rows.

    Raises: InvalidFieldError where the table cannot have them.
    """
    changes = [c for c in diff(held, made) if c.kind != "alias"]
    breaking = [c for c in changes if c.verdict == "breaking"]
    if not breaking:
        return [_told(change) for change in changes]
    steps = [step.plain() for step in dataset.transforms]
    raise InvalidFieldError(
        "transforms", [step.sql or step.title for step in dataset.transforms],
        "; ".join(_refused(dataset.table, change) for change in breaking),
        f"let the steps keep it, or have the table made anew: "
        f"{rebuild_command(dataset.table, {'transforms': steps})} (look at it before: lake preview "
        f"{dataset.table} --change {field_text('transforms', steps)})",
    )  # fmt: skip


def _refused(table: str, change: Change) -> str:
    if change.before and change.after and change.kind in ("type", "narrow"):
        return (
            f"column {change.path} of table {table} is {change.before}, and these steps make it "
            f"{change.after}"
        )
    return f"table {table} cannot take this: {change}"


def _told(change: Change) -> str:
    if change.kind == "absent":
        return (
            f"column {change.path} {change.before} is no longer made by the steps: NULL in new rows"
        )
    return str(change)
