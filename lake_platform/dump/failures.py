"""What a dump that fails leaves behind for who looks at the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from lake_platform.domain.bundle import Ports
from lake_platform.domain.failures import dump_failed, is_failure
from lake_platform.domain.progress import LOSSES
from lake_platform.errors import LakeError, TopicRecreatedError
from lake_platform.raw import log as raw_log

_log = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
Dump = Callable[Concatenate[str, Ports, P], Iterator[R]]
OVER = {"dump_error": "", "dump_error_kind": ""}
"""Fields of Progress once a dump goes through."""


def noted(dump: Dump[P, R]) -> Dump[P, R]:
    """Puts the error that ends a dump on record."""

    @wraps(dump)
    def noting(table: str, ports: Ports, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        try:
            yield from dump(table, ports, *args, **kwargs)
        except Exception as error:
            if is_failure(error):
                _note(table, ports, error)
            raise

    return noting


def _note(table: str, ports: Ports, error: Exception) -> None:
    """What ended the dump is what an operator must see, not that it could not be noted."""
    try:
        progress = ports.metastore.progress(table)
        values: dict[str, int | str] = {**dump_failed(progress, error)}
        if values.get("dump_error_kind") in LOSSES:
            values["backlog"] = _unread(table, ports, progress.head_seq, error)
        if values:
            ports.metastore.update_progress(table, **values)
    except LakeError as unnoted:
        _log.warning("the error was not noted", dataset=table, error=str(unnoted))


def _unread(table: str, ports: Ports, head_seq: int, error: Exception) -> int:
    """Offsets that Kafka has or had beyond the raw log; of a topic re-created all it has."""
    ranges = ports.kafka.describe(ports.metastore.get(table).dataset.topic).ranges
    if isinstance(error, TopicRecreatedError):
        return sum(map(len, ranges.values()))
    head = raw_log.head(ports.store, table, head_seq)
    read = head.next_offsets if head else {}
    return sum(max(0, r.end - read.get(p, 0)) for p, r in ranges.items())
