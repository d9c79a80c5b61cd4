"""The use case: hold a dataset's table, raw and quarantine against its topic, or against the raw
log's digests. It writes nothing, and shares no code with what wrote these."""

from __future__ import annotations

from lake_platform.audit import gather
from lake_platform.audit.cheap import cheap as cheap_audit
from lake_platform.audit.deep import deep as deep_audit
from lake_platform.audit.deep import never_milder
from lake_platform.audit.events import put_keys_of
from lake_platform.audit.ledger import open_ledger
from lake_platform.audit.report import AuditReport, Problem
from lake_platform.audit.sources import Sources, TableLook, TableReader
from lake_platform.audit.subject import read_subject
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.windows import window_start_ms
from lake_platform.errors import InvalidFieldError, TableUnreadableError, UnsettledTableError

_TRIES = 3


def audit(table: str, sources: Sources, *, deep: bool, window: str | None = None) -> AuditReport:
    """Counts lost, duplicated and alien records of `table`, per window and in total.

    Raises:
        DatasetNotFoundError, NothingToAuditError, InvalidFieldError: nothing to look at.
        UnsupportedError: the storage cannot be read by the second engine.
        UnsettledTableError, KafkaUnavailableError, StorageUnavailableError: try again.
        CorruptRawError, TableUnreadableError: a log or the table as a whole cannot be read.
    """
    if window is not None:
        _check_window(window)
    dataset = sources.metastore.get(table).dataset
    reader = sources.table(dataset.format)
    for _ in range(_TRIES):
        before = reader.look(dataset)
        if before.unsettled:
            raise UnsettledTableError(table, before.unsettled)
        try:
            report = _audit(dataset, sources, reader, before, deep)
        except TableUnreadableError:
            if reader.look(dataset).version == before.version:
                raise
            continue  # its files were replaced meanwhile
        if reader.look(dataset).version == before.version:
            return report.of_window(window) if window else report
    raise UnsettledTableError(table, f"it was written {_TRIES} times while it was read")


def _check_window(window: str) -> None:
    try:
        window_start_ms(window)
    except ValueError:
        raise InvalidFieldError(
            "window", window, "no window", "give an hour in UTC, as in 2026-11-24-03:00"
        ) from None


def _audit(
    dataset: Dataset, sources: Sources, reader: TableReader, look: TableLook, deep: bool
) -> AuditReport:
    with open_ledger() as ledger:
        problems: list[Problem] = []
        # In this order: what table and quarantine hold is in a log that is read later.
        gather.put_quarantine(ledger, sources, dataset, problems)
        gather.put_table(ledger, reader, dataset)
        subject = read_subject(dataset, sources, reader, look)
        gather.put_log(ledger, subject.commits, subject.gaps)
        put_keys_of(ledger, subject, deep=deep)
        counted = cheap_audit(ledger, sources, subject, problems if not deep else [])
        if not deep:
            return counted
        return never_milder(deep_audit(ledger, sources, subject, problems), counted)
