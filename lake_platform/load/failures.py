"""What a load that fails leaves behind for who looks at the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from lake_platform.domain.batches import BatchRange
from lake_platform.domain.bundle import Ports
from lake_platform.domain.failures import SAME_FAILURES, is_failure, load_failed, said
from lake_platform.domain.progress import Progress
from lake_platform.errors import LakeError, RepeatedFailureError

_log = structlog.get_logger(__name__)


@contextmanager
def noted(table: str, ports: Ports, *, replay: bool) -> Iterator[None]:
    """Puts the error that ends a load on record.

    A replay is asked for by a person, who sees its error: it is noted, and stops nothing.

    Raises: RepeatedFailureError in the place of an error that repeats by its nature.
    """
    try:
        yield
    except Exception as error:
        stop = _note(table, ports, error, replay) if is_failure(error) else None
        if stop is not None:
            raise stop from error
        raise


def note(table: str, ports: Ports, waiting: LakeError) -> None:
    """Of a load that ends well and has nothing to do, though something is there."""
    _log.info(str(waiting), dataset=table)
    progress = ports.metastore.progress(table)
    ports.metastore.update_progress(table, **load_failed(progress, waiting))


def _note(table: str, ports: Ports, error: Exception, replay: bool) -> RepeatedFailureError | None:
    """What ended the load is what an operator must see, not that it could not be noted."""
    stop = None
    try:
        progress = ports.metastore.progress(table)
        values = load_failed(progress, error)
        if replay:
            values = {"load_error": said(error), "load_error_kind": ""}
        elif int(values["load_failures"]) >= SAME_FAILURES:
            stop = _stopped(table, ports, progress, error)
            values |= {"load_error": said(stop), "load_error_kind": type(stop).__name__}
        ports.metastore.update_progress(table, **values)
    except LakeError as unnoted:
        _log.warning("the error was not noted", dataset=table, error=str(unnoted))
    return stop


def _stopped(
    table: str, ports: Ports, progress: Progress, error: Exception
) -> RepeatedFailureError:
    first = progress.applied_seq + 1
    batch = BatchRange(first, max(first, progress.head_seq)).id
    incident = ports.metastore.block(table, (), batch, (), "engine", said(error))
    return RepeatedFailureError(table, incident, SAME_FAILURES, said(error))
