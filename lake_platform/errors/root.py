"""The root of all errors."""

from __future__ import annotations


class LakeError(Exception):
    """Root of all errors raised on purpose."""
