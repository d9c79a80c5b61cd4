"""What no step looks at is left out where it does not fit, unless something else was decided."""

from __future__ import annotations

from typing import Any

import pytest

from lake_platform.domain.decisions import Ruling

_UNUSED = {("a",), ("o", "b"), ("l", "c")}


@pytest.mark.parametrize(
    ("usual", "columns", "left"),
    [
        ("block", {}, _UNUSED),
        ("quarantine", {"z": "reject", "o.bb": "rescue"}, _UNUSED),
        ("rescue", {}, set()),
        ("report", {}, set()),
        ("block", {"a": "rescue"}, {("o", "b"), ("l", "c")}),
        ("block", {"o": "quarantine", "l[].c.d": "reject"}, {("a",)}),
    ],
)
def test_decisions_hold(usual: Any, columns: dict[str, Any], left: set[tuple[str, ...]]) -> None:
    assert Ruling(usual, columns).left_out(_UNUSED) == left
