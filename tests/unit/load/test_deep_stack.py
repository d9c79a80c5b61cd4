"""A record as deep as one may be, loaded from deep within other people's calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lake_platform.domain.quality import MAX_DEPTH
from tests.support import Lab
from tests.unit.load.test_load import MakeLab, make_lab

__all__ = ["make_lab"]

_CALLS = 500  # of Dagster, of a test runner; the rest of Python's thousand is too little for two


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def _within(calls: int, act: Callable[[], Any]) -> Any:
    return _within(calls - 1, act) if calls else act()


def _nested(kind: str, leaf: Any) -> bytes:
    """A record of MAX_DEPTH levels."""
    value = leaf
    for level in range(MAX_DEPTH - 2):
        value = [value] if kind == "arrays" or (kind == "both" and level % 2) else {"k": value}
    return json.dumps({"id": 1, "v": value}).encode()


@pytest.mark.parametrize("kind", ["objects", "arrays", "both"])
@pytest.mark.parametrize("max_depth", [12, 40])
def test_it_is_loaded_all_the_same(lab: Lab, kind: str, max_depth: int) -> None:
    lab.register(max_depth=max_depth, on_conflict="rescue", max_rescued_ratio=1)
    for leaf in (1, "x", {"new": 1}, [1], None):
        lab.send(_nested(kind, leaf))
        (done,) = _within(_CALLS, lab.cycle)
        assert (done.applied.balance.written, done.applied.balance.quarantined) == (1, 0)
    lab.send(_nested(kind, 2).replace(b'"v"', b'"w"'))
    _within(_CALLS, lab.cycle)
    assert len(lab.rows()) == 6
