"""What an error that reaches the operator must be like."""

from __future__ import annotations

import traceback

from lake_platform.errors import LakeError, RetryableError

_LONGEST = 1_000  # the S3 client names URL, tries and times
_REMEDIES = ("try again", "the next dump", "the next one goes on", "load again")


def check_clear(error: BaseException, *secrets: str) -> None:
    """Raises: AssertionError unless it is one of the platform's own that says what to do, on one
    line, and neither it nor its traceback shows a secret."""
    assert isinstance(error, LakeError), f"a bare {type(error).__name__}: {error}"
    text = str(error)
    assert "\n" not in text, f"more than a line: {text}"
    assert len(text) <= _LONGEST, f"{len(text)} characters: {text}"
    if isinstance(error, RetryableError):
        assert any(remedy in text for remedy in _REMEDIES), f"says not what to do: {text}"
    shown = "".join(traceback.format_exception(error))
    assert not any(secret in shown for secret in secrets), f"shows a secret: {text}"
