"""Which siblings of a kind `make test` tries; `make test-all` tries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Values of one parameter; all but `kept` are marked `deep`."""
    return [v if v in kept else pytest.param(v, marks=pytest.mark.deep) for v in values]
