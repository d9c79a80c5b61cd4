"""The root of all errors."""

from __future__ import annotations

from typing import Any


class LakeError(Exception):
    """Root of all errors raised on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # They come out of other processes too. Python would call the class with the message alone.
        return _again, (type(self), self.args, dict(self.__dict__))


def _again(kind: type[LakeError], args: tuple[Any, ...], fields: dict[str, Any]) -> LakeError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error
