"""The root of all errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LakeError(Exception):
    """Root of all errors raised on purpose. They cross from one process to another whole."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[LakeError], args: tuple[Any, ...], state: Mapping[str, Any]) -> LakeError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
