"""The options of a definition by which the first schema is made, and limits of new keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lake_platform.errors import InvalidFieldError

_CHOICES = {
    "names": ("keep", "lower"),
    "case_twins": ("merge", "split", "rescue"),
    "maps": ("auto", "off"),
    "mixed_scalars": ("string", "json"),
    "single_or_array": ("wrap", "json"),
}
_LIMITS = {
    "max_columns": (1, 10_000), "max_depth": (1, 40),
    "max_object_keys": (0, 10_000), "max_new_keys": (0, 10_000),
}  # fmt: skip
OPTIONS = (*_CHOICES, *_LIMITS)


def check_options(given: Mapping[str, Any]) -> None:
    """Raises: InvalidFieldError."""
    for name, values in _CHOICES.items():
        if given[name] not in values:
            raise InvalidFieldError(
                name, given[name], "no such choice", f"give {' or '.join(values)}"
            )
    for name, (least, most) in _LIMITS.items():
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidFieldError(name, value, "out of range", f"give {least} to {most}")
