"""Ports at which something else happens in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lake_platform.domain.offsets import RawCommit
from lake_platform.raw import log as raw_log
from tests.support import Lab


class Before:
    """A port; the first call of `name` is preceded by `happens`."""

    def __init__(self, inner: Any, name: str, happens: Callable[[], object]) -> None:
        self._inner, self._name, self._happens = inner, name, happens
        self._done = False

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if name != self._name or self._done:
            return inner

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._done:
                self._done = True
                self._happens()
            return inner(*args, **kwargs)

        return call


def log(lab: Lab, table: str = "t") -> list[RawCommit]:
    return raw_log.commits_after(lab.store, table, 0)
