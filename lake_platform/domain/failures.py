"""What a failed dump or load leaves in Progress, and when a failure that repeats becomes a stop."""

from __future__ import annotations

import re

from lake_platform import errors
from lake_platform.domain.progress import Progress
from lake_platform.errors import (
    BatchClaimedError,
    CommitRaceError,
    DatasetNotFoundError,
    EngineError,
    EngineUnavailableError,
    LakeError,
    NotRunnableError,
    StopDatasetError,
)

SAME_FAILURES = 3
"""So many loads in a row that fail in the same way stop the dataset."""
_NUMBERS = re.compile(r"[0-9a-fA-F-]*\d[0-9a-fA-F-]*")
_LONGEST = 2_000


def is_failure(error: Exception) -> bool:
    """Not that another writer was faster, nor that there is no such dataset or it was not to run
    at all."""
    not_run = DatasetNotFoundError | NotRunnableError
    return not isinstance(error, BatchClaimedError | CommitRaceError | not_run)


def stops(kind: str) -> bool:
    """Whether an error of this class ends the phase until somebody does something."""
    found = getattr(errors, kind, None)
    return isinstance(found, type) and issubclass(found, StopDatasetError)


def dump_failed(before: Progress, error: Exception) -> dict[str, str]:
    """Fields of Progress. That unread records are gone is not forgotten over a broker that does
    not answer."""
    if before.unread_is_gone and not stops(type(error).__name__):
        return {}
    return {"dump_error": said(error), "dump_error_kind": type(error).__name__}


def load_failed(before: Progress, error: Exception) -> dict[str, int | str]:
    """Fields of Progress; `load_failures` is 0 for what a later load may well get through."""
    text = said(error)
    count = 0
    if _repeats(error):
        same = before.load_failures and alike(text, before.load_error)
        count = before.load_failures + 1 if same else 1
    kind = type(error).__name__
    return {"load_error": text, "load_error_kind": kind, "load_failures": count}


def alike(one: str, other: str) -> bool:
    """The same but for numbers: batch ids, task numbers, file names."""
    return _NUMBERS.sub("#", one) == _NUMBERS.sub("#", other)


def said(error: Exception) -> str:
    text = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
    return text[:_LONGEST]


def _repeats(error: Exception) -> bool:
    """An engine that refuses the batch, or a bug, will do so again. A system that does not answer
    (storage, Kafka, metastore, Spark itself, a full disk) comes back by itself."""
    if isinstance(error, EngineError):
        return not isinstance(error, EngineUnavailableError)
    return not isinstance(error, LakeError | OSError | MemoryError)
