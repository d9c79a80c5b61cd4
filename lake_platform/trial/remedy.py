"""The command that carries out a change: of the definition alone, where the table stays as it is,
else a rebuild."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lake_platform.domain.commands import field_text, rebuild_command
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.diff import Change
from lake_platform.domain.fitness import check_change
from lake_platform.domain.hints_fit import check_hints
from lake_platform.domain.progress import SchemaVersion
from lake_platform.errors import InvalidFieldError
from lake_platform.rebuild.asked import keeps_columns


def command_for(
    before: Dataset,
    after: Dataset,
    changes: Mapping[str, Any],
    active: SchemaVersion | None,
    columns: Sequence[Change],
) -> str:
    """`columns`: how those of the table change with it."""
    table = before.table
    if _in_place(before, after, active, columns):
        plain = {n: v for n, v in changes.items() if not n.startswith("columns.")}
        if len(plain) < len(changes):
            plain["columns"] = after.columns
        return " ".join(["lake datasets set", table, *(field_text(n, v) for n, v in plain.items())])
    return rebuild_command(table, changes)


def _in_place(
    before: Dataset, after: Dataset, active: SchemaVersion | None, columns: Sequence[Change]
) -> bool:
    if not keeps_columns(before, after) or any(c.verdict == "breaking" for c in columns):
        return False
    try:
        check_change(before, after)
        if active is not None:
            check_hints(before, after, active.source)
    except InvalidFieldError:
        return False
    return True
