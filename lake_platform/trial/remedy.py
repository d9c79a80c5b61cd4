"""The command that carries out a change: of the definition alone, where the table stays as it is,
else a rebuild."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

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
        return " ".join(["lake datasets set", table, *(_pair(n, v) for n, v in plain.items())])
    given = (f"--change {_pair(n, v)}" for n, v in changes.items())
    return " ".join(["lake rebuild", table, *given])


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


def _pair(name: str, value: Any) -> str:
    plain = isinstance(value, str) and not _looks_like_json(value)
    text = value if plain else json.dumps(value, ensure_ascii=False)
    return shlex.quote(f"{name}={text}")


def _looks_like_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
